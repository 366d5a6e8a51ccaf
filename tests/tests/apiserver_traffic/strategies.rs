//! Clients that stay, A/B tests, and tools that apply routes and Services again and again meanwhile.

use std::time::Duration;

use belay_engine::{rollout::status::Phase, traffic::Sessions};
use belay_tests::scene::{SOON, Scene};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::MissedTickBehavior};

use crate::{
    canary::{Shop, sources},
    lab,
    writers::Writer,
};

/// Shorter than any tool's interval; several rounds of it go by within a canary. Longer than connections are given to end, which begins
/// anew with each.
const AGAIN: Duration = Duration::from_secs(8);

fn led(strategy: &Value) -> Value {
    json!({
        "strategy": strategy,
        "traffic": {"service": "web", "routes": [{"kind": "HTTPRoute", "name": "web"}], "drain": "1s"},
    })
}

async fn rules(shop: &Shop) -> Value {
    let [(routes, _), _] = sources(&shop.scene);
    routes.get("web").await.unwrap().data["spec"]["rules"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_name_the_trial_and_go_with_it() {
    let mut spec = led(&json!({"canary": {"steps": [
        {"weight": 20, "approval": true}, {"weight": 60, "approval": true}, {"weight": 100},
    ]}}));
    spec["traffic"]["affinity"] = json!({"cookie": "shop", "maxAge": "1h"});
    let shop = Shop::open_with("stay", 2, spec, &[], &[]).await;
    shop.web.set_image("web:v2").await.unwrap();
    let status = shop.web.waits_for("Approval").await.unwrap();
    let candidate = status.candidate.unwrap();
    let trial = Sessions::trial(&candidate.version.hash, candidate.started_at);
    // Then whoever has the candidate's cookie, or stable's of this share, is led by it.
    let cookie = |rule: &Value| {
        rule["matches"][0]["headers"][0]["value"]
            .as_str()
            .map(str::to_owned)
    };
    let first = rules(&shop).await;
    assert_eq!(first.as_array().unwrap().len(), 3);
    assert!(
        cookie(&first[0])
            .unwrap()
            .contains(&format!(r"shop={trial}\.canary"))
    );
    assert!(
        cookie(&first[1])
            .unwrap()
            .contains(&format!(r"shop={trial}\.stable-20"))
    );
    let given = &first[2]["backendRefs"][1]["filters"][0]["responseHeaderModifier"]["add"][0];
    let given = given["value"].as_str().unwrap();
    assert!(
        given.starts_with(&format!("shop={trial}.canary; ")),
        "{given}"
    );
    // When the share grows, those who stayed are asked once more.
    shop.scene.act("web", "Approve").await.unwrap();
    shop.web
        .status_when(
            |status| match (&status.waiting_for, status.weight_percent) {
                (Some(waiting), Some(60)) if waiting.reason == "Approval" => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await
        .unwrap();
    let second = rules(&shop).await;
    assert_eq!(second.as_array().unwrap().len(), 4);
    assert!(
        cookie(&second[2])
            .unwrap()
            .contains(&format!(r"shop={trial}\.stable-20"))
    );
    assert_eq!(second[2]["backendRefs"][1]["weight"], 50);
    // When it goes back, no rule looks at a cookie any more.
    shop.scene.act("web", "Abort").await.unwrap();
    shop.web.is_in(Phase::Rejected).await.unwrap();
    shop.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ab_test_leads_its_cohort_for_its_time_and_is_then_promoted() {
    let spec = led(&json!({"ab": {
        "match": [{"cookies": [{"name": "group", "exact": "b"}]}], "duration": "1s", "approval": true,
        "gates": [{"template": "errors"}],
    }}));
    let shop = Shop::open_with("ab", 2, spec, &[], &["errors"]).await;
    shop.web.set_image("web:v2").await.unwrap();
    let status = shop.web.waits_for("Approval").await.unwrap();
    assert_eq!(status.candidate_replicas, Some(2));
    let test = rules(&shop).await;
    let condition = &test[0]["matches"][0]["headers"][0];
    assert_eq!(condition["type"], "RegularExpression");
    assert_eq!(condition["value"], "^(.*; ?)?group=b(;.*)?$");
    assert_eq!(test[0]["backendRefs"][0]["name"], "web-canary");
    assert_eq!(shop.gateway.shares(), [0], "nobody else is led there");
    shop.scene.act("web", "Approve").await.unwrap();
    shop.web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    shop.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_gives_the_new_version_copies_and_no_answer_of_its_own() {
    let steps = json!([{"mirror": 50, "replicas": 1, "approval": true}, {"weight": 100}]);
    let shop = Shop::open_with(
        "mirror",
        2,
        led(&json!({"canary": {"steps": steps}})),
        &[],
        &[],
    )
    .await;
    // When a new version is asked for, then it gets a copy of each second request, and the stable version answers all of them.
    shop.web.set_image("web:v2").await.unwrap();
    let status = shop.web.waits_for("Approval").await.unwrap();
    assert_eq!(status.candidate_replicas, Some(1));
    let copied = rules(&shop).await;
    let filter = &copied[0]["filters"][0];
    assert_eq!(filter["type"], "RequestMirror");
    let mirror = &filter["requestMirror"];
    assert_eq!(mirror["percent"], 50);
    assert_eq!(mirror["backendRef"]["name"], "web-canary");
    assert_eq!(shop.gateway.shares(), [0]);
    // When a person approves, then the copies end with the shares that follow, and nothing is left of either.
    shop.scene.act("web", "Approve").await.unwrap();
    shop.web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    shop.is_as_before().await;
    assert!(shop.gateway.shares().contains(&100));
}

/// Applies the sources again and again, until it is aborted.
fn again_and_again(writer: Writer, scene: &Scene) -> JoinHandle<()> {
    let sources = sources(scene);
    tokio::spawn(async move {
        let mut due = tokio::time::interval(AGAIN);
        // On a slow machine one time is left out, rather than made up for at once.
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            for (api, source) in &sources {
                writer.apply(api, source).await;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_applies_its_sources_all_the_time_neither_stops_a_canary_nor_empties_a_destination()
 {
    for writer in [Writer::Flux, Writer::ArgoServerSide, Writer::ArgoClientSide] {
        let scene = Scene::new(lab().await, "loops").await.unwrap();
        let spec = led(&json!({"canary": {"steps": [
            {"weight": 20, "hold": "4s"}, {"weight": 60, "hold": "4s"}, {"weight": 100, "hold": "1s"},
        ]}}));
        let shop = Shop::brought_by(writer, scene, 3, spec, &["good"]).await;
        let tool = again_and_again(writer, &shop.scene);
        // When a version goes through all steps, and the next one goes back.
        shop.web.set_image("web:v2").await.unwrap();
        shop.web
            .settled(Phase::Healthy, "v2", 3 * SOON)
            .await
            .unwrap();
        for share in [20, 60] {
            assert!(shop.gateway.shares().contains(&share), "{writer:?}");
        }
        shop.web.set_image("web:v3").await.unwrap();
        shop.web.waits_for("Hold").await.unwrap();
        shop.scene.act("web", "Abort").await.unwrap();
        shop.web.is_in(Phase::Rejected).await.unwrap();
        tool.abort();
        // Then nothing is left of either.
        shop.is_as_before().await;
    }
}
