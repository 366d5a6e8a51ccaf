//! `kubectl belay render` and `diff`: what another commit or a folder holds, and what it would change.

use std::path::Path;

use belay_tests::tenant::{Tenant, config_map};
use k8s_openapi::api::{core::v1::ConfigMap, rbac::v1::Role};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{belay, open};

fn secret(password: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: login\nstringData:\n  user: shop\n  password: {password}\n"
    )
}

/// Lets the tenant's account manage Secrets, too.
async fn with_secrets(tenant: &Tenant) {
    let rules = json!({"rules": [
        {"apiGroups": ["", "apps", "belay.dev"], "resources": ["secrets", "configmaps", "services", "deployments", "rollouts"],
         "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]},
    ]});
    let patch = Patch::Merge(&rules);
    let api = tenant.api::<Role>();
    api.patch("deployer", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_commit_or_a_folder_would_change_is_shown_and_no_value_of_a_secret() {
    // given a Release with a ConfigMap, another one and a Secret
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("old.yaml", &config_map("old", "gone")),
    ];
    let (tenant, first) = open("diff", &files, &json!({})).await;
    with_secrets(&tenant).await;
    let login = secret("canary-first");
    let second = tenant
        .repo
        .commit(&[("login.yaml", &login)], "Login")
        .await
        .unwrap();
    tenant
        .phase(belay_engine::release::Phase::Verified, &second, super::SOON)
        .await
        .unwrap();
    let namespace = tenant.namespace.as_str();

    // then the commit that runs changes nothing
    let same = belay(&["diff", "release/shop", "-n", namespace]).await;
    assert_eq!((same.code, same.out.as_str()), (0, ""), "{same:?}");

    // when a folder changes one object, drops one, adds one and changes the Secret
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            ("config.yaml", &config_map("config", "two")),
            ("new.yaml", &config_map("new", "here")),
            ("login.yaml", &secret("canary-second")),
        ],
    );
    let path = folder.path().display().to_string();
    for who in [&[][..], &["--as-account"]] {
        let words = [&["diff", "shop", "-n", namespace, "--path", &path][..], who].concat();
        let differs = belay(&words).await;

        // then each is told, and the exit code says that something differs
        assert_eq!(differs.code, 1, "{differs:?}");
        let has = |line: &str| differs.out.lines().any(|found| found.trim_end() == line);
        assert!(
            has("-  value: one") && has("+  value: two"),
            "{}",
            differs.out
        );
        assert!(has("+  value: here"), "{}", differs.out);
        assert!(
            differs
                .out
                .contains(&format!("--- ConfigMap {namespace}/old in the cluster")),
            "{}",
            differs.out
        );
        assert!(
            differs.out.contains("password: '*** (after)'")
                || differs.out.contains("password: \"*** (after)\"")
                || differs.out.contains("password: *** (after)"),
            "{}",
            differs.out
        );
        assert!(
            differs.out.contains("2 changed, 1 created, 1 pruned"),
            "{}",
            differs.out
        );
        let all = format!("{}{}", differs.out, differs.err);
        for hidden in ["canary-", "Y2FuYXJ5"] {
            assert!(!all.contains(hidden), "{all}");
        }
        assert!(
            differs.err.is_empty() || !differs.err.contains("error:"),
            "{differs:?}"
        );
    }
    // and nothing was changed
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("one")
    );
    assert!(
        tenant
            .api::<ConfigMap>()
            .get_opt("new")
            .await
            .unwrap()
            .is_none()
    );

    // when a commit of the repository is asked for, it is fetched
    let words = ["diff", "shop", "-n", namespace, "--revision", &first];
    let back = belay(&words).await;
    assert_eq!(back.code, 1, "{back:?}");
    assert!(
        back.out
            .contains(&format!("--- Secret {namespace}/login in the cluster")),
        "{}",
        back.out
    );
    let missing = belay(&["diff", "shop", "-n", namespace, "--revision", "nowhere"]).await;
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.err.contains("nowhere"), "{missing:?}");

    // when something can't be tried out, the call fails and says what
    write(
        folder.path(),
        &[(
            "new.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\ndata: {value: [1]}\n",
        )],
    );
    let failed = belay(&["diff", "shop", "-n", namespace, "--path", &path]).await;
    assert_eq!(failed.code, 2, "{failed:?}");
    assert!(
        failed.out.contains(&format!("ConfigMap {namespace}/new"))
            || failed.out.contains("ConfigMap new"),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_rendered_at_a_revision_as_belay_renders_it() {
    // given a Release that is built by Kustomize
    let files = [
        ("base/config.yaml", &*config_map("config", "one")),
        ("base/login.yaml", &secret("canary-first")),
        (
            "base/kustomization.yaml",
            "namePrefix: a-\nresources: [config.yaml]\n",
        ),
    ];
    let more = json!({"source": {"git": {"path": "base"}}});
    let (tenant, _) = open("render", &files, &more).await;
    let namespace = tenant.namespace.as_str();
    let kustomization = "namePrefix: b-\nresources: [config.yaml, login.yaml]\n";
    let next = [("base/kustomization.yaml", kustomization)];
    tenant.repo.commit_on("next", &next, "Next").await.unwrap();

    // when a branch is rendered
    let rendered = belay(&[
        "render",
        "release/shop",
        "-n",
        namespace,
        "--revision",
        "next",
        "-o",
        "json",
    ])
    .await;

    // then it is what Kustomize makes of it, without values of Secrets
    assert_eq!(rendered.code, 0, "{rendered:?}");
    let list: Value = serde_json::from_str(&rendered.out).unwrap();
    let names: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["metadata"]["name"].as_str())
        .collect();
    assert_eq!(names, ["b-config", "b-login"]);
    assert!(!rendered.out.contains("canary-"), "{}", rendered.out);

    // and what the Release follows renders to what Belay knows
    let followed = belay(&["render", "shop", "-n", namespace]).await;
    assert_eq!(followed.code, 0, "{followed:?}");
    assert!(
        followed.out.contains("name: a-config") && followed.out.contains("(Open)"),
        "{followed:?}"
    );
    assert!(!followed.out.contains("warning"), "{followed:?}");
}
