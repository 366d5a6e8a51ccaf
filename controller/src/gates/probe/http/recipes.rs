//! The recipes of the documentation, word for word, against stand-ins for the vendors: each answers as the vendor's documentation
//! says, and only a request as it says.

use belay_api::{AnalysisTemplate, analysis::arguments};
use serde_json::{Value, json};

use super::{
    tests::{Seen, StandIn, prober, respond},
    *,
};

/// The template of a recipe.
fn template(page: &str) -> AnalysisTemplate {
    let (_, yaml) = page.split_once("```yaml\n").unwrap();
    let (yaml, _) = yaml.split_once("```").unwrap();
    serde_saphyr::from_str(yaml).unwrap()
}

/// What a recipe makes of the vendor's answers: a good one, a bad one, and one without data.
async fn try_out(
    page: &str,
    args: &[(&str, &str)],
    accepts: fn(&Seen) -> Result<(), String>,
    [good, bad, none]: [Value; 3],
) {
    let answer = Arc::new(Mutex::new((200, Value::Null)));
    let given = Arc::clone(&answer);
    let server = StandIn::start(move |seen| {
        let (status, body) = match accepts(&seen) {
            Ok(()) => given.lock().unwrap().clone(),
            Err(why) => (400, json!({"why": why, "seen": format!("{seen:?}")})),
        };
        async move { respond(status, &body.to_string()) }
    })
    .await;
    let spec = template(page).spec;
    let given = args
        .iter()
        .copied()
        .chain([("api", server.address.as_str())]);
    let given: Values = given.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let mut gate = spec.gates[0].http.clone().unwrap();
    gate.retries = Some(HttpRetries {
        limit: 0,
        ..HttpRetries::default()
    });
    let question = HttpQuestion::new(&gate);
    let mut known = Known {
        values: arguments::resolve(&spec.args, &given).unwrap(),
        now: Timestamp::from_second(1_700_000_000).unwrap(),
        ..Known::default()
    };
    question.check(&known.values, &[]).unwrap();
    for key in question.secrets() {
        known
            .secrets
            .insert(key.clone(), format!("the-{}", key.key));
    }
    let ask = async |status: u16, body: Value| {
        *answer.lock().unwrap() = (status, body);
        prober().ask(&question, &known).await
    };
    let result = ask(200, good).await;
    assert!(
        matches!(result, GateResult::Pass { .. }),
        "{result:?}, {:?}",
        server.seen()
    );
    let result = ask(200, bad).await;
    assert!(matches!(result, GateResult::Fail { .. }), "{result:?}");
    let result = ask(200, none).await;
    assert!(matches!(result, GateResult::NoData { .. }), "{result:?}");
    for status in [401, 403, 429, 500] {
        let result = ask(status, json!({"errors": ["no"]})).await;
        assert!(
            matches!(result, GateResult::Error { .. }),
            "{status}: {result:?}"
        );
    }
    // Nobody else is let in: a request without credentials is not accepted.
    assert!(accepts(&Seen::default()).is_err());
}

fn header(seen: &Seen, name: &str, wanted: &str) -> Result<(), String> {
    let value = seen.headers.get(name).map(String::as_str);
    if value == Some(wanted) {
        Ok(())
    } else {
        Err(format!("{name} is {value:?}, not {wanted:?}"))
    }
}

fn asks(seen: &Seen, method: &str, path: &str, query: &[(&str, &str)]) -> Result<(), String> {
    let url = reqwest::Url::parse(&format!("http://x{}", seen.uri)).map_err(|e| e.to_string())?;
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let wanted: Vec<(String, String)> = query
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    if (seen.method.as_str(), url.path()) == (method, path) && pairs == wanted {
        Ok(())
    } else {
        Err(format!("{} {} {pairs:?}", seen.method, url.path()))
    }
}

#[tokio::test]
async fn datadog() {
    let series = |value: f64| json!({"status": "ok", "series": [{"pointlist": [[1_700_000_000_000_i64, 0.5], [1_700_000_060_000_i64, value]]}]});
    try_out(
        include_str!("../../../../../docs/recipes/datadog.md"),
        &[("service", "web"), ("version", "v2")],
        |seen| {
            header(seen, "dd-api-key", "the-api-key")?;
            header(seen, "dd-application-key", "the-app-key")?;
            let query = "sum:trace.http.request.errors{service:web,version:v2}.as_count() / sum:trace.http.request.hits{service:web,version:v2}.as_count()";
            asks(seen, "GET", "/api/v1/query", &[("from", "1699999700"), ("to", "1700000000"), ("query", query)])
        },
        [series(0.001), series(0.2), json!({"status": "ok", "series": []})],
    )
    .await;
}

#[tokio::test]
async fn new_relic() {
    let results =
        |results: Value| json!({"data": {"actor": {"account": {"nrql": {"results": results}}}}});
    try_out(
        include_str!("../../../../../docs/recipes/new-relic.md"),
        &[("account", "12345"), ("app", "web"), ("version", "v2")],
        |seen| {
            header(seen, "api-key", "the-user-key")?;
            header(seen, "content-type", "application/json")?;
            asks(seen, "POST", "/graphql", &[])?;
            let body: Value = serde_json::from_str(&seen.body).map_err(|e| e.to_string())?;
            let query = body["query"].as_str().unwrap_or_default();
            let wanted = "{ actor { account(id: 12345) { nrql(query: \"SELECT percentage(count(*), WHERE error IS true) AS 'errors' FROM Transaction WHERE appName = 'web' AND tags.version = 'v2' SINCE 5 minutes ago\") { results } } } }";
            if query == wanted { Ok(()) } else { Err(query.to_owned()) }
        },
        [
            results(json!([{"errors": 0.2}])),
            results(json!([{"errors": 7.5}])),
            json!({"data": null, "errors": [{"message": "NRQL Syntax Error"}]}),
        ],
    )
    .await;
}

#[tokio::test]
async fn sentry() {
    let rate = |rate: Value| json!({"groups": [{"by": {}, "totals": {"crash_free_rate(session)": rate}}], "query": "release:web@2"});
    try_out(
        include_str!("../../../../../docs/recipes/sentry.md"),
        &[
            ("organization", "shop"),
            ("project", "42"),
            ("release", "web@2"),
        ],
        |seen| {
            header(seen, "authorization", "Bearer the-token")?;
            let query = [
                ("project", "42"),
                ("field", "crash_free_rate(session)"),
                ("query", "release:web@2"),
                ("statsPeriod", "1h"),
            ];
            asks(seen, "GET", "/api/0/organizations/shop/sessions/", &query)
        },
        [rate(json!(0.999)), rate(json!(0.9)), rate(Value::Null)],
    )
    .await;
}

#[tokio::test]
async fn loki() {
    let result = |result: Value| json!({"status": "success", "data": {"resultType": "vector", "result": result}});
    let value = |value: &str| json!([{"metric": {}, "value": [1_700_000_000, value]}]);
    try_out(
        include_str!("../../../../../docs/recipes/loki.md"),
        &[("namespace", "shop"), ("pods", "web-abc-.+")],
        |seen| {
            header(seen, "x-scope-orgid", "shop")?;
            // the-username:the-password
            header(seen, "authorization", "Basic dGhlLXVzZXJuYW1lOnRoZS1wYXNzd29yZA==")?;
            let query = r#"sum(rate({namespace="shop", pod=~"web-abc-.+"} |= "level=error" [2m])) or vector(0)"#;
            asks(seen, "GET", "/loki/api/v1/query", &[("query", query)])
        },
        [result(value("0.1")), result(value("3")), result(json!([]))],
    )
    .await;
}

#[tokio::test]
async fn feature_flags() {
    let flag = |on: bool| json!({"key": "go-on", "environments": {"production": {"on": on, "archived": false}}});
    try_out(
        include_str!("../../../../../docs/recipes/feature-flags.md"),
        &[("flag", "go-on")],
        |seen| {
            header(seen, "authorization", "the-token")?;
            asks(
                seen,
                "GET",
                "/api/v2/flags/default/go-on",
                &[("env", "production")],
            )
        },
        [
            flag(true),
            flag(false),
            json!({"key": "go-on", "environments": {}}),
        ],
    )
    .await;
}
