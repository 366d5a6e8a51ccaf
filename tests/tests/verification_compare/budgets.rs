//! Error budgets that recording rules tell of, named as Sloth and Pyrra name them.

use belay_engine::{gate::Verdict, rollout::status::Phase};
use belay_tests::{scene::Scene, told::words, turns::Turn, workload::Workload};
use futures::future::join;
use serde_json::{Value, json};

use crate::{
    SOON,
    methods::{gated, is_rolled_back, passes, template},
    more_readings, shared_turn, turn, when,
};

/// The share of failed requests of a namespace over a window.
fn share(namespace: &str, window: &str) -> String {
    let of = |more: &str| {
        format!("sum(rate(http_requests_total{{namespace=\"{namespace}\"{more}}}[{window}]))")
    };
    format!("{} / {}", of(r#",code=~"5..""#), of(""))
}

/// The rules that Sloth writes for an objective over `period`, as far as Belay reads them. `whole` gives the share
/// over the whole period.
fn sloth(namespace: &str, period: &str, whole: &str) -> Vec<Value> {
    let rule = |window: &str, expr: &str| {
        json!({
            "record": format!("slo:sli_error:ratio_rate{window}"), "expr": expr,
            "labels": {"sloth_id": format!("{namespace}-availability"), "sloth_service": namespace,
                       "sloth_slo": "availability", "sloth_window": window},
        })
    };
    let windows = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];
    let mut rules: Vec<Value> = windows
        .iter()
        .map(|window| rule(window, &share(namespace, window)))
        .collect();
    rules.push(rule(period, whole));
    rules
}

/// The rules that Pyrra writes for an objective over 30 days, whose windows are those of 28 days stretched.
fn pyrra(namespace: &str) -> Vec<Value> {
    let labels = json!({"slo": format!("{namespace}-errors"), "namespace": namespace});
    let windows = ["5m", "32m", "1h4m", "2h9m", "6h26m", "1d1h43m", "4d6h51m"];
    let mut rules: Vec<Value> = windows
        .iter()
        .map(|window| {
            let record = format!("http_requests:burnrate{window}");
            json!({"record": record, "expr": share(namespace, window), "labels": labels})
        })
        .collect();
    let availability = format!("1 - {}", share(namespace, "30d"));
    rules.push(json!({"record": "pyrra_availability", "expr": availability, "labels": labels}));
    rules
}

/// What `v3` must not do.
fn spoil(turn: &Turn, scene: &Scene, name: &str) {
    let load = turn.lab.load().unwrap();
    load.set_error_rate(&scene.namespace, &format!("{name}:v3"), 0.5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_rules_of_sloth_and_pyrra_are_found_by_name_whatever_the_period() {
    let turn = shared_turn().await;
    let trial =
        async |prefix: &str, rules: &dyn Fn(&str) -> Vec<Value>, source: Value, days: u32| {
            let scene = Scene::new(turn.lab, prefix).await.unwrap();
            let namespace = &scene.namespace;
            // Given a gate that names nothing but the objective.
            let burn = json!({
                "objectivePercent": 99.9, "periodDays": days, "minRemainingPercent": 10,
            });
            let mut burn = burn;
            burn.as_object_mut()
                .unwrap()
                .extend(source.as_object().unwrap().clone());
            template(&scene, "web", json!({"burnRate": burn})).await;
            let web = gated(&scene, "web").await;
            turn.lab.record(namespace, &rules(namespace)).await.unwrap();
            // Then a good version passes, and one that burns the budget does not.
            passes(&web, "v2").await;
            spoil(&turn, &scene, "web");
            let message = is_rolled_back(&web, "v3").await;
            assert!(message.contains("budget"), "{message}");
            println!("{prefix}: {message}");
        };
    let of_sloth = json!({"sloth": {"service": "{{namespace}}", "slo": "availability"}});
    let of_pyrra = json!({"pyrra": {"slo": "{{namespace}}-errors"}});
    let four_weeks = |namespace: &str| sloth(namespace, "4w", &share(namespace, "4w"));
    join(
        trial("sloth", &four_weeks, of_sloth, 28),
        trial("pyrra", &pyrra, of_pyrra, 30),
    )
    .await;
}

/// Waits until the change is held for want of budget, which is told.
async fn is_held(web: &Workload, left: &str) {
    let wanted = format!("{left} % of the budget left; changes go forward again at 55.0 %");
    when(web, |status| {
        let words = words(&status.gates, Verdict::Continue)?;
        let waiting = status.waiting_for.as_ref().ok_or("it waits for nothing")?;
        let told = words == wanted && waiting.message.contains(&wanted);
        told.then_some(()).ok_or(format!("{words}; {waiting:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_is_nearly_spent_holds_changes_until_it_has_recovered_and_no_rollback() {
    // Given an objective that half of the budget must be left of.
    let turn = turn().await;
    let controller = turn.acting("budget").await.unwrap();
    let scene = Scene::new(turn.lab, "budget").await.unwrap();
    let namespace = &scene.namespace;
    let left = async |percent: f64| {
        let spent = format!("vector({})", 0.001 * (1.0 - percent / 100.0));
        let rules = sloth(namespace, "30d", &spent);
        turn.lab.record(namespace, &rules).await.unwrap();
    };
    let burn = json!({"burnRate": {
        "objectivePercent": 99.9, "minRemainingPercent": 50,
        "sloth": {"service": "{{namespace}}", "slo": "availability"},
    }});
    template(&scene, "web", burn).await;
    left(60.0).await;
    let web = gated(&scene, "web").await;
    // When enough is left, then a change goes forward.
    passes(&web, "v2").await;
    // When too little is, then the next one is held,
    left(40.0).await;
    web.set_image("web:v2a").await.unwrap();
    is_held(&web, "40.0").await;
    // and goes on being held when there is only just enough again, also by a controller that knows nothing of before.
    left(52.0).await;
    more_readings(&controller, "continue", 3.0).await;
    controller.terminate().await.unwrap();
    let controller = turn.acting("budget").await.unwrap();
    more_readings(&controller, "continue", 3.0).await;
    assert_eq!(web.status().await.unwrap().phase, Phase::Progressing);
    // When it has recovered, then it goes forward.
    left(60.0).await;
    web.settled(Phase::Healthy, "v2a", SOON).await.unwrap();
    // When too little is left, then a bad version is rolled back all the same.
    left(40.0).await;
    spoil(&turn, &scene, "web");
    let message = is_rolled_back(&web, "v3").await;
    println!("{message}");
    controller.terminate().await.unwrap();
}
