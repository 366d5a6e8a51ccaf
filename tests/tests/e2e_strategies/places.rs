//! A StatefulSet under real requests: what its places answer at a step, and nothing lost when they change hands.

use belay_engine::rollout::status::Phase;
use belay_lab::{RunningTraffic, Tally};
use belay_tests::plane::{
    SOON, Shop, TOLERANCE_POINTS, answers_needed, from_now_on, share_becomes,
};
use belay_tests::scene::Scene;
use belay_tests::workload::Workload;
use belay_tests::{Error, check};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::{Governed, lab};

const REPLICAS: i32 = 4;
const PER_SECOND: f64 = 200.0;

/// A StatefulSet of four pods behind route and Service `web`, at its first version.
async fn open(prefix: &str) -> Result<Governed, Error> {
    let shop = Shop::open(lab().await?, prefix).await?;
    shop.http_route("web", &[("web", 1)]).await?;
    shop.apply(json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"},
        "spec": {
            "replicas": REPLICAS, "serviceName": "web", "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "containers": [{"name": "main", "image": "shop/web:v1", "ports": [{"containerPort": 8080}]}],
                },
            },
        },
    }))
    .await?;
    shop.service("web", "web").await?;
    shop.answers().await?;
    shop.apply(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {
            "workloadRef": {"kind": "StatefulSet", "name": "web"},
            "strategy": {"canary": {"steps": [{"weight": 20, "approval": true}, {"weight": 40, "approval": true}]}},
            "traffic": {"service": "web", "routes": [{"kind": "HTTPRoute", "name": "web"}], "drain": "1s"},
        },
    }))
    .await?;
    let web = Workload::existing(&shop.client, &shop.namespace, "web");
    web.settled(Phase::Healthy, "v1", SOON).await?;
    let scene = Scene {
        client: shop.client.clone(),
        namespace: shop.namespace.clone(),
    };
    Ok(Governed { shop, scene, web })
}

async fn set_image(governed: &Governed, image: &str) -> Result<(), Error> {
    let sets: Api<StatefulSet> = governed.scene.api();
    let containers = json!([{"name": "main", "image": image}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let parameters = PatchParams::default();
    sets.patch("web", &parameters, &Patch::Strategic(patch))
        .await?;
    Ok(())
}

/// Waits for a step, and counts the answers of its versions.
async fn answers(governed: &Governed, traffic: &RunningTraffic, percent: u8) -> Result<(), Error> {
    governed.share_is(percent.into()).await?;
    share_becomes(traffic, "v2", percent.into()).await?;
    let tally = from_now_on(traffic, answers_needed(percent)).await?;
    let share = tally.share("v2") * 100.0;
    check(
        (share - f64::from(percent)).abs() <= TOLERANCE_POINTS,
        || format!("{share} % of the answers at a weight of {percent}: {tally:?}"),
    )
}

fn nothing_lost(tally: &Tally) -> Result<(), Error> {
    check(tally.lost() == 0 && tally.under_way == 0, || {
        format!("requests were lost: {tally:#?}")
    })
}

pub(crate) async fn share() -> Result<(), Error> {
    let governed = open("places").await?;
    let traffic = governed.shop.traffic()?.per_second(PER_SECOND).start()?;
    share_becomes(&traffic, "v1", 100.0).await?;
    // When a new version takes a place, then its share of the answers is the step's, and so when it takes another.
    set_image(&governed, "shop/web:v2").await?;
    answers(&governed, &traffic, 20).await?;
    governed.scene.act("web", "Approve").await?;
    answers(&governed, &traffic, 40).await?;
    // When it is promoted, then it answers everything, and no request was lost on the whole way.
    governed.scene.act("web", "Approve").await?;
    governed.web.settled(Phase::Healthy, "v2", SOON).await?;
    share_becomes(&traffic, "v2", 100.0).await?;
    nothing_lost(&traffic.stop().await)
}

pub(crate) async fn back() -> Result<(), Error> {
    let governed = open("places-back").await?;
    let traffic = governed.shop.traffic()?.per_second(PER_SECOND).start()?;
    set_image(&governed, "shop/web:v2").await?;
    answers(&governed, &traffic, 20).await?;
    // When it is aborted, then the first version answers everything, and no request was lost.
    governed.scene.act("web", "Abort").await?;
    governed.web.is_in(Phase::Rejected).await?;
    share_becomes(&traffic, "v1", 100.0).await?;
    nothing_lost(&traffic.stop().await)
}
