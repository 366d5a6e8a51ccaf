//! Whole questions, against a real HTTP server that answers as Prometheus does.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use belay_api::{
    Rollout,
    analysis::{GateRef, GateSpec, Parameter},
};
use belay_engine::{analysis::burn_rate::Admission, digest::Digest};
use kube::runtime::reflector::ObjectRef;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::{
    gates::{
        Trial,
        measure::{Look, Timing, memory::Memory},
        probe::address::Reach,
        question::Question,
    },
    lease::Term,
    prometheus::metrics::PrometheusMetrics,
    telemetry::Metrics,
    watch::ServerVersion,
};

/// A Prometheus that answers each query as it is told, and remembers what it was asked.
struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
}

type Answer = Box<dyn Fn(&str) -> Value + Send + Sync>;

struct Seen {
    answer: Answer,
    asked: Mutex<Vec<(String, HeaderMap)>>,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> Value + Send + Sync + 'static) -> Self {
        async fn query(State(seen): State<Arc<Seen>>, headers: HeaderMap, form: String) -> String {
            let form = reqwest::Url::parse(&format!("http://form/?{form}")).unwrap();
            let mut pairs = form.query_pairs();
            let query = pairs
                .find(|(name, _)| name == "query")
                .unwrap()
                .1
                .into_owned();
            let data = (seen.answer)(&query);
            lock(&seen.asked).push((query, headers));
            json!({"status": "success", "data": data}).to_string()
        }
        let seen = Arc::new(Seen {
            answer: Box::new(answer),
            asked: Mutex::default(),
        });
        let app = Router::new().route("/api/v1/query", post(query));
        let app = app.with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, seen }
    }

    fn asked(&self) -> Vec<String> {
        let asked = lock(&self.seen.asked);
        asked.iter().map(|(query, _)| query.clone()).collect()
    }

    /// The header of the last question.
    fn header(&self, name: &str) -> Option<String> {
        let asked = lock(&self.seen.asked);
        let value = asked.last()?.1.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    /// What asks this server, with the credentials in `folder`.
    fn asker(&self, folder: Option<std::path::PathBuf>) -> Asker {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Nothing listens there: a test that needs the API server fails.
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = Client::try_from(config).unwrap();
        let term = Term::begin(1, Instant::now() + std::time::Duration::from_hours(1));
        let metrics = Arc::new(Metrics::new());
        Asker {
            prometheus: Prometheus::new(PrometheusMetrics::new()),
            pods: Pods::new(client.clone(), ServerVersion::parse("36"), metrics),
            default_server: Some(format!("http://{}", self.address)),
            reach: Reach::NetworkAndLoopback,
            accesses: Accesses::default(),
            mounted: Mounted::new(folder),
            labels: Labels::default(),
            secrets: Secrets::new(client.clone()),
            client: client.clone(),
            prober: Prober::new(Reach::NetworkAndLoopback).unwrap(),
            jobs: Jobs::new(client.clone(), Arc::new(Identities::new(client)), term),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A vector of these series.
fn vector(series: &[(Value, f64)]) -> Value {
    let series: Vec<Value> = series
        .iter()
        .map(|(metric, value)| json!({"metric": metric, "value": [1, value.to_string()]}))
        .collect();
    json!({"resultType": "vector", "result": series})
}

fn one(value: f64) -> Value {
    vector(&[(json!({}), value)])
}

fn nothing() -> Value {
    vector(&[])
}

/// The answer that these of the parts asked about have series.
fn places(places: &[usize]) -> Value {
    let series = places
        .iter()
        .map(|place| (json!({"belay_selector": place.to_string()}), 1.0));
    vector(&series.collect::<Vec<_>>())
}

/// A gate's question about the Rollout web, whose trial began an hour ago.
fn task_of(parameters: &Value, reference: &Value, prometheus: &Value) -> Task<Rollout> {
    let gate: GateSpec =
        serde_json::from_value(json!({"name": "g", "prometheus": prometheus})).unwrap();
    let parameters: Vec<Parameter> = serde_json::from_value(parameters.clone()).unwrap();
    let reference: GateRef = serde_json::from_value(reference.clone()).unwrap();
    let started_at = Timestamp::now() - std::time::Duration::from_hours(1);
    let at = Timestamp::now();
    Task {
        object: ObjectRef::new("web").within("shop"),
        uid: "1".to_owned(),
        trial: Trial {
            digest: Digest::of(&json!({})),
            started_at,
        },
        gate: "t/g".to_owned(),
        step: None,
        place: None,
        question: Arc::new(Question::new(&reference, &parameters, &gate).unwrap()),
        look: Look {
            about: at,
            ask_at: at,
        },
        timing: Timing::AtOnce,
        counted_through: None,
        admission: Admission::Open,
        workload: Some("web".to_owned()),
        versions: None,
        memory: Arc::<Memory>::default(),
        fields: None,
    }
}

fn task(prometheus: &Value) -> Task<Rollout> {
    task_of(&json!([]), &json!({"template": "t"}), prometheus)
}

fn threshold(query: &str) -> Value {
    json!({"query": query, "threshold": {"max": 0.5}})
}

async fn ask(asker: &Asker, task: &Task<Rollout>) -> Reading {
    asker.ask(task, Timestamp::now()).await
}

fn no_data(result: &GateResult) -> &str {
    match result {
        GateResult::NoData { why } => why,
        other => panic!("{other:?} is not without data"),
    }
}

const FAILED: &str = r#"sum(rate(requests_total{service="shop",code=~"5.."}[1m])) / sum(rate(requests_total{service="shop"}[1m]))"#;

#[tokio::test]
async fn a_label_that_never_existed_is_named_and_it_is_asked_for_once() {
    let server = Server::start(|query| match query {
        FAILED => nothing(),
        // Of both selectors the second was there in the last hour; of the first one the name and the service are.
        query if query.contains("last_over_time") => places(&[1]),
        _ => places(&[0, 1]),
    })
    .await;
    let (asker, task) = (server.asker(None), task(&threshold(FAILED)));
    let reading = ask(&asker, &task).await;
    let why = no_data(&reading.result).to_owned();
    assert!(why.contains(r#"none with `code=~"5.."`"#), "{why}");
    assert!(
        why.contains("never existed") && why.contains("or vector(0)"),
        "{why}"
    );
    // And the next look costs no more than any other.
    assert_eq!(no_data(&ask(&asker, &task).await.result), why);
    assert_eq!(server.asked().len(), 4, "{:#?}", server.asked());
}

#[tokio::test]
async fn a_metric_that_never_existed_is_told_from_one_that_is_gone() {
    let never = Server::start(|_| nothing()).await;
    let why = ask(&never.asker(None), &task(&threshold(FAILED)))
        .await
        .result;
    assert!(
        no_data(&why).contains("no metric `requests_total`"),
        "{why:?}"
    );
    let gone = Server::start(|query| match query {
        FAILED => nothing(),
        _ => places(&[0, 1]),
    })
    .await;
    let why = ask(&gone.asker(None), &task(&threshold(FAILED)))
        .await
        .result;
    assert!(
        no_data(&why).contains("gives no series any more"),
        "{why:?}"
    );
}

#[tokio::test]
async fn of_alternatives_none_is_missed_while_another_was_there() {
    let query = "sum(rate(a_total[1m])) or sum(rate(b_total[1m]))";
    let server = Server::start(move |asked| match asked {
        asked if asked == query => nothing(),
        _ => places(&[1]),
    })
    .await;
    let why = ask(&server.asker(None), &task(&threshold(query)))
        .await
        .result;
    assert!(no_data(&why).contains("any more"), "{why:?}");
}

fn burn(more: &Value) -> Value {
    let mut burn = json!({
        "objectivePercent": 99.9,
        "errorRatio": "sum(rate(errors_total[{{window}}])) / sum(rate(requests_total[{{window}}]))",
    });
    let fields = burn.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    json!({"burnRate": burn})
}

#[tokio::test]
async fn a_burn_rate_without_series_is_explained_as_well() {
    let server = Server::start(|_| nothing()).await;
    let result = ask(&server.asker(None), &task(&burn(&json!({}))))
        .await
        .result;
    assert!(
        no_data(&result).contains("no metric `errors_total`"),
        "{result:?}"
    );
}

/// Answers of a service whose windows all have this share of bad events, this many events, and this share over the whole period.
async fn burning(share: f64, total: f64, of_period: f64) -> Server {
    Server::start(move |query| {
        if !query.contains("belay_window") {
            return if query.contains("[30d]") {
                one(of_period)
            } else {
                one(0.0)
            };
        }
        let mut series = Vec::new();
        for window in ["1h", "5m", "6h", "30m"] {
            series.push((json!({"belay_window": window}), share));
            if query.contains(&format!("\"{window} total\"")) {
                series.push((json!({"belay_window": format!("{window} total")}), total));
            }
        }
        vector(&series)
    })
    .await
}

#[tokio::test]
async fn a_few_events_are_no_burn_once_their_number_is_known() {
    let server = burning(1.0 / 40.0, 40.0, 0.0).await;
    let asker = server.asker(None);
    let result = ask(&asker, &task(&burn(&json!({})))).await.result;
    assert!(matches!(result, GateResult::Fail { .. }), "{result:?}");
    let total = json!({"total": "sum(increase(requests_total[{{window}}]))"});
    let result = ask(&asker, &task(&burn(&total))).await.result;
    assert!(matches!(result, GateResult::Pass { .. }), "{result:?}");
    let busy = burning(1.0 / 40.0, 40_000.0, 0.0).await;
    let result = ask(&busy.asker(None), &task(&burn(&total))).await.result;
    assert!(matches!(result, GateResult::Fail { .. }), "{result:?}");
}

#[tokio::test]
async fn a_restart_does_not_open_a_budget_that_is_held() {
    // Given 27 % of the budget left where 25 % are needed, and 30 % once it was below.
    let server = burning(0.0, 0.0, 0.000_73).await;
    let held = burn(&json!({"minRemainingPercent": 25}));
    let fresh = task(&held);
    let result = ask(&server.asker(None), &fresh).await.result;
    assert!(matches!(result, GateResult::Pass { .. }), "{result:?}");
    // When the process begins anew with what is on record.
    let on_record = Task {
        admission: Admission::Frozen,
        ..task(&held)
    };
    let result = ask(&server.asker(None), &on_record).await.result;
    assert!(matches!(result, GateResult::Frozen { .. }), "{result:?}");
}

/// Samples of one series, `seconds` apart.
fn samples(seconds: f64) -> Value {
    let values: Vec<Value> = (0..10)
        .map(|n| json!([seconds * f64::from(n), "1"]))
        .collect();
    json!({"resultType": "matrix", "result": [{"metric": {"pod": "a"}, "values": values}]})
}

#[tokio::test]
async fn a_range_shorter_than_four_scrapes_is_doubted_once() {
    let short = r#"sum(rate(requests_total{service="shop"}[45s]))"#;
    let server = Server::start(move |query| match query {
        query if query == short => one(0.1),
        query if query.starts_with("topk") => {
            vector(&[(json!({"service": "shop", "pod": "a"}), 40.0)])
        }
        r#"{__name__="requests_total",pod="a",service="shop"}[10m]"# => samples(15.0),
        _ => nothing(),
    })
    .await;
    let (asker, task) = (server.asker(None), task(&threshold(short)));
    let reading = ask(&asker, &task).await;
    assert!(
        matches!(reading.result, GateResult::Pass { .. }),
        "{reading:?}"
    );
    let doubts = task.memory.doubts().unwrap();
    assert!(
        doubts[0].contains("fewer than four scrapes of 15s"),
        "{doubts:?}"
    );
    assert!(doubts[0].contains("write [1m]"), "{doubts:?}");
    ask(&asker, &task).await;
    assert_eq!(server.asked().len(), 4, "{:#?}", server.asked());
}

#[tokio::test]
async fn a_range_that_is_long_enough_is_not_doubted_and_a_new_series_is_looked_at_again() {
    let long = "sum(rate(requests_total[1m]))";
    let few = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let still = Arc::clone(&few);
    let server = Server::start(move |query| match query {
        query if query == long => one(0.1),
        query if query.starts_with("topk") => one(2.0),
        _ if still.load(std::sync::atomic::Ordering::Relaxed) => {
            json!({"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "1"], [16, "1"]]}]})
        }
        _ => samples(15.0),
    })
    .await;
    let (asker, task) = (server.asker(None), task(&threshold(long)));
    ask(&asker, &task).await;
    assert_eq!(task.memory.doubts(), None);
    // A later look: answers of the same moment would be shared.
    few.store(false, std::sync::atomic::Ordering::Relaxed);
    ask(&asker, &task).await;
    assert_eq!(task.memory.doubts(), Some(&[][..]));
}

#[tokio::test]
async fn labels_are_found_once_stated_and_given_way_to_arguments() {
    let parameters = json!([
        {"name": "podLabel", "default": "pod", "detect": "PodLabel"},
        {"name": "namespaceLabel", "default": "namespace", "detect": "NamespaceLabel"},
    ]);
    let query = r#"sum(up{ {{namespaceLabel}}="shop",{{podLabel}}=~"web-.+"})"#;
    let server = Server::start(|query| {
        if query.starts_with("group by") {
            return vector(&[(
                json!({"kubernetes_pod_name": "web-5d-abcde", "kubernetes_namespace": "shop"}),
                1.0,
            )]);
        }
        one(0.0)
    })
    .await;
    let asker = server.asker(None);
    let found = task_of(&parameters, &json!({"template": "t"}), &threshold(query));
    let reading = ask(&asker, &found).await;
    let said = reading.found.unwrap();
    assert_eq!(
        said,
        "podLabel is kubernetes_pod_name, namespaceLabel is kubernetes_namespace, as the series show"
    );
    let last = server.asked().pop().unwrap();
    assert_eq!(
        last,
        r#"sum(up{ kubernetes_namespace="shop",kubernetes_pod_name=~"web-.+"})"#
    );
    ask(&asker, &found).await;
    let looked = || {
        server
            .asked()
            .iter()
            .filter(|query| query.starts_with("group by"))
            .count()
    };
    assert_eq!(looked(), 1);
    // What the user says is not looked for.
    let given = json!({"template": "t", "args": {"podLabel": "pod", "namespaceLabel": "ns"}});
    let given = task_of(&parameters, &given, &threshold(query));
    let reading = ask(&asker, &given).await;
    assert_eq!((reading.found, looked()), (None, 1));
    assert_eq!(
        server.asked().pop().unwrap(),
        r#"sum(up{ ns="shop",pod=~"web-.+"})"#
    );
}

#[tokio::test]
async fn mounted_credentials_go_to_the_default_prometheus_only_and_only_from_plain_gates() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("token", "mounted\n");
    write("headers", "X-Scope-OrgID: team-a\n\n");
    let server = Server::start(|_| one(0.1)).await;
    let asker = server.asker(Some(folder.path().to_owned()));
    let mut gate = threshold("up");
    ask(&asker, &task(&gate)).await;
    assert_eq!(
        server.header("authorization").as_deref(),
        Some("Bearer mounted")
    );
    assert_eq!(server.header("x-scope-orgid").as_deref(), Some("team-a"));
    // A gate that brings a header of its own speaks with its own alone.
    gate["headers"] = json!([{"name": "X-Scope-OrgID", "value": "team-b"}]);
    ask(&asker, &task(&gate)).await;
    assert_eq!(server.header("authorization"), None);
    assert_eq!(server.header("x-scope-orgid").as_deref(), Some("team-b"));
    // And one that names an address gets nothing, even if it is the same one.
    let mut elsewhere = threshold("up");
    elsewhere["address"] = json!(format!("http://{}", server.address));
    ask(&asker, &task(&elsewhere)).await;
    assert_eq!(server.header("authorization"), None);
}
