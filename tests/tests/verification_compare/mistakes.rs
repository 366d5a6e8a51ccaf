//! Mistakes in what a gate asks show on first use, in a sentence that tells what to do, and hold the change.

use belay_engine::{gate::Verdict, rollout::status::Phase};
use belay_tests::{scene::Scene, told::words, watching::pods};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::{
    methods::{compare, gated, requests, template},
    shared_turn, when,
};

fn at_most_one(query: &str) -> Value {
    json!({"query": query, "threshold": {"max": 1}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_gives_no_answer_holds_the_change_and_says_what_to_write() {
    let turn = shared_turn().await;
    let failed = requests(r#",code=~"5..""#);
    let mistakes = [
        (
            "no-such-label",
            at_most_one(&format!("sum(rate({}[1m]))", requests(r#",status="500""#))),
            Verdict::NoData,
            "none with `status=\"500\"`, now or in the last hour; the label or its value is most likely misspelt",
        ),
        (
            "several-series",
            at_most_one(&format!("sum by (pod) (rate({}[1m]))", requests(""))),
            Verdict::Error,
            "series where one number is meant; aggregate them, for example with sum(...)",
        ),
        (
            "never-existed",
            compare(&failed, &requests(r#",route="/pay""#), &json!({})),
            Verdict::NoData,
            "none with `route=\"/pay\"`, now or in the last hour; the label or its value is most likely misspelt, or never existed",
        ),
        (
            "no-pod-label",
            compare(&failed, &requests(""), &json!({"podLabel": "pod_name"})),
            Verdict::NoData,
            "the series have no label \"pod_name\" with the pod's name; name the right label under podLabel",
        ),
        (
            "other-pods",
            compare(
                r#"http_requests_total{namespace!="{{namespace}}",code=~"5.."}"#,
                r#"http_requests_total{namespace!="{{namespace}}"}"#,
                &json!({}),
            ),
            Verdict::NoData,
            "of no canary or stable pod; check what the query selects",
        ),
        (
            "beyond-the-buckets",
            json!({"latency": {
                "histogram": "http_request_duration_seconds_bucket{namespace=\"{{namespace}}\"}",
                "measure": {"slowerThan": 30}, "warmup": "0s", "ingestDelay": "1s",
            }}),
            Verdict::NoData,
            "the histogram tells requests apart up to 10 only",
        ),
    ];
    let trials = mistakes
        .into_iter()
        .map(|(name, prometheus, verdict, sentence)| {
            let turn = &turn;
            async move {
                // Given a gate with a mistake, when a version comes.
                let scene = Scene::new(turn.lab, name).await.unwrap();
                template(&scene, "web", prometheus).await;
                let web = gated(&scene, "web").await;
                web.set_image("web:v2").await.unwrap();
                // Then the mistake is told, and the version is neither brought further nor taken back.
                when(&web, |status| {
                    let said = words(&status.gates, verdict)?;
                    said.contains(sentence).then_some(()).ok_or(said)
                })
                .await;
                assert_eq!(web.status().await.unwrap().phase, Phase::Progressing);
            }
        });
    join_all(trials).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_that_are_not_scraped_any_more_are_told_from_those_that_never_were() {
    // Given a canary whose counters are compared, which takes its time.
    let turn = shared_turn().await;
    let scene = Scene::new(turn.lab, "gone").await.unwrap();
    let patient = json!({"minRequests": 1_000_000});
    let gate = compare(&requests(r#",code=~"5..""#), &requests(""), &patient);
    template(&scene, "web", gate).await;
    let web = gated(&scene, "web").await;
    web.set_image("web:v2").await.unwrap();
    when(&web, |status| {
        let gate = status.gates.first().ok_or("no gate")?;
        let evidence = gate.evidence.as_ref().ok_or("no evidence")?;
        let counted = evidence.canary.total();
        (counted > 0.0)
            .then_some(())
            .ok_or(format!("{counted} counted"))
    })
    .await;
    // When no pod shows its counters any more.
    let load = turn.lab.load().unwrap();
    for pod in pods(&scene.client, &scene.namespace, "app=web")
        .await
        .unwrap()
        .values()
    {
        load.silence(&scene.namespace, pod);
    }
    // Then that is what is told.
    when(&web, |status| {
        let said = words(&status.gates, Verdict::NoData)?;
        let wanted = "gives no series any more, though there were some in the last hour; check that these pods are still scraped";
        said.contains(wanted).then_some(()).ok_or(said)
    })
    .await;
    assert_eq!(web.status().await.unwrap().phase, Phase::Progressing);
}
