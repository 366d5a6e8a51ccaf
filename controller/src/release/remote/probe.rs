//! Whether another cluster answers, and which one it is.
//!
//! Invariant: nothing that is told quotes the cluster or the kubeconfig: whoever answers there may write what he likes.

use std::{error::Error as StdError, io::ErrorKind};

use belay_engine::release::cluster::ClusterId;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::PartialObjectMeta};

use crate::{Error, client::bounded, gates::probe::address::refusal, limits, watch::ServerVersion};

/// What is asked of a server whose version it does not tell.
pub(super) const OLDEST: ServerVersion = ServerVersion::OLDEST;

/// The namespace that every cluster has from its beginning to its end.
const ETERNAL: &str = "kube-system";

/// What was found.
pub(super) struct Found {
    pub(super) id: ClusterId,
    pub(super) server: ServerVersion,
}

/// Asks the cluster who it is; `address` is the digest of where it is. Says why there is no answer.
pub(super) async fn ask(client: &Client, address: &str) -> Result<Found, String> {
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let asked = bounded("asking another cluster", namespaces.get_opt(ETERNAL)).await;
    let uid = match asked {
        Ok(found) => found.and_then(|namespace| namespace.metadata.uid),
        // It knows who asks, and does not let him see this.
        Err(Error::Kube(kube::Error::Api(status))) if status.is_forbidden() => None,
        Err(error) => return Err(why(&error)),
    };
    let server = ServerVersion::of(client).await.unwrap_or(OLDEST);
    Ok(Found {
        id: ClusterId {
            uid,
            address: address.to_owned(),
        },
        server,
    })
}

fn why(error: &Error) -> String {
    match error {
        Error::Kube(kube::Error::Api(status)) if status.code == 401 => {
            "it does not accept the kubeconfig's credentials (401); they may have expired or been revoked: put a valid kubeconfig \
             into the Secret"
                .to_owned()
        }
        Error::Kube(kube::Error::Api(status)) => {
            format!("its API server answers with status {}", status.code)
        }
        Error::Timeout { .. } => format!(
            "its API server does not answer within {} s",
            limits::API_CALL.as_secs()
        ),
        Error::Kube(error) => unconnected(error),
        _ => "what answers there is no API server".to_owned(),
    }
}

/// Why no connection comes about.
fn unconnected(error: &kube::Error) -> String {
    if let Some(refused) = refusal(error) {
        return format!("its address may not be asked: {}", refused.reason());
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            return inner.map_or_else(|| of_io(error.kind()), of_tls).to_owned();
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return of_tls(error).to_owned();
        }
        cause = error.source();
    }
    "no connection to its API server comes about".to_owned()
}

const fn of_io(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ConnectionRefused => "its API server refuses the connection",
        ErrorKind::TimedOut => "its API server does not answer in time",
        ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => {
            "its API server ends the connection"
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "there is no way to its API server"
        }
        _ => {
            "no connection to its API server comes about: its name can't be resolved, or the network fails"
        }
    }
}

const fn of_tls(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(_) => {
            "the certificate of its API server is not trusted; correct certificate-authority-data, server or tls-server-name in the \
             kubeconfig"
        }
        _ => {
            "no TLS connection to its API server comes about; the kubeconfig's client certificate may not be accepted"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, message: &str) -> Error {
        let status = serde_json::from_value(serde_json::json!({
            "code": code, "status": "Failure", "reason": "r", "message": message,
        }));
        Error::Kube(kube::Error::Api(Box::new(status.unwrap())))
    }

    #[test]
    fn what_the_other_side_says_is_not_repeated() {
        for code in [401, 404, 500] {
            let told = why(&api(code, "token hunter2 is bad"));
            assert!(!told.contains("hunter2"), "{told}");
            assert!(told.contains(&code.to_string()), "{told}");
        }
    }

    #[test]
    fn the_causes_of_an_outage_are_told_apart() {
        let io = |kind| kube::Error::Service(Box::new(std::io::Error::from(kind)));
        assert!(unconnected(&io(ErrorKind::ConnectionRefused)).contains("refuses"));
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let tls = std::io::Error::new(ErrorKind::InvalidData, untrusted);
        let told = unconnected(&kube::Error::Service(Box::new(tls)));
        assert!(told.contains("certificate-authority-data"), "{told}");
    }
}
