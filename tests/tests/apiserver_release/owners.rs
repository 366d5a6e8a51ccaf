//! Whose an object is, and what happens when somebody else changes it.

use std::time::Duration;

use super::{SOON, open};
use belay_api::Release;
use belay_engine::{condition::Truth, release::Phase};
use belay_lab::wait_for;
use belay_tests::{
    tenant::{Tenant, config_map, deployment},
    told::condition,
};
use k8s_openapi::api::{
    apps::v1::Deployment, autoscaling::v2::HorizontalPodAutoscaler, core::v1::ConfigMap,
};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

async fn edit(tenant: &Tenant, map: &str, value: &str) {
    let parameters = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    let change = json!({"data": {"value": value}});
    tenant
        .api::<ConfigMap>()
        .patch(map, &parameters, &Patch::Merge(&change))
        .await
        .expect("the edit");
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_put_right_whatever_was_done() {
    let files = [("config.yaml", &*config_map("config", "one"))];
    let (tenant, _) = open("drift", &files, &json!({})).await;
    let maps = tenant.api::<ConfigMap>();
    // When a field is changed, then it is put right.
    edit(&tenant, "config", "changed by hand").await;
    tenant.value_is("config", Some("one"), SOON).await.unwrap();
    // When the object is deleted, then it is made anew.
    maps.delete("config", &DeleteParams::default())
        .await
        .unwrap();
    tenant.value_is("config", Some("one"), SOON).await.unwrap();
    // When Belay's label is taken off, then it comes back.
    let off = json!({"metadata": {"labels": {"belay.dev/release": null}}});
    maps.patch("config", &PatchParams::default(), &Patch::Merge(&off))
        .await
        .unwrap();
    wait_for("the label to be back", SOON, || async {
        let map = maps
            .get("config")
            .await
            .map_err(|error| error.to_string())?;
        map.metadata
            .labels
            .filter(|labels| labels.contains_key("belay.dev/release"))
            .map(drop)
            .ok_or_else(|| "it is gone".to_owned())
    })
    .await
    .unwrap();
    // What somebody adds beside it is theirs and stays.
    let beside = json!({"data": {"mine": "stays"}});
    maps.patch("config", &PatchParams::default(), &Patch::Merge(&beside))
        .await
        .unwrap();
    edit(&tenant, "config", "changed again").await;
    tenant.value_is("config", Some("one"), SOON).await.unwrap();
    assert_eq!(
        tenant.value("config", "mine").await.unwrap().as_deref(),
        Some("stays")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_can_be_reported_instead_and_a_fight_is_not_fought_for_ever() {
    let files = [("config.yaml", &*config_map("config", "one"))];
    let (tenant, _) = open("fight", &files, &json!({})).await;
    // When somebody changes it back again and again, then Belay stops after a few times and says so.
    let mut rounds = 0;
    let status = loop {
        rounds += 1;
        assert!(rounds < 20, "Belay goes on correcting");
        edit(&tenant, "config", &format!("round {rounds}")).await;
        let settled = tenant
            .wait("put right or fought over", SOON, |_| true)
            .await
            .unwrap();
        let is_fought =
            condition(&settled.conditions, "Drifted").is_some_and(|c| c.reason == "Fought");
        if is_fought {
            break settled;
        }
        let _ = tenant
            .value_is("config", Some("one"), Duration::from_secs(5))
            .await;
    };
    assert!(rounds > 3, "a few corrections are no fight");
    let drifted = condition(&status.conditions, "Drifted").unwrap();
    assert!(drifted.message.contains("ConfigMap") && drifted.message.contains("config"));

    // Given a Release that only reports.
    let (tenant, _) = open("report", &files, &json!({"apply": {"drift": "Report"}})).await;
    edit(&tenant, "config", "changed by hand").await;
    tenant
        .wait("the drift to be reported", SOON, |status| {
            condition(&status.conditions, "Drifted").is_some_and(|c| c.status == Truth::True)
        })
        .await
        .unwrap();
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("changed by hand")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_releases_object_and_another_appliers_field_are_refused_by_name() {
    // Given a Release with an object, and another one in the same namespace whose source has it, too.
    let files = [
        ("mine/config.yaml", &*config_map("config", "mine")),
        ("theirs/config.yaml", &config_map("config", "theirs")),
    ];
    let more = json!({"source": {"git": {"path": "mine"}}});
    let (tenant, _) = open("foreign", &files, &more).await;
    let release = json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": "other"},
        "spec": {"serviceAccountName": "deployer", "source": {"git":
            {"url": tenant.repo.url(), "ref": {"branch": "main"}, "path": "theirs", "interval": "1s"}}},
    });
    tenant.make::<Release>(release).await.unwrap();
    // Then the other one is refused, and says whose it is.
    let refused = |release: Option<&Release>| {
        let status = release
            .and_then(|release| release.status.clone())
            .unwrap_or_default();
        status.refused.clone().ok_or(format!("{:?}", status.phase))
    };
    let refusal = belay_lab::wait_for_object(&tenant.api::<Release>(), "other", SOON, refused)
        .await
        .unwrap();
    assert!(
        refusal
            .message
            .contains(&format!("{}/shop", tenant.namespace)),
        "{}",
        refusal.message
    );
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("mine")
    );

    // Given an object that another tool applies.
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"value": "theirs"}});
    tenant
        .api::<ConfigMap>()
        .patch(
            "shared",
            &PatchParams::apply("argocd-controller"),
            &Patch::Apply(&theirs),
        )
        .await
        .unwrap();
    let commit = tenant
        .repo
        .commit(
            &[("mine/shared.yaml", &config_map("shared", "mine"))],
            "Share",
        )
        .await
        .unwrap();
    // Then the field is not taken from it, and it is named.
    let status = tenant.phase(Phase::Refused, &commit, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(
        message.contains("argocd-controller") && message.contains("data.value"),
        "{message}"
    );
    assert_eq!(
        tenant.value("shared", "value").await.unwrap().as_deref(),
        Some("theirs")
    );
    // What people made by kubectl is taken over.
    let manual = json!({"metadata": {"name": "manual"}, "data": {"value": "by hand"}});
    tenant.make::<ConfigMap>(manual).await.unwrap();
    tenant
        .repo
        .remove(&["mine/shared.yaml"], "Unshare")
        .await
        .unwrap();
    tenant
        .repo
        .commit(
            &[("mine/manual.yaml", &config_map("manual", "from Git"))],
            "Take over",
        )
        .await
        .unwrap();
    tenant
        .value_is("manual", Some("from Git"), SOON)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_left_to_an_autoscaler() {
    // Given a Deployment with an autoscaler that keeps it at more replicas than the source says.
    let web = deployment("web", "web:v1", 1, "config");
    let scaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: web\nspec:\n  minReplicas: 3\n  \
                  maxReplicas: 5\n  scaleTargetRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    name: web\n";
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("web.yaml", &web),
        ("scaler.yaml", scaler),
    ];
    let (tenant, _) = open("scale", &files, &json!({})).await;
    let deployments = tenant.api::<Deployment>();
    let replicas = || async {
        let live = deployments
            .get("web")
            .await
            .map_err(|error| error.to_string())?;
        match live.spec.and_then(|spec| spec.replicas) {
            Some(3) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    wait_for("the autoscaler to scale", SOON, replicas)
        .await
        .unwrap();
    // When the next commit changes the Deployment.
    let commit = tenant
        .repo
        .commit(
            &[("web.yaml", &deployment("web", "web:v2", 1, "config"))],
            "Next",
        )
        .await
        .unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    // Then the autoscaler's number stays.
    let live = deployments.get("web").await.unwrap();
    assert_eq!(live.spec.unwrap().replicas, Some(3));
    let scalers = tenant.api::<HorizontalPodAutoscaler>();
    assert!(scalers.get("web").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_release_leaves_its_objects_or_takes_them_along_as_asked() {
    let files = [("config.yaml", &*config_map("config", "one"))];
    for (policy, stays) in [("Orphan", true), ("Delete", false)] {
        let (tenant, _) = open("leave", &files, &json!({"deletionPolicy": policy})).await;
        let releases = tenant.api::<Release>();
        releases
            .delete("shop", &DeleteParams::default())
            .await
            .unwrap();
        wait_for("the Release to be gone", SOON, || async {
            match releases.get_opt("shop").await {
                Ok(None) => Ok(()),
                Ok(Some(release)) => Err(format!("{:?}", release.status.map(|s| s.waiting_for))),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
        .unwrap();
        let left = tenant.api::<ConfigMap>().get_opt("config").await.unwrap();
        assert_eq!(left.is_some(), stays, "{policy}");
        if let Some(left) = left {
            let marks = left.metadata.labels.unwrap_or_default();
            assert!(
                !marks.contains_key("belay.dev/release"),
                "the mark is taken off"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_release_writes_nothing() {
    let files = [("config.yaml", &*config_map("config", "one"))];
    let (tenant, first) = open("suspend", &files, &json!({})).await;
    let releases = tenant.api::<Release>();
    let suspend = |on: bool| {
        let releases = releases.clone();
        async move {
            let patch = json!({"spec": {"suspend": on}});
            releases
                .patch("shop", &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .expect("the patch")
        }
    };
    suspend(true).await;
    tenant
        .wait("suspended", SOON, |status| {
            status
                .waiting_for
                .as_ref()
                .is_some_and(|waiting| waiting.reason == "Suspended")
        })
        .await
        .unwrap();
    // When the source and the cluster change.
    let second = tenant
        .repo
        .commit(&[("config.yaml", &config_map("config", "two"))], "Change")
        .await
        .unwrap();
    edit(&tenant, "config", "by hand").await;
    // Then both changes are seen to only after the suspension.
    let asked = tenant
        .wait("asked", SOON, |status| status.asked.is_some())
        .await
        .unwrap();
    assert!(asked.asked.unwrap().revision.ends_with(&first));
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("by hand")
    );
    suspend(false).await;
    tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
}
