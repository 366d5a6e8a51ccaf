//! Keys and certificates of one lab: a certificate authority, the API server's certificate and one client certificate a caller.
//!
//! Each caller has a name of its own, so that the audit log tells who sent a request. Everything is made anew for each lab and is
//! worthless once the lab is gone.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

use crate::LabError;

/// The first address of the services' range: `kubernetes.default.svc`.
const SERVICE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// The files the API server and the controller-manager read, and the authority that signs for callers.
pub(crate) struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
    pub(crate) ca_file: PathBuf,
    pub(crate) server_certificate_file: PathBuf,
    pub(crate) server_key_file: PathBuf,
    /// Signs service-account tokens.
    pub(crate) service_account_key_file: PathBuf,
    /// Verifies service-account tokens.
    pub(crate) service_account_public_key_file: PathBuf,
}

/// A client certificate with its key, both PEM.
#[derive(Clone)]
pub(crate) struct ClientCertificate {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Pki {
    /// Makes everything and writes the files into `folder`.
    pub(crate) fn create(folder: &Path) -> Result<Self, LabError> {
        let authority = CertifiedIssuer::self_signed(authority_params(), KeyPair::generate()?)?;
        let server_key = KeyPair::generate()?;
        let server_certificate = server_params()?.signed_by(&server_key, &authority)?;
        let pki = Self {
            ca_file: folder.join("ca.crt"),
            server_certificate_file: folder.join("kube-apiserver.crt"),
            server_key_file: folder.join("kube-apiserver.key"),
            service_account_key_file: folder.join("service-accounts.key"),
            service_account_public_key_file: folder.join("service-accounts.pub"),
            authority,
        };
        write(&pki.ca_file, &pki.authority.pem())?;
        write(&pki.server_certificate_file, &server_certificate.pem())?;
        write(&pki.server_key_file, &server_key.serialize_pem())?;
        let service_account_key = KeyPair::generate()?;
        write(
            &pki.service_account_key_file,
            &service_account_key.serialize_pem(),
        )?;
        write(
            &pki.service_account_public_key_file,
            &service_account_key.public_key_pem(),
        )?;
        Ok(pki)
    }

    /// The authority's certificate.
    pub(crate) fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// The authority's certificate in DER, as client libraries want it.
    pub(crate) fn ca_der(&self) -> Vec<u8> {
        self.authority.der().to_vec()
    }

    /// A certificate for a caller with this user name, in this group.
    pub(crate) fn client(
        &self,
        user: &str,
        group: Option<&str>,
    ) -> Result<ClientCertificate, LabError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.authority)?;
        Ok(ClientCertificate {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::CrlSign,
    ];
    params
        .distinguished_name
        .push(DnType::CommonName, "belay-lab");
    params
}

fn server_params() -> Result<CertificateParams, LabError> {
    let names = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ]
    .map(String::from);
    let mut params = CertificateParams::new(names)?;
    params
        .subject_alt_names
        .push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    params
        .subject_alt_names
        .push(SanType::IpAddress(SERVICE_ADDRESS));
    params
        .distinguished_name
        .push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn write(path: &Path, content: &str) -> Result<(), LabError> {
    fs::write(path, content).map_err(LabError::io(format!("write {}", path.display())))
}
