//! The kubectl plugin against a real API server and a real controller, called as people call it: `kubectl belay …`.

#![expect(
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

use std::{process::Stdio, time::Duration};

use belay_api::{Action, AnalysisTemplate, Rollout};
use belay_engine::rollout::status::Phase;
use belay_lab::{Lab, SharedLab, wait_for, wait_for_object};
use belay_tests::{
    daemon::{self, Agent},
    installed::{Controller, Installed, controller_program},
    plugin::Plugin,
    scene::Scene,
    stateful::{self, Db},
    workload::Workload,
};
use kube::Api;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::OnceCell,
};

const SOON: Duration = Duration::from_mins(1);

static LAB: SharedLab = SharedLab::new();
static BELAY: OnceCell<(Controller, Plugin)> = OnceCell::const_new();

/// The lab with Belay installed and its controller acting, and the plugin.
async fn stage() -> (&'static Lab, &'static Plugin) {
    let lab = LAB
        .get(|| Lab::builder().nodes(2))
        .await
        .expect("the lab starts");
    let (_, plugin) = BELAY
        .get_or_try_init(|| async {
            let installed = Installed::chart(lab, &[]).await?;
            let program = controller_program(false).await?;
            let controller = installed.start(&program, "cli").await?;
            controller.acting().await?;
            Ok::<_, belay_tests::Error>((controller, Plugin::build(lab).await?))
        })
        .await
        .expect("Belay runs");
    (lab, plugin)
}

/// A workload of two pods whose new version waits for approval at its first step.
async fn waiting_for_approval(lab: &Lab, name: &str) -> Workload {
    let namespace = lab.namespace(name).await.expect("a namespace");
    let client = lab.client().expect("a client");
    let steps = json!({"strategy": {"canary": {"steps": [{"replicas": 1, "approval": true}]}}});
    let workload = Workload::create(&client, &namespace, "web", 2, "shop/web:v1", steps)
        .await
        .expect("a workload");
    workload
        .settled(Phase::Healthy, "v1", SOON)
        .await
        .expect("v1 is stable");
    workload
        .set_image("shop/web:v2")
        .await
        .expect("a new version");
    step_is_ready(&workload, "web").await;
    workload
}

/// Waits until the candidate of the present step is ready.
async fn step_is_ready(workload: &Workload, name: &str) {
    let is_ready = |rollout: Option<&Rollout>| {
        let status = rollout.and_then(|r| r.status.clone()).unwrap_or_default();
        let step = status.step.as_ref();
        let ready = step.is_some_and(|step| step.ready_at.is_some());
        ready.then_some(()).ok_or_else(|| format!("{status:?}"))
    };
    wait_for_object(&workload.rollouts(), name, SOON, is_ready)
        .await
        .expect("the candidate is ready");
}

#[tokio::test]
async fn a_canary_is_shown_approved_and_kept_in_history() {
    // given a canary that waits for a person
    let (lab, kubectl) = stage().await;
    let workload = waiting_for_approval(lab, "approve").await;
    let namespace = workload.namespace.as_str();

    // then the list and the view tell so
    let list = kubectl.call(&["status", "-n", namespace]).await.unwrap();
    assert_eq!(list.code, 0, "{list:?}");
    let row = list.out.lines().nth(1).unwrap_or_default();
    for part in ["web", "Progressing", "1/1", "v1", "v2"] {
        assert!(row.contains(part), "{part} is missing in {:?}", list.out);
    }
    let view = kubectl
        .call(&["status", "web", "-n", namespace])
        .await
        .unwrap();
    assert!(view.out.contains("[>] 1  1 pod, approval"), "{}", view.out);
    assert!(view.out.contains("needs approval"), "{}", view.out);
    assert!(
        !view.out.contains('\u{1b}'),
        "colours without a terminal: {:?}",
        view.out
    );

    // when it is approved with a reason
    let approved = kubectl
        .call(&["approve", "web", "-n", namespace, "--reason", "looks fine"])
        .await
        .unwrap();

    // then it is told, goes on by itself, and the act is on record for the version that was on trial
    assert_eq!(approved.code, 0, "{approved:?}");
    assert!(
        approved.out.contains("rollout/web: approve accepted."),
        "{approved:?}"
    );
    workload.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    let actions = Api::<Action>::namespaced(lab.client().unwrap(), namespace);
    let action = actions
        .list(&kube::api::ListParams::default())
        .await
        .unwrap()
        .items
        .remove(0);
    assert_eq!(action.spec.actor.as_deref(), Some("lab-admin"));
    assert_eq!(action.spec.reason.as_deref(), Some("looks fine"));
    assert!(action.spec.for_version.is_some());
    let history = kubectl
        .call(&["history", "web", "-n", namespace])
        .await
        .unwrap();
    assert!(history.out.contains("approve"), "{}", history.out);
    assert!(history.out.contains("verified before"), "{}", history.out);
}

#[tokio::test]
async fn stateful_sets_and_daemon_sets_are_shown_with_their_pods_and_nodes_and_approved_alike() {
    // given one of each, whose canary waits for a person
    let (lab, kubectl) = stage().await;
    let scene = Scene::new(lab, "kinds").await.unwrap();
    let steps = json!([{"replicas": 1, "approval": true}]);
    let db = Db::healthy(&scene, "OrderedReady", stateful::canary(&steps, &[]));
    let db = db.await.unwrap();
    let agent = Agent::healthy(
        &scene,
        &[("a", "edge"), ("b", "core")],
        daemon::canary(&steps, &[]),
    );
    let agent = agent.await.unwrap();
    db.set_image("db:v2").await.unwrap();
    agent.apply("v2").await.unwrap();
    step_is_ready(&db.rollout, "db").await;
    step_is_ready(&agent.rollout, "agent").await;

    // then the list has a row for each, and the views count what the kind is counted in
    let namespace = scene.namespace.as_str();
    let list = kubectl.call(&["status", "-n", namespace]).await.unwrap();
    for name in ["db", "agent"] {
        let row = list.out.lines().find(|row| row.contains(name));
        let row = row.unwrap_or_else(|| panic!("no {name} in {}", list.out));
        for part in ["Progressing", "1/1", "v1", "v2"] {
            assert!(row.contains(part), "{part} is missing in {row:?}");
        }
    }
    for (name, counted) in [("db", "on 1 pod of the candidate"), ("agent", "on 1 node")] {
        let view = kubectl
            .call(&["status", name, "-n", namespace])
            .await
            .unwrap();
        assert!(view.out.contains(counted), "{}", view.out);
        assert!(view.out.contains("needs approval"), "{}", view.out);
    }

    // when they are approved, then they go on
    for (name, workload) in [("db", &db.rollout), ("agent", &agent.rollout)] {
        let approved = kubectl
            .call(&["approve", name, "-n", namespace])
            .await
            .unwrap();
        assert_eq!(approved.code, 0, "{approved:?}");
        workload.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    }
}

#[tokio::test]
async fn an_act_that_makes_no_sense_is_refused_with_the_reason_and_its_own_exit_code() {
    let (lab, kubectl) = stage().await;
    let workload = waiting_for_approval(lab, "refuse").await;
    let namespace = workload.namespace.as_str();

    let retried = kubectl
        .call(&["retry", "web", "-n", namespace])
        .await
        .unwrap();
    assert_eq!(retried.code, 3, "{retried:?}");
    assert!(
        retried
            .err
            .contains("refused: Nothing that is asked for is rejected"),
        "{retried:?}"
    );

    let stale = kubectl
        .call(&["approve", "web", "-n", namespace, "--for", "v7"])
        .await
        .unwrap();
    assert_eq!(stale.code, 3, "{stale:?}");
    assert!(stale.err.contains("v7"), "{stale:?}");

    // a person may abort in its place, and gets the act as JSON
    let aborted = kubectl
        .call(&["abort", "web", "-n", namespace, "-o", "json"])
        .await
        .unwrap();
    assert_eq!(aborted.code, 0, "{aborted:?}");
    let action: Value = serde_json::from_str(&aborted.out).unwrap();
    assert_eq!(action["status"]["outcome"], "Accepted");
    let view = wait_for("the rejection in the view", SOON, || async {
        let view = kubectl
            .call(&["status", "web", "-n", namespace])
            .await
            .unwrap()
            .out;
        if view.contains("Rejected") {
            Ok(view)
        } else {
            Err(view)
        }
    })
    .await
    .unwrap();
    assert!(view.contains("rolled back"), "{view}");
}

#[tokio::test]
async fn watch_prints_a_line_per_change_where_there_is_no_terminal() {
    let (lab, kubectl) = stage().await;
    let workload = waiting_for_approval(lab, "watch").await;
    let namespace = workload.namespace.as_str();
    let mut watch = kubectl
        .command(&["watch", "web", "-n", namespace])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();

    let first = tokio::time::timeout(SOON, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(first.contains("Progressing · step 1/1"), "{first}");
    let approved = kubectl
        .call(&["approve", "web", "-n", namespace])
        .await
        .unwrap();
    assert_eq!(approved.code, 0, "{approved:?}");

    let mut seen = vec![first];
    while !seen
        .last()
        .is_some_and(|line| line.contains("Healthy") && line.contains("stable v2"))
    {
        let line = tokio::time::timeout(SOON, lines.next_line()).await;
        seen.push(
            line.unwrap_or_else(|_| panic!("no end in {seen:?}"))
                .unwrap()
                .unwrap(),
        );
    }
    assert!(
        seen.windows(2).all(|pair| pair[0] != pair[1]),
        "a line twice in {seen:?}"
    );
    watch.kill().await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_to_do() {
    let (lab, kubectl) = stage().await;
    let namespace = lab.namespace("nothing").await.unwrap();

    let empty = kubectl.call(&["list", "-n", &namespace]).await.unwrap();
    assert_eq!(
        (
            empty.code,
            empty.out.contains("No Rollouts or Releases in namespace")
        ),
        (0, true),
        "{empty:?}"
    );
    let missing = kubectl
        .call(&["status", "web", "-n", &namespace])
        .await
        .unwrap();
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(
        missing.err.contains("Rollout web is not in namespace"),
        "{missing:?}"
    );
    let missing = kubectl
        .call(&["abort", "release/shop", "-n", &namespace])
        .await
        .unwrap();
    assert!(
        missing.err.contains("Release shop is not in namespace"),
        "{missing:?}"
    );
    let context = kubectl
        .call(&["list", "--context", "nowhere"])
        .await
        .unwrap();
    assert_eq!(context.code, 1, "{context:?}");
    assert!(
        context.err.contains("nowhere") && context.err.contains("--context"),
        "{context:?}"
    );
    let json = kubectl.call(&["list", "-A", "-o", "json"]).await.unwrap();
    let list: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(list["kind"], "List");
}

#[tokio::test]
async fn gates_of_the_cluster_are_replayed_on_saved_answers() {
    // given a Rollout with a gate, and what a Prometheus once answered
    let (lab, kubectl) = stage().await;
    let namespace = lab.namespace("replay").await.unwrap();
    let client = lab.client().unwrap();
    let template: AnalysisTemplate = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "errors"},
        "spec": {"gates": [{"name": "rate", "interval": "10s",
                            "prometheus": {"query": "sum(errors)", "threshold": {"max": 1}}}]},
    }))
    .unwrap();
    Api::<AnalysisTemplate>::namespaced(client.clone(), &namespace)
        .create(&kube::api::PostParams::default(), &template)
        .await
        .unwrap();
    let spec = json!({
        "strategy": {"canary": {"steps": [{"replicas": 1, "hold": "2m"}]}},
        "verification": {"gates": [{"template": "errors"}]},
    });
    Workload::create(&client, &namespace, "web", 2, "shop/web:v1", spec)
        .await
        .unwrap();
    let values: Vec<Value> = (0..100)
        .map(|look| json!([look * 10, if look == 70 { "2" } else { "0.5" }]))
        .collect();
    let answers = json!({"query": "sum(errors)", "response": {"status": "success",
        "data": {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}}});
    let file = lab.dir().join("answers.json");
    std::fs::write(&file, answers.to_string()).unwrap();
    let file = file.display().to_string();

    // when it is replayed by name, as the template is
    for name in ["web", "template/errors"] {
        let words = ["simulate", name, "-n", &namespace, "--answers", &file];
        let words = [
            &words[..],
            &["--duration", "2m", "--every", "2m", "-o", "json"],
        ]
        .concat();
        let replayed = kubectl.call(&words).await.unwrap();

        // then the one look in which it was exceeded is an alarm in its window, and in no other
        assert_eq!(replayed.code, 0, "{replayed:?}");
        let report: Value = serde_json::from_str(&replayed.out).unwrap();
        assert_eq!(report["falseAlarms"]["count"], 1, "{report:#}");
        assert_eq!(report["gates"][0]["alarmsAt"][0], "1970-01-01T00:11:40Z");
    }
    let missing = ["simulate", "nope", "-n", &namespace, "--answers", &file];
    let missing = kubectl.call(&missing).await.unwrap();
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.err.contains("Rollout nope is not in namespace"));
}

#[tokio::test]
async fn somebody_without_the_verb_is_turned_away_by_name() {
    // given a person who may look, and nothing more
    let (lab, kubectl) = stage().await;
    let workload = waiting_for_approval(lab, "rights").await;
    let namespace = workload.namespace.as_str();
    let binding = json!({
        "metadata": {"name": "viewer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "belay-viewer"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ana"}],
    });
    Api::<k8s_openapi::api::rbac::v1::RoleBinding>::namespaced(lab.client().unwrap(), namespace)
        .create(
            &kube::api::PostParams::default(),
            &serde_json::from_value(binding).unwrap(),
        )
        .await
        .unwrap();

    let seen = kubectl
        .call(&["status", "web", "-n", namespace, "--as", "ana"])
        .await
        .unwrap();
    assert_eq!(seen.code, 0, "{seen:?}");
    let refused = kubectl
        .call(&["approve", "web", "-n", namespace, "--as", "ana"])
        .await
        .unwrap();
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("ana"), "{refused:?}");

    // when that person may make Actions, but was not given the verb, then admission says which one is missing
    let role = json!({
        "metadata": {"name": "actions"},
        "rules": [{"apiGroups": ["belay.dev"], "resources": ["actions"], "verbs": ["create"]}],
    });
    let binding = json!({
        "metadata": {"name": "actions"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "actions"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ana"}],
    });
    let client = lab.client().unwrap();
    let parameters = kube::api::PostParams::default();
    let roles = Api::<k8s_openapi::api::rbac::v1::Role>::namespaced(client.clone(), namespace);
    roles
        .create(&parameters, &serde_json::from_value(role).unwrap())
        .await
        .unwrap();
    let bindings = Api::<k8s_openapi::api::rbac::v1::RoleBinding>::namespaced(client, namespace);
    bindings
        .create(&parameters, &serde_json::from_value(binding).unwrap())
        .await
        .unwrap();
    let told = wait_for("the policy's own sentence", SOON, || async {
        let refused = kubectl
            .call(&["approve", "web", "-n", namespace, "--as", "ana"])
            .await
            .unwrap();
        let told = refused
            .err
            .contains("that needs the RBAC verb approve on rollouts");
        told.then_some(refused.code).ok_or(refused.err)
    })
    .await
    .unwrap();
    assert_eq!(told, 1);
}
