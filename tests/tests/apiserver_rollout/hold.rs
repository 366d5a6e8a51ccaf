//! The hold: whoever changes the template, no pod of it starts but the canary's.

use std::process::Stdio;

use belay_engine::rollout::status::Phase;
use belay_lab::{Lab, Program};
use belay_tests::{
    scene::{SOON, Scene},
    watching::SetWatch,
    workload::Workload,
};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{
    acts::{allow, in_force},
    lab,
};

fn manifest(image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
                 "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                     "terminationGracePeriodSeconds": 1,
                     "containers": [{"name": "main", "image": image}]}}}})
}

/// Runs kubectl in the scene's namespace; the error is what it wrote.
async fn kubectl(
    lab: &Lab,
    scene: &Scene,
    arguments: &[&str],
    input: Option<&Value>,
) -> Result<String, String> {
    let mut child = lab
        .command(Program::Kubectl)
        .await
        .unwrap()
        .args(["--namespace", &scene.namespace])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    if let Some(input) = input {
        stdin.write_all(input.to_string().as_bytes()).await.unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_writer_is_held() {
    // Given a workload whose canary stays in its first step.
    let lab = lab().await;
    let scene = Scene::new(lab, "writers").await.unwrap();
    let steps = json!([{"replicas": 1, "hold": "1h"}]);
    let web = scene.workload("web", 2, &steps, &[]).await.unwrap();
    let sets = SetWatch::begin(&scene.client, &scene.namespace, "app=web").await;
    // When one writer after the other asks for a version of its own.
    // (kubectl itself does not restart what is paused already, so that one comes first.)
    let writers = [
        "restart",
        "apply",
        "apply-server-side",
        "set-image",
        "edit",
        "patch",
        "replace",
        "flux",
        "argo-cd",
        "helm",
    ];
    for (number, writer) in writers.into_iter().enumerate() {
        let image = format!("web:w{number}");
        write(lab, &scene, &web, writer, &image).await;
        // Then the Deployment is paused in the same request, and one canary pod runs the new template.
        let deployment = web.deployments().get("web").await.unwrap();
        assert_eq!(
            deployment.spec.unwrap().paused,
            Some(true),
            "{writer} is held"
        );
        web.status_when(|status| match (&status.candidate, &status.waiting_for) {
            (Some(candidate), Some(waiting))
                if waiting.reason == "Hold"
                    && (writer == "restart" || image.ends_with(&candidate.version.version)) =>
            {
                Ok(())
            }
            other => Err(format!("{writer}: {other:?}")),
        })
        .await
        .unwrap();
    }
    // And nothing but single canary pods was started.
    let stable = web.status().await.unwrap().stable.unwrap().hash;
    for (hash, desired) in sets.seen() {
        let expected: &[i32] = if hash == stable { &[2] } else { &[1] };
        assert_eq!(desired, expected, "{hash}");
    }
}

async fn write(lab: &Lab, scene: &Scene, web: &Workload, writer: &str, image: &str) {
    let body = manifest(image);
    match writer {
        "apply" => {
            kubectl(lab, scene, &["apply", "-f", "-"], Some(&body))
                .await
                .unwrap();
        }
        "apply-server-side" => {
            let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
            kubectl(lab, scene, &arguments, Some(&body)).await.unwrap();
        }
        "set-image" => {
            let set = format!("main={image}");
            kubectl(lab, scene, &["set", "image", "deployment/web", &set], None)
                .await
                .unwrap();
        }
        "edit" => {
            // An editor sends back the whole object as a strategic merge patch.
            web.set_image(image).await.unwrap();
        }
        "patch" => {
            let patch = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]).to_string();
            kubectl(
                lab,
                scene,
                &["patch", "deployment/web", "--type=json", "-p", &patch],
                None,
            )
            .await
            .unwrap();
        }
        "replace" => {
            kubectl(lab, scene, &["replace", "-f", "-"], Some(&body))
                .await
                .unwrap();
        }
        "restart" => {
            kubectl(lab, scene, &["rollout", "restart", "deployment/web"], None)
                .await
                .unwrap();
        }
        manager => {
            let manager = match manager {
                "flux" => "kustomize-controller",
                "argo-cd" => "argocd-controller",
                other => other,
            };
            web.deployments()
                .patch(
                    "web",
                    &PatchParams::apply(manager).force(),
                    &Patch::Apply(&body),
                )
                .await
                .unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn un_pausing_is_refused_with_a_sentence_and_allowed_with_break_glass() {
    // Given a held Deployment, a person who may change Deployments, and one who may break the glass.
    let lab = lab().await;
    let scene = Scene::new(lab, "guard").await.unwrap();
    let steps = json!([{"replicas": 1, "hold": "1h"}]);
    let web = scene.workload("web", 2, &steps, &[]).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    web.waits_for("Hold").await.unwrap();
    allow(&scene, "joe", &["get"]).await;
    allow(&scene, "eve", &["break-glass"]).await;
    let as_joe = ["rollout", "resume", "deployment/web", "--as", "joe"];
    in_force(&lab.client_for_user("joe", None).unwrap(), &scene.namespace).await;
    in_force(&lab.client_for_user("eve", None).unwrap(), &scene.namespace).await;
    // When the first one resumes it, then he is told which Rollout holds it and what to do.
    let refused = kubectl(lab, &scene, &as_joe, None).await.unwrap_err();
    assert!(
        refused.contains(&format!(
            "Rollout {}/web holds this Deployment",
            scene.namespace
        )),
        "{refused}"
    );
    assert!(refused.contains("kubectl belay promote web"), "{refused}");
    // A replace that merely omits `paused` is the same.
    let body = manifest("web:v2");
    let replaced = kubectl(
        lab,
        &scene,
        &["replace", "--as", "joe", "-f", "-"],
        Some(&body),
    )
    .await;
    assert!(replaced.unwrap_err().contains("holds this Deployment"));
    // A replace that drops the label and changes the template in one request is held.
    let dropped = manifest("web:v3");
    kubectl(
        lab,
        &scene,
        &["replace", "--as", "joe", "-f", "-"],
        Some(&dropped),
    )
    .await
    .unwrap();
    assert_eq!(
        web.deployments()
            .get("web")
            .await
            .unwrap()
            .spec
            .unwrap()
            .paused,
        Some(true)
    );
    web.status_when(|status| match &status.candidate {
        Some(candidate) if candidate.version.version == "v3" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    let labels = web
        .deployments()
        .get("web")
        .await
        .unwrap()
        .metadata
        .labels
        .unwrap();
    assert_eq!(
        labels.get("belay.dev/rollout").map(String::as_str),
        Some("web"),
        "Belay puts its label back"
    );
    // When the second one resumes it, the Deployment goes on, and Belay watches it and says so.
    web.waits_for("Hold").await.unwrap();
    let as_eve = ["rollout", "resume", "deployment/web", "--as", "eve"];
    kubectl(lab, &scene, &as_eve, None).await.unwrap();
    web.settled(Phase::Healthy, "v3", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_labels_and_annotations_are_never_blocked_and_start_no_canary() {
    let lab = lab().await;
    let scene = Scene::new(lab, "free").await.unwrap();
    let web = scene
        .workload("web", 2, &json!([{"weight": 50}]), &[])
        .await
        .unwrap();
    let sets = SetWatch::begin(&scene.client, &scene.namespace, "app=web").await;
    kubectl(
        lab,
        &scene,
        &["scale", "deployment/web", "--replicas=3"],
        None,
    )
    .await
    .unwrap();
    kubectl(lab, &scene, &["annotate", "deployment/web", "note=x"], None)
        .await
        .unwrap();
    kubectl(lab, &scene, &["label", "deployment/web", "team=x"], None)
        .await
        .unwrap();
    belay_lab::wait_for_object(
        &web.deployments(),
        "web",
        SOON,
        |d: Option<&k8s_openapi::api::apps::v1::Deployment>| {
            let status = d.and_then(|d| d.status.as_ref());
            match status.and_then(|s| s.available_replicas) {
                Some(3) => Ok(()),
                other => Err(format!("{other:?} available")),
            }
        },
    )
    .await
    .unwrap();
    web.settled(Phase::Healthy, "v1", SOON).await.unwrap();
    assert_eq!(sets.seen().len(), 1, "{:?}", sets.seen());
    // Creating an unrelated Deployment with Belay's label is not blocked either.
    let mut other = manifest("other:v1");
    other["metadata"] = json!({"name": "other", "labels": {"belay.dev/rollout": "nobody"}});
    other["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
    other["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    let other = serde_json::from_value(other).unwrap();
    web.deployments()
        .create(&PostParams::default(), &other)
        .await
        .unwrap();
}
