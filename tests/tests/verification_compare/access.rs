//! A Prometheus that asks who one is.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{StatusCode, header},
    response::Response,
};
use belay_engine::{gate::Verdict, rollout::status::Phase};
use belay_tests::{
    installed::{NAME, NAMESPACE},
    scene::Scene,
    told::words,
};
use futures::future::join;
use k8s_openapi::api::{
    core::v1::{ConfigMap, Secret},
    rbac::v1::RoleBinding,
};
use kube::api::PostParams;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    methods::{gated, passes, template},
    turn, when,
};

const TOKEN: &str = "canary-5d1e-token";

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A door in front of Prometheus: TLS, a client certificate of the authority, and a token.
struct Door {
    authority: Authority,
    address: SocketAddr,
    let_in: Arc<AtomicU32>,
}

impl Door {
    async fn open(prometheus: String) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server(&authority)));
        let let_in = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&let_in);
        let router = Router::new().fallback(move |request| {
            let (prometheus, counted) = (prometheus.clone(), Arc::clone(&counted));
            async move { pass_on(request, &prometheus, &counted).await }
        });
        tokio::spawn(async move { axum::serve(Listening { tcp, acceptor }, router).await });
        Self {
            authority,
            address,
            let_in,
        }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// A certificate of the authority with its key, both PEM.
    fn certificate(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["belay".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

fn server(authority: &Authority) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder()
        .with_client_cert_verifier(clients.unwrap())
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

struct Listening {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Listening {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else {
                continue;
            };
            // Who has no certificate does not get any further.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// The answer of Prometheus for who has the token.
async fn pass_on(request: Request, prometheus: &str, let_in: &AtomicU32) -> Response {
    let (parts, body) = request.into_parts();
    let shown = parts.headers.get(header::AUTHORIZATION);
    if shown.is_none_or(|shown| shown != &format!("Bearer {TOKEN}")) {
        let refused = Response::builder().status(StatusCode::UNAUTHORIZED);
        return refused.body(Body::from("who are you?")).unwrap();
    }
    let_in.fetch_add(1, Ordering::SeqCst);
    let kind = parts.headers.get(header::CONTENT_TYPE).unwrap();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let asked = reqwest::Client::new()
        .request(parts.method, format!("{prometheus}{}", parts.uri))
        .header(header::CONTENT_TYPE, kind)
        .body(body);
    let answer = asked.send().await.unwrap();
    let response = Response::builder().status(answer.status());
    response
        .body(Body::from(answer.bytes().await.unwrap()))
        .unwrap()
}

/// A namespace that lets Belay read its Secrets.
async fn scene(turn: &belay_tests::turns::Turn) -> Scene {
    let scene = Scene::new(turn.lab, "access").await.unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "belay"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("{NAME}-tenant")},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    }))
    .unwrap();
    let bindings = scene.api::<RoleBinding>();
    bindings
        .create(&PostParams::default(), &binding)
        .await
        .unwrap();
    scene
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prometheus_behind_tls_is_asked_with_a_certificate_and_a_token_from_secrets() {
    // Given a Prometheus that wants both, and two gates, one of which has a wrong token.
    let turn = turn().await;
    let controller = turn.acting("access").await.unwrap();
    let door = Door::open(turn.lab.prometheus_url().unwrap()).await;
    let scene = scene(&turn).await;
    let secrets = scene.api::<Secret>();
    let (certificate, key) = door.certificate();
    for (name, token) in [("known", TOKEN), ("stranger", "canary-5d1e-wrong")] {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": name},
            "stringData": {"token": token, "tls.crt": certificate, "tls.key": key},
        }))
        .unwrap();
        secrets
            .create(&PostParams::default(), &secret)
            .await
            .unwrap();
    }
    let authority: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "authority"}, "data": {"ca.crt": door.authority.pem()},
    }))
    .unwrap();
    let maps = scene.api::<ConfigMap>();
    maps.create(&PostParams::default(), &authority)
        .await
        .unwrap();
    let of = |more: &str| format!("http_requests_total{{namespace=\"{{{{namespace}}}}\"{more}}}");
    for name in ["known", "stranger"] {
        let key = |key: &str| json!({"name": name, "key": key});
        let gate = json!({
            "address": door.url(), "auth": {"bearer": key("token")},
            "tls": {"ca": {"configMapKey": {"name": "authority", "key": "ca.crt"}},
                    "client": {"certificate": key("tls.crt"), "key": key("tls.key")}},
            "compare": {"bad": of(r#",code=~"5..""#), "total": of(""), "warmup": "0s", "ingestDelay": "1s"},
        });
        template(&scene, name, gate).await;
    }
    let (known, stranger) = join(gated(&scene, "known"), gated(&scene, "stranger")).await;
    // When a version of the one with a wrong token comes, then it is held, and nobody was let in.
    stranger.set_image("stranger:v2").await.unwrap();
    let why = when(&stranger, |status| words(&status.gates, Verdict::Error)).await;
    assert!(why.contains("refused the credentials"), "{why}");
    assert_eq!(door.let_in.load(Ordering::SeqCst), 0);
    // When one of the other comes, then it goes through.
    passes(&known, "v2").await;
    assert!(door.let_in.load(Ordering::SeqCst) > 0);
    let held = stranger.status().await.unwrap();
    assert_eq!(held.phase, Phase::Progressing);
    // Then neither status nor log have shown a token, and without a certificate a token is of no use.
    let shown = format!("{:?} {held:?}", known.status().await.unwrap());
    let log = std::fs::read_to_string(controller.log()).unwrap();
    assert!(!shown.contains("canary-5d1e") && !log.contains("canary-5d1e"));
    let root = reqwest::Certificate::from_pem(door.authority.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).build();
    let stranger = client.unwrap().get(door.url()).bearer_auth(TOKEN).send();
    assert!(stranger.await.is_err());
    controller.terminate().await.unwrap();
}
