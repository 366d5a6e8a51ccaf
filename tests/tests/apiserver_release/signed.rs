//! Releases that ask for signatures, with keys of the real `ssh-keygen`.

use std::{path::Path, process::Command};

use belay_api::Release;
use belay_engine::{condition::Truth, release::Phase};
use belay_tests::{
    tenant::{Tenant, config_map},
    told::condition,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{SOON, lab};

fn run(folder: &Path, program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder);
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_AUTHOR_NAME", "Ada"),
        ("GIT_AUTHOR_EMAIL", "ada@example.com"),
        ("GIT_COMMITTER_NAME", "Ada"),
        ("GIT_COMMITTER_EMAIL", "ada@example.com"),
    ] {
        command.env(name, value);
    }
    let output = command.output().expect("the program");
    assert!(output.status.success(), "{command:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Puts a signed commit with the files of `main` on top of it.
fn sign(repository: &Path, key: &Path) -> String {
    let key = format!("user.signingKey={}", key.display());
    let commit = [
        "commit-tree",
        "-S",
        "-p",
        "main",
        "-m",
        "Signed",
        "main^{tree}",
    ];
    let options = ["-c", "gpg.format=ssh", "-c", &key];
    let id = run(repository, "git", &[&options[..], &commit[..]].concat());
    run(repository, "git", &["update-ref", "refs/heads/main", &id]);
    id
}

async fn put_keys(tenant: &Tenant, public: &str) {
    let keys = json!({"data": null, "stringData": {"ada.pub": public}});
    tenant
        .api::<Secret>()
        .patch("signers", &PatchParams::default(), &Patch::Merge(&keys))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_signed_commits_come_in_and_other_keys_judge_the_same_commit_anew() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ada", "eve"] {
        run(
            folder.path(),
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-f", name],
        );
    }
    let public =
        |name: &str| std::fs::read_to_string(folder.path().join(format!("{name}.pub"))).unwrap();
    // Given a Release that runs unsigned content.
    let tenant = Tenant::create(lab().await, "signed").await.unwrap();
    let files = [("config.yaml", &*config_map("config", "one"))];
    let unsigned = tenant.repo.commit(&files, "Open").await.unwrap();
    tenant.release(&json!({})).await.unwrap();
    tenant
        .phase(Phase::Verified, &unsigned, SOON)
        .await
        .unwrap();
    // When signatures are asked for, then the very commit that runs is refused, and runs on.
    tenant
        .make::<Secret>(
            json!({"metadata": {"name": "signers"}, "stringData": {"ada.pub": public("ada")}}),
        )
        .await
        .unwrap();
    let ask = |mode: &str| json!({"spec": {"source": {"git": {"verify": {"mode": mode, "secretRef": {"name": "signers"}}}}}});
    let releases = tenant.api::<Release>();
    let patch = async |spec: Value| {
        releases
            .patch("shop", &PatchParams::default(), &Patch::Merge(&spec))
            .await
    };
    let refused = patch(ask("Tag")).await.unwrap_err().to_string();
    assert!(refused.contains("mode: Head"), "{refused}");
    patch(ask("Head")).await.unwrap();
    let status = tenant.phase(Phase::Refused, &unsigned, SOON).await.unwrap();
    let said = condition(&status.conditions, "SourceVerified").unwrap();
    assert!(
        said.status == Truth::False && said.message.contains("not signed"),
        "{said:?}"
    );
    tenant.value_is("config", Some("one"), SOON).await.unwrap();
    // When a signed commit comes, then it is in, and its signer is told.
    let signed = sign(tenant.repo.path(), &folder.path().join("ada"));
    let status = tenant.phase(Phase::Verified, &signed, SOON).await.unwrap();
    let said = condition(&status.conditions, "SourceVerified").unwrap();
    assert!(
        said.status == Truth::True && said.message.contains("signed by ada"),
        "{said:?}"
    );
    assert_eq!(status.verified.unwrap().content.signatures.len(), 1);
    // When the key is exchanged, then the same commit is refused, and with the key it is in again.
    put_keys(&tenant, &public("eve")).await;
    let status = tenant.phase(Phase::Refused, &signed, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(
        message.contains(&signed) && message.contains("SHA256:"),
        "{message}"
    );
    put_keys(&tenant, &public("ada")).await;
    tenant.phase(Phase::Verified, &signed, SOON).await.unwrap();
    // When there are no keys at all, then nobody can tell, and what runs stays.
    tenant
        .api::<Secret>()
        .delete("signers", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    let status = tenant
        .wait("the keys to be missing", SOON, |status| {
            status.source.is_some()
        })
        .await
        .unwrap();
    assert!(status.source.unwrap().message.contains("signers"));
    tenant.value_is("config", Some("one"), SOON).await.unwrap();
}
