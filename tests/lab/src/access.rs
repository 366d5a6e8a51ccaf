//! How callers reach the API server: client configurations and kubeconfig files.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kube::Client;
use kube::config::AuthInfo;
use serde_json::json;

use crate::LabError;
use crate::pki::ClientCertificate;

/// Where the API server is and which authority vouches for it.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) url: String,
    pub(crate) ca_pem: String,
    pub(crate) ca_der: Vec<u8>,
}

/// What a caller shows to the API server.
#[derive(Clone)]
pub(crate) enum Credential {
    Certificate(ClientCertificate),
    Token(String),
}

impl Access {
    /// A client; it belongs to the calling task's runtime and must not outlive it.
    pub(crate) fn client(&self, credential: &Credential) -> Result<Client, LabError> {
        let url = self
            .url
            .parse()
            .map_err(LabError::format("the API server's address"))?;
        let mut config = kube::Config::new(url);
        config.root_cert = Some(vec![self.ca_der.clone()]);
        // A test must see the API server's first answer, not the fifteenth.
        config.default_retry = false;
        config.auth_info = match credential {
            Credential::Certificate(pair) => AuthInfo {
                client_certificate_data: Some(BASE64.encode(&pair.certificate_pem)),
                client_key_data: Some(BASE64.encode(&pair.key_pem).into()),
                ..AuthInfo::default()
            },
            Credential::Token(token) => AuthInfo {
                token: Some(token.clone().into()),
                ..AuthInfo::default()
            },
        };
        Ok(Client::try_from(config)?)
    }

    /// Writes a kubeconfig file with everything inside, so that it may be moved.
    pub(crate) fn write_kubeconfig(
        &self,
        path: &Path,
        user: &str,
        credential: &Credential,
    ) -> Result<(), LabError> {
        let auth_info = match credential {
            Credential::Certificate(pair) => json!({
                "client-certificate-data": BASE64.encode(&pair.certificate_pem),
                "client-key-data": BASE64.encode(&pair.key_pem),
            }),
            Credential::Token(token) => json!({ "token": token }),
        };
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "lab",
                "cluster": {"server": self.url, "certificate-authority-data": BASE64.encode(&self.ca_pem)},
            }],
            "users": [{"name": user, "user": auth_info}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
            "current-context": "lab",
        });
        let text = serde_saphyr::to_string(&config).map_err(LabError::format("a kubeconfig"))?;
        fs::write(path, text).map_err(LabError::io(format!("write {}", path.display())))
    }
}
