//! Routes to a StatefulSet: the candidate's share is led to the places that it took, and neither version loses its pods under requests.

use belay_engine::rollout::{revisions::HELD, status::Phase};
use belay_lab::Lab;
use belay_tests::{
    installed::NAMESPACE,
    measure::audit::Mark,
    scene::{SOON, Scene},
    stateful::Db,
};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use serde_json::{Value, json};

use crate::{
    canary::{is_as, opened, sources, state},
    gateway::Gateway,
    lab,
    writers::Writer,
};

/// A StatefulSet behind Service and route `web`.
struct Places {
    scene: Scene,
    db: Db,
    gateway: Gateway,
    before: [Value; 2],
}

impl Places {
    /// Healthy, with three pods and these steps.
    async fn open(lab: &Lab, prefix: &str, steps: Value) -> Self {
        let scene = Scene::new(lab, prefix).await.unwrap();
        for (api, mut source) in sources(&scene) {
            if source["kind"] == "Service" {
                source["spec"]["selector"] = json!({"app": "db"});
            }
            Writer::Flux.create(&api, &source).await;
        }
        scene.gate("errors", "vector(0)").await.unwrap();
        let spec = json!({
            "strategy": {"canary": {"steps": steps}},
            "traffic": {"service": "web", "routes": [{"kind": "HTTPRoute", "name": "web"}], "drain": "1s"},
            "verification": {"gates": [{"template": "errors"}]},
        });
        let db = Db::healthy(&scene, "OrderedReady", spec).await.unwrap();
        let gateway = opened(&scene).await;
        let before = state(&scene).await;
        Self {
            scene,
            db,
            gateway,
            before,
        }
    }

    fn mark(&self, lab: &Lab) -> Mark {
        let user = format!("system:serviceaccount:{NAMESPACE}:belay");
        let mark = Mark::now(&lab.audit_log_path().unwrap(), &user).unwrap();
        mark.within(&self.scene.namespace)
    }

    async fn selects(&self, service: &str) -> Option<String> {
        let services: Api<Service> = self.scene.api();
        let spec = services.get(service).await.unwrap().spec.unwrap();
        spec.selector
            .unwrap()
            .get("controller-revision-hash")
            .cloned()
    }
}

fn first(writes: &[String], kind: &str) -> usize {
    let found = writes.iter().position(|write| write == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {writes:?}"))
}

fn last(writes: &[String], kind: &str) -> usize {
    let found = writes.iter().rposition(|write| write == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {writes:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn places_get_their_share_by_the_route_and_all_pods_do_before_the_rest_is_rolled() {
    let lab = lab().await;
    let steps = json!([{"weight": 30, "approval": true}, {"weight": 60, "approval": true}]);
    let shop = Places::open(lab, "places", steps).await;
    let mark = shop.mark(lab);
    // When a new version is asked for, then it takes a place, and the route leads its share there.
    shop.db.set_image("db:v2").await.unwrap();
    let status = shop.db.rollout.waits_for("Approval").await.unwrap();
    assert_eq!(status.weight_percent, Some(30));
    assert_eq!(shop.db.partition().await.unwrap(), 2);
    assert_eq!(shop.gateway.shares(), [0, 30]);
    let (stable, candidate) = (
        status.stable.unwrap().hash,
        status.candidate.unwrap().version.hash,
    );
    assert_eq!(shop.selects("web").await.as_ref(), Some(&stable));
    assert_eq!(shop.selects("web-stable").await, Some(stable));
    assert_eq!(shop.selects("web-canary").await, Some(candidate));
    // Not before it was pinned did the candidate get a place.
    let begun = mark.order_since().unwrap();
    assert!(first(&begun, "patch services") < first(&begun, "patch statefulsets"));
    // When it goes on, then 60 % go to two of three places.
    shop.scene.act("db", "Approve").await.unwrap();
    shop.db
        .rollout
        .status_when(
            |status| match (status.weight_percent, &status.waiting_for) {
                (Some(60), Some(waiting)) if waiting.reason == "Approval" => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await
        .unwrap();
    let canary = shop.db.runs(&["v1", "v2", "v2"]).await.unwrap();
    assert_eq!(shop.gateway.shares(), [0, 30, 60]);
    // When it is promoted, then the route goes home, where all pods are, before the last place is rolled.
    shop.scene.act("db", "Approve").await.unwrap();
    let settled = shop.db.rollout.settled(Phase::Healthy, "v2", SOON);
    settled.await.unwrap();
    let writes = mark.order_since().unwrap();
    assert!(
        last(&writes, "patch httproutes") < last(&writes, "patch statefulsets"),
        "{writes:?}"
    );
    is_as(&shop.before, &shop.scene, &shop.gateway).await;
    assert_eq!(shop.gateway.shares(), [0, 30, 60, 0]);
    let after = shop.db.runs(&["v2", "v2", "v2"]).await.unwrap();
    assert_eq!(after["db-2"], canary["db-2"]);
    assert_eq!(shop.db.partition().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_gate_leads_requests_to_stable_places_before_pods_go() {
    let lab = lab().await;
    let steps = json!([{"weight": 30, "hold": "1h"}]);
    let shop = Places::open(lab, "places-back", steps).await;
    let before = shop.db.pods().await.unwrap();
    shop.db.set_image("db:v2").await.unwrap();
    shop.db.rollout.waits_for("Hold").await.unwrap();
    // When it is scaled up in mid-canary, then the candidate takes the added place, too, and its share stays.
    shop.db
        .patch(json!({"spec": {"replicas": 4}}))
        .await
        .unwrap();
    shop.db.runs(&["v1", "v1", "v2", "v2"]).await.unwrap();
    shop.db.rollout.waits_for("Hold").await.unwrap();
    assert_eq!(shop.gateway.shares(), [0, 30]);
    // When a gate fails, then the route goes home, to stable pods only, and after that the candidate's pods go.
    let mark = shop.mark(lab);
    shop.scene.set_query("errors", "vector(1)").await.unwrap();
    shop.db.rollout.is_in(Phase::Rejected).await.unwrap();
    let writes = mark.order_since().unwrap();
    assert!(
        last(&writes, "patch httproutes") < first(&writes, "delete pods"),
        "{writes:?}"
    );
    let after = shop.db.runs(&["v1", "v1", "v1", "v1"]).await.unwrap();
    assert_eq!(after["db-0"], before["db-0"]);
    is_as(&shop.before, &shop.scene, &shop.gateway).await;
    assert_eq!(shop.gateway.shares(), [0, 30, 0]);
    assert_eq!(shop.db.partition().await.unwrap(), HELD);
}
