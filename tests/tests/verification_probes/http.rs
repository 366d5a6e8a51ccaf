//! HTTP requests as gates.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
};
use belay_engine::{
    gate::Verdict,
    rollout::status::{Phase, RollbackReason},
};
use belay_tests::{scene::SOON, told::words};
use serde_json::{Value, json};

use super::{team::Team, turn};

/// A request as it came in.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// A server that answers as it is told to, and remembers what it was asked.
pub(super) struct StandIn {
    pub(super) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl StandIn {
    pub(super) async fn start(
        answer: impl Fn(&Seen) -> (u16, Value) + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let remembered = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            let (answer, remembered) = (answer.clone(), Arc::clone(&remembered));
            async move {
                let seen = look(request).await;
                let (status, body) = answer(&seen);
                remembered.lock().unwrap().push(seen);
                let response = Response::builder().status(status);
                response.body(Body::from(body.to_string())).unwrap()
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, seen }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn look(request: Request) -> Seen {
    let (parts, body) = request.into_parts();
    let headers = parts.headers.iter().map(|(name, value)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Seen {
        path: parts.uri.to_string(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_holds_a_change_and_a_broken_condition_takes_it_back() {
    // Given a gate that asks a service whose answer is fine, and a credential in a Secret.
    let turn = turn().await;
    let controller = turn.acting("probes").await.unwrap();
    let team = Team::new(turn.lab, "http").await;
    team.secret("api", json!({"token": "let-me-in\n"})).await;
    let answer = Arc::new(Mutex::new((200, json!({"rate": 0.01}))));
    let given = Arc::clone(&answer);
    let server = StandIn::start(move |seen| {
        if seen.headers.get("authorization").map(String::as_str) == Some("Bearer let-me-in") {
            given.lock().unwrap().clone()
        } else {
            (401, json!({}))
        }
    })
    .await;
    let say = |status: u16, body: Value| *answer.lock().unwrap() = (status, body);
    let http = json!({
        "url": "{{api}}/errors/{{service}}", "query": [{"name": "since", "value": "5m"}],
        "auth": {"bearer": {"name": "api", "key": "token"}}, "retries": {"limit": 0, "backoff": "1s"},
        "expect": {"json": [{"path": "$.rate", "max": 0.05}]},
    });
    let args = json!([{"name": "api"}, {"name": "service"}]);
    team.template("errors", args, json!({"interval": "1s", "http": http}))
        .await;
    let gates = json!([{"template": "errors", "args": {"api": server.address, "service": "web"}}]);
    let web = team.workload(json!([{"replicas": 1}]), gates).await;
    // When a new version comes, it goes through.
    web.set_image("web:v2").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    assert_eq!(server.seen()[0].path, "/errors/web?since=5m");
    // When the service is down, the next one is held.
    say(503, json!({}));
    web.set_image("web:v3").await.unwrap();
    verdict_is(&web, Verdict::Error, "answered 503").await;
    // When it has no data, too.
    say(200, json!({"rate": null}));
    verdict_is(&web, Verdict::NoData, "$.rate is null").await;
    // When its answer is bad, then the version is taken back.
    say(200, json!({"rate": 0.5}));
    let status = web.is_in(Phase::Rejected).await.unwrap();
    let rollback = status.rollback.unwrap();
    assert_eq!(rollback.reason, RollbackReason::GateFailed);
    assert!(
        rollback
            .message
            .contains("$.rate is 0.5, above the maximum of 0.05"),
        "{}",
        rollback.message
    );
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_that_ask_nothing_or_too_much_are_refused() {
    let turn = turn().await;
    let team = Team::new(turn.lab, "refused").await;
    let create = |gate: Value| {
        let template: belay_api::AnalysisTemplate = serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"generateName": "t-"},
            "spec": {"gates": [gate]},
        }))
        .unwrap();
        let api: kube::Api<belay_api::AnalysisTemplate> = team.scene.api();
        async move {
            api.create(&kube::api::PostParams::default(), &template)
                .await
                .map_err(|e| e.to_string())
        }
    };
    let http = json!({"url": "http://web"});
    let job = json!({"serviceAccountName": "tester", "spec": {"template": {}}});
    create(json!({"name": "one", "http": http})).await.unwrap();
    create(json!({"name": "one", "job": job})).await.unwrap();
    for (gate, part) in [
        (json!({"name": "none"}), "exactly one of"),
        (
            json!({"name": "both", "http": http, "job": job}),
            "exactly one of",
        ),
        (
            json!({"name": "bad", "http": {"url": "ftp://web"}}),
            "spec.gates[0].http.url",
        ),
        (
            json!({"name": "bad", "http": {"url": "http://web", "headers": [{"name": "X"}]}}),
            "exactly one of value and secretKey",
        ),
        (
            json!({"name": "bad", "http": {"url": "http://web", "expect": {"json": [{"path": "$.a"}]}}}),
            "would always hold",
        ),
    ] {
        let why = create(gate).await.unwrap_err();
        assert!(why.contains(part), "{why}");
    }
}

async fn verdict_is(web: &belay_tests::workload::Workload, verdict: Verdict, part: &str) {
    web.status_when(|status| {
        let words = words(&status.gates, verdict)?;
        words.contains(part).then_some(()).ok_or(words)
    })
    .await
    .unwrap();
}
