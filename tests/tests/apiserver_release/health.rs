//! Health of custom kinds, whose status is written by hand here.

use belay_api::Release;
use belay_engine::{
    condition::Truth,
    release::{Phase, status::FailureReason},
};
use belay_tests::{
    tenant::{Tenant, config_map},
    told::condition,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{SOON, lab};

const GROUP: &str = "health.example.com";

/// A tenant whose account may manage a kind of its own.
struct Custom {
    tenant: Tenant,
    resource: ApiResource,
}

impl Custom {
    async fn create(name: &str) -> Self {
        let tenant = Tenant::create(lab().await, name).await.unwrap();
        let kind = format!("Database{}", tenant.namespace.rsplit('-').next().unwrap());
        let plural = kind.to_lowercase();
        let rules = json!([{"apiGroups": [GROUP], "resources": [plural], "verbs": ["*"]}]);
        tenant.allow_cluster(&rules).await.unwrap();
        let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = json!({
            "metadata": {"name": format!("{plural}.{GROUP}")},
            "spec": {"group": GROUP, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": free, "status": free}}}}]},
        });
        let definition: CustomResourceDefinition = serde_json::from_value(definition).unwrap();
        let definitions = Api::all(tenant.client.clone());
        definitions
            .create(&PostParams::default(), &definition)
            .await
            .unwrap();
        let name = format!("{plural}.{GROUP}");
        let served = kube::runtime::conditions::is_crd_established();
        kube::runtime::wait::await_condition(definitions, &name, served)
            .await
            .unwrap();
        let resource = ApiResource {
            group: GROUP.to_owned(),
            version: "v1".to_owned(),
            api_version: format!("{GROUP}/v1"),
            kind,
            plural,
        };
        Self { tenant, resource }
    }

    /// Commits a database of this size, and a ConfigMap that tells it.
    async fn commit(&self, size: u32) -> String {
        let database = json!({
            "apiVersion": self.resource.api_version, "kind": self.resource.kind,
            "metadata": {"name": "main"}, "spec": {"size": size},
        });
        let files = [
            ("database.json", &*database.to_string()),
            ("config.yaml", &config_map("config", &size.to_string())),
        ];
        self.tenant.repo.commit(&files, "A size").await.unwrap()
    }

    fn databases(&self) -> Api<DynamicObject> {
        let Tenant {
            client, namespace, ..
        } = &self.tenant;
        Api::namespaced_with(client.clone(), namespace, &self.resource)
    }

    /// Writes a status about the newest spec, as the kind's controller would.
    async fn says(&self, status: &Value) {
        let api = self.databases();
        let generation = api.get("main").await.unwrap().metadata.generation;
        let mut status = json!({"status": status});
        status["status"]["observedGeneration"] = json!(generation);
        api.patch_status("main", &PatchParams::default(), &Patch::Merge(&status))
            .await
            .unwrap();
    }

    fn rule(&self, current: &str) -> Value {
        json!({"verification": {"health": [{
            "apiVersion": format!("{GROUP}/*"), "kind": self.resource.kind, "failed": "has(status.error)", "current": current,
        }]}})
    }

    /// Waits until the Release is in `phase` and says this of it.
    async fn tells(&self, phase: Phase, what: &str) {
        self.tenant
            .wait(what, SOON, |status| {
                let ready = condition(&status.conditions, "Ready");
                status.phase == phase && ready.is_some_and(|ready| ready.message.contains(what))
            })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_holds_a_custom_kind_back_until_its_status_says_so_and_takes_a_failed_one_back() {
    // Given a kind that says in its status when it is ready, and a rule for it.
    let custom = Custom::create("rule").await;
    let first = custom.commit(1).await;
    let ready = "status.phase == 'Ready'";
    custom.tenant.release(&custom.rule(ready)).await.unwrap();
    // Then a version waits as long as the status does not say so.
    custom.tells(Phase::Verifying, "there is no phase").await;
    custom.says(&json!({"phase": "Creating"})).await;
    custom
        .tells(
            Phase::Verifying,
            "its health rule does not hold yet (current: status.phase == 'Ready')",
        )
        .await;
    // When it does, then the version is verified.
    custom.says(&json!({"phase": "Ready"})).await;
    custom
        .tenant
        .phase(Phase::Verified, &first, SOON)
        .await
        .unwrap();
    // When the status says of the next one that it failed, then it is taken back, and told which object failed by which rule.
    let second = custom.commit(2).await;
    custom
        .tells(
            Phase::Verifying,
            "its controller has not seen the newest spec yet",
        )
        .await;
    custom.says(&json!({"error": "no space"})).await;
    custom
        .tenant
        .value_is("config", Some("1"), SOON)
        .await
        .unwrap();
    custom.says(&json!({"error": null})).await;
    let status = custom
        .tenant
        .phase(Phase::Rejected, &second, SOON)
        .await
        .unwrap();
    let rollback = status.rollback.unwrap();
    assert_eq!(rollback.reason, FailureReason::Unhealthy);
    let told = format!(
        "{}/main failed: its health rule says so (failed: has(status.error))",
        custom.tenant.namespace
    );
    assert!(
        rollback.message.contains(&told) && rollback.message.contains(&custom.resource.kind),
        "{}",
        rollback.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_cannot_be_read_is_refused_and_what_runs_stays() {
    // Given a verified Release with a rule.
    let custom = Custom::create("badrule").await;
    let first = custom.commit(1).await;
    custom
        .tenant
        .release(&custom.rule("status.ready"))
        .await
        .unwrap();
    custom.tells(Phase::Verifying, "there is no ready").await;
    custom.says(&json!({"ready": true})).await;
    custom
        .tenant
        .phase(Phase::Verified, &first, SOON)
        .await
        .unwrap();
    // When the rule is changed to one that can't be read, and another version comes.
    let releases = custom.tenant.api::<Release>();
    let change = async |current: &str| {
        let spec = json!({"spec": custom.rule(current)});
        let parameters = PatchParams::default();
        releases
            .patch("shop", &parameters, &Patch::Merge(&spec))
            .await
            .unwrap();
    };
    change("stauts.ready").await;
    let status = custom
        .tenant
        .wait("the refusal", SOON, |status| {
            condition(&status.conditions, "Stalled").is_some_and(|c| c.status == Truth::True)
        })
        .await
        .unwrap();
    // Then it is told what is wrong with it.
    let why = &condition(&status.conditions, "Stalled").unwrap().message;
    for said in [
        "current of the rule for health.example.com/* Database",
        "stauts is not known: write status",
    ] {
        assert!(why.contains(said), "{why}");
    }
    let second = custom.commit(2).await;
    custom
        .tenant
        .wait("the newer commit to be seen", SOON, |status| {
            let asked = status.asked.as_ref();
            asked.is_some_and(|asked| asked.revision.ends_with(&second))
        })
        .await
        .unwrap();
    custom
        .tenant
        .value_is("config", Some("1"), SOON)
        .await
        .unwrap();
    // When it is put right, then the version is brought in, and judged by it.
    change("status.ready && spec.size == 2").await;
    custom
        .tenant
        .value_is("config", Some("2"), SOON)
        .await
        .unwrap();
    custom.says(&json!({"ready": true})).await;
    custom
        .tenant
        .phase(Phase::Verified, &second, SOON)
        .await
        .unwrap();
}

/// A Release whose object waits for its first status, and the commit.
async fn without_status(name: &str) -> (Custom, String) {
    let custom = Custom::create(name).await;
    let first = custom.commit(1).await;
    custom.tenant.release(&json!({})).await.unwrap();
    let lacks = "its controller has not written a status yet";
    custom.tells(Phase::Verifying, lacks).await;
    (custom, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_its_controller_has_not_seen_yet_is_waited_for() {
    // Given a kind with a status, and no rule for it.
    // Then its object is not taken for healthy at once.
    let (custom, first) = without_status("unseen").await;
    // When the controller writes that it is not ready, then that counts.
    let ready = |status: &str| json!({"conditions": [{"type": "Ready", "status": status, "reason": "Creating"}]});
    custom.says(&ready("False")).await;
    custom.tells(Phase::Verifying, "Creating").await;
    custom.says(&ready("True")).await;
    custom
        .tenant
        .phase(Phase::Verified, &first, SOON)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_whose_controller_never_writes_a_status_holds_nothing_up_for_long() {
    // Given a kind with a status that nobody writes.
    let (custom, first) = without_status("silent").await;
    // Then the version is verified all the same, after a while, though nothing happens any more.
    custom
        .tenant
        .phase(Phase::Verified, &first, SOON)
        .await
        .unwrap();
}
