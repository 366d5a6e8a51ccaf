//! Configuration of StatefulSets and DaemonSets: part of the version from their first release on.

use belay_api::Rollout;
use belay_engine::{config::STAMP_ANNOTATION, rollout::status::Phase};
use belay_lab::{wait_for, wait_for_object};
use belay_tests::{
    daemon::{self, Agent},
    scene::{SOON, Scene},
    stateful::{self, Db},
};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::lab;

async fn configure(scene: &Scene, value: &str) {
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"key": value}});
    let apply = PatchParams::apply("git").force();
    let api = scene.api::<ConfigMap>();
    api.patch("settings", &apply, &Patch::Apply(settings))
        .await
        .unwrap();
}

/// A template's change to one that reads the configuration.
fn reading(image: &str) -> Value {
    let key = json!([{"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "key"}}}]);
    let containers = json!([{"name": "main", "image": image, "env": key}]);
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

/// What a pod reads: the value in the ConfigMap that it names.
async fn value(scene: &Scene, pod: &Pod) -> Option<String> {
    let main = pod.spec.as_ref()?.containers.first()?;
    let source = main.env.as_ref()?.first()?.value_from.as_ref()?;
    let name = &source.config_map_key_ref.as_ref()?.name;
    let map = scene.api::<ConfigMap>().get(name).await.ok()?;
    let value = map.data?.remove("key")?;
    Some(if name == "settings" {
        format!("live {value}")
    } else {
        value
    })
}

/// Waits until the pods read this, in the order of `key`.
async fn read(scene: &Scene, app: &str, key: fn(&Pod) -> Option<String>, expected: [&str; 3]) {
    wait_for(
        "the pods to read their version's configuration",
        SOON,
        || async {
            let list = ListParams::default().labels(&format!("app={app}"));
            let pods = scene.api::<Pod>().list(&list).await;
            let mut pods = pods.map_err(|error| error.to_string())?.items;
            pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
            pods.sort_by_key(key);
            let mut found = Vec::new();
            for pod in &pods {
                found.push(value(scene, pod).await.unwrap_or_default());
            }
            if found == expected {
                Ok(())
            } else {
                Err(format!("{found:?}, not {expected:?}"))
            }
        },
    )
    .await
    .unwrap();
}

fn name(pod: &Pod) -> Option<String> {
    pod.metadata.name.clone()
}

fn node(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_of_a_stateful_set_goes_with_its_version() {
    // Given a StatefulSet whose second version reads a ConfigMap.
    let scene = Scene::new(lab().await, "db-config").await.unwrap();
    scene.gate("gate", "vector(0)").await.unwrap();
    configure(&scene, "one").await;
    let spec = stateful::canary(&json!([{"replicas": 1, "approval": true}]), &["gate"]);
    let db = Db::healthy(&scene, "OrderedReady", spec).await.unwrap();
    db.patch(reading("db:v2")).await.unwrap();
    db.rollout.waits_for("Approval").await.unwrap();
    read(&scene, "db", name, ["", "", "one"]).await;
    scene.act("db", "Approve").await.unwrap();
    db.rollout
        .settled(Phase::Healthy, "v2", SOON)
        .await
        .unwrap();
    read(&scene, "db", name, ["one", "one", "one"]).await;
    // When the ConfigMap alone changes, then that is a version with a canary, and the others read what they did.
    let before = db.pods().await.unwrap();
    configure(&scene, "two").await;
    let status = db.rollout.waits_for("Approval").await.unwrap();
    let version = status.candidate.unwrap().version.version;
    assert!(version.starts_with("v2 with configuration "), "{version}");
    read(&scene, "db", name, ["one", "one", "two"]).await;
    // When a stable pod is made anew, then it reads what its version was verified with.
    let pods = scene.api::<Pod>();
    pods.delete("db-0", &DeleteParams::default()).await.unwrap();
    wait_for("another db-0", SOON, || async {
        let pods = db.pods().await.map_err(|error| error.to_string())?;
        match pods.get("db-0") {
            Some(pod) if *pod != before["db-0"] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    read(&scene, "db", name, ["one", "one", "two"]).await;
    // When its gate fails, then it is taken back though the ConfigMap stays, and pods that are added read what was verified.
    scene.set_query("gate", "vector(1)").await.unwrap();
    db.rollout.is_in(Phase::Rejected).await.unwrap();
    read(&scene, "db", name, ["one", "one", "one"]).await;
    // When other content comes that its gate likes, then it goes through.
    scene.set_query("gate", "vector(0)").await.unwrap();
    configure(&scene, "three").await;
    db.rollout.waits_for("Approval").await.unwrap();
    scene.act("db", "Approve").await.unwrap();
    db.rollout.is_in(Phase::Healthy).await.unwrap();
    read(&scene, "db", name, ["three", "three", "three"]).await;
    // When the Rollout is deleted, then nothing is restarted, and it is told how pods are led back to the plain object.
    let before = db.pods().await.unwrap();
    let rollouts = db.rollout.rollouts();
    rollouts
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    wait_for_object(&rollouts, "db", SOON, |rollout: Option<&Rollout>| {
        rollout.map_or(Ok(()), |rollout| Err(format!("{:?}", rollout.status)))
    })
    .await
    .unwrap();
    assert_eq!(db.pods().await.unwrap(), before);
    wait_for("an event that tells", SOON, || async {
        let events = scene.api::<Event>().list(&ListParams::default()).await;
        let events = events.map_err(|error| error.to_string())?;
        let texts: Vec<&str> = events
            .iter()
            .filter_map(|event| event.message.as_deref())
            .collect();
        let told = texts.iter().any(|text| text.contains(STAMP_ANNOTATION));
        told.then_some(()).ok_or_else(|| format!("{texts:?}"))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_of_a_daemon_set_goes_with_its_version_and_a_rejected_one_never_reaches_its_template()
 {
    // Given a DaemonSet whose second version reads a ConfigMap.
    let scene = Scene::new(lab().await, "agent-config").await.unwrap();
    scene.gate("gate", "vector(0)").await.unwrap();
    configure(&scene, "one").await;
    let spec = daemon::canary(&json!([{"replicas": 1, "approval": true}]), &["gate"]);
    let nodes = [("a", "core"), ("b", "core"), ("c", "edge")];
    let agent = Agent::healthy(&scene, &nodes, spec).await.unwrap();
    let patch = Patch::Strategic(reading("agent:v2"));
    agent
        .sets
        .patch("agent", &PatchParams::default(), &patch)
        .await
        .unwrap();
    agent.rollout.waits_for("Approval").await.unwrap();
    read(&scene, "agent", node, ["", "", "one"]).await;
    scene.act("agent", "Approve").await.unwrap();
    agent
        .rollout
        .settled(Phase::Healthy, "v2", SOON)
        .await
        .unwrap();
    read(&scene, "agent", node, ["one", "one", "one"]).await;
    // When the ConfigMap alone changes, then the first node's pod reads it.
    configure(&scene, "two").await;
    agent.rollout.waits_for("Approval").await.unwrap();
    read(&scene, "agent", node, ["one", "one", "two"]).await;
    // When its gate fails, then the stable template is back with its configuration, and stays.
    scene.set_query("gate", "vector(1)").await.unwrap();
    let status = agent
        .rollout
        .status_when(|status| match status.phase {
            Phase::Healthy if !status.quarantine.is_empty() => Ok(status.clone()),
            phase => Err(format!("{phase:?}")),
        })
        .await
        .unwrap();
    assert_eq!(status.stable.unwrap().version, "v2");
    read(&scene, "agent", node, ["one", "one", "one"]).await;
    // When other content comes that its gate likes, then it goes through.
    scene.set_query("gate", "vector(0)").await.unwrap();
    configure(&scene, "three").await;
    agent.rollout.waits_for("Approval").await.unwrap();
    scene.act("agent", "Approve").await.unwrap();
    agent.rollout.is_in(Phase::Healthy).await.unwrap();
    read(&scene, "agent", node, ["three", "three", "three"]).await;
}
