//! Certificates, against a real TLS server on loopback.

use std::sync::Arc;

use belay_api::analysis::SecretKey;
use belay_engine::gate::Result as GateResult;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::{HttpQuestion, Known, tests::prober};

/// Signs certificates.
pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// A new one that nobody trusts yet.
pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server with a certificate for `name`; with `clients` it wants a certificate of that authority. Gives its port.
pub(crate) async fn serve(authority: &Authority, name: &str, clients: Option<&Authority>) -> u16 {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let config = ServerConfig::builder();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            config.with_client_cert_verifier(
                WebPkiClientVerifier::builder(Arc::new(roots))
                    .build()
                    .unwrap(),
            )
        }
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = config
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(connection).await?;
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await?;
                stream
                    .write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
                    )
                    .await?;
                stream.shutdown().await
            });
        }
    });
    port
}

fn key(key: &str) -> SecretKey {
    SecretKey {
        name: "s".to_owned(),
        key: key.to_owned(),
    }
}

async fn ask(url: &str, tls: &Value, known: &Known) -> GateResult {
    let spec = json!({"url": url, "tls": tls, "retries": {"limit": 0}});
    let question = HttpQuestion::new(&serde_json::from_value(spec).unwrap());
    prober().ask(&question, known).await
}

fn is_refused(result: &GateResult, part: &str) {
    assert!(
        matches!(result, GateResult::Error { why } if why.contains(part)),
        "{result:?} should be an error with {part:?}"
    );
}

#[tokio::test]
async fn only_a_certificate_of_the_named_authority_for_the_named_host_is_accepted() {
    let _ = prober();
    let (ours, other) = (authority(), authority());
    let port = serve(&ours, "localhost", None).await;
    let url = format!("https://localhost:{port}");
    let trusting = |authority: &Authority| Known {
        ca: Some(authority.pem()),
        ..Known::default()
    };
    let named = json!({"ca": {"configMapKey": {"name": "ca", "key": "ca.crt"}}});
    let passed = ask(&url, &named, &trusting(&ours)).await;
    assert!(matches!(passed, GateResult::Pass { .. }), "{passed:?}");
    // Not the usual authorities, not another one, not for another host.
    is_refused(
        &ask(&url, &Value::Null, &Known::default()).await,
        "certificate",
    );
    is_refused(&ask(&url, &named, &trusting(&other)).await, "certificate");
    let misnamed = format!("https://127.0.0.1:{port}");
    is_refused(
        &ask(&misnamed, &named, &trusting(&ours)).await,
        "certificate",
    );
    let empty = Known {
        ca: Some("nothing".to_owned()),
        ..Known::default()
    };
    is_refused(&ask(&url, &named, &empty).await, "no certificate in PEM");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks_for_one() {
    let _ = prober();
    let (ours, clients) = (authority(), authority());
    let port = serve(&ours, "localhost", Some(&clients)).await;
    let url = format!("https://localhost:{port}");
    let client_key = KeyPair::generate().unwrap();
    let client = CertificateParams::new(vec!["belay".to_owned()]).unwrap();
    let client = client.signed_by(&client_key, &clients).unwrap();
    let mut known = Known {
        ca: Some(ours.pem()),
        ..Known::default()
    };
    known.secrets.insert(key("tls.crt"), client.pem());
    known
        .secrets
        .insert(key("tls.key"), client_key.serialize_pem());
    let ca = json!({"configMapKey": {"name": "ca", "key": "ca.crt"}});
    let shown = json!({"certificate": key("tls.crt"), "key": key("tls.key")});
    let passed = ask(&url, &json!({"ca": ca, "client": shown}), &known).await;
    assert!(matches!(passed, GateResult::Pass { .. }), "{passed:?}");
    let without = ask(&url, &json!({"ca": ca}), &known).await;
    assert!(matches!(without, GateResult::Error { .. }), "{without:?}");
    let swapped = json!({"certificate": key("tls.key"), "key": key("tls.crt")});
    known
        .secrets
        .insert(key("tls.key"), "canary-no-key".to_owned());
    let broken = ask(&url, &json!({"ca": ca, "client": swapped}), &known).await;
    is_refused(&broken, "tls.client");
    assert!(!format!("{broken:?}").contains("canary"));
}
