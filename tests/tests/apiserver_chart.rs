//! The installed chart on a real API server: its definitions are in force, and each role gives what it is for and nothing more.

#![expect(
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

use std::time::Duration;

use belay_api::Rollout;
use belay_lab::{Lab, Program, SharedLab, wait_for};
use belay_tests::installed::{Installed, NAMESPACE, workspace_root};
use k8s_openapi::api::{authorization::v1::SubjectAccessReview, rbac::v1::RoleBinding};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const SOON: Duration = Duration::from_mins(2);
const CONTROLLER: &str = "system:serviceaccount:belay-system:belay";

static LAB: SharedLab = SharedLab::new();
static INSTALLED: OnceCell<Installed> = OnceCell::const_new();

/// A lab with the chart in it.
async fn lab() -> &'static Lab {
    let lab = LAB
        .get(|| Lab::builder().nodes(1))
        .await
        .expect("the lab starts");
    INSTALLED
        .get_or_try_init(|| Installed::chart(lab, &[]))
        .await
        .expect("the chart installs");
    lab
}

/// A question to the authorizer: may `user` do `verb` to `resource` (`group/plural[/subresource][:name]`) in `namespace`?
async fn may(client: &Client, user: &str, verb: &str, resource: &str, namespace: &str) -> bool {
    let (resource, name) = resource.split_once(':').unwrap_or((resource, ""));
    let mut parts = resource.split('/');
    let (group, plural) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
        "user": user,
        "resourceAttributes": {
            "group": group, "resource": plural, "subresource": parts.next().unwrap_or_default(),
            "verb": verb, "namespace": namespace, "name": name,
        },
    }}))
    .expect("a review");
    let answer = Api::<SubjectAccessReview>::all(client.clone())
        .create(&PostParams::default(), &review)
        .await
        .expect("the authorizer answers");
    answer.status.is_some_and(|status| status.allowed)
}

async fn bind(client: &Client, namespace: &str, role: &str, user: &str) -> kube::Result<()> {
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}],
    }))
    .expect("a RoleBinding");
    let bindings = Api::<RoleBinding>::namespaced(client.clone(), namespace);
    bindings.create(&PostParams::default(), &binding).await?;
    Ok(())
}

const HOLD_POLICY: &str =
    "admissionregistration.k8s.io/mutatingadmissionpolicies:hold.rollouts.belay.dev";
const CONFIG_POLICY: &str =
    "admissionregistration.k8s.io/mutatingadmissionpolicies:config.rollouts.belay.dev";

#[tokio::test]
async fn the_controller_may_do_its_work_and_nothing_beside_it() {
    // given the chart as it is installed by default, and a namespace that nobody prepared
    let lab = lab().await;
    let client = lab.client().unwrap();
    let shop = lab.namespace("shop").await.unwrap();

    // then everything that a Rollout takes is allowed there
    for (verb, resource) in [
        ("watch", "belay.dev/rollouts"),
        ("watch", "belay.dev/actions"),
        ("watch", "belay.dev/analysistemplates"),
        ("patch", "belay.dev/rollouts"),
        ("patch", "belay.dev/rollouts/status"),
        ("patch", "belay.dev/actions/status"),
        ("patch", "apps/deployments"),
        ("create", "apps/replicasets"),
        ("patch", "apps/replicasets"),
        ("delete", "apps/replicasets"),
        ("patch", "apps/statefulsets"),
        ("list", "apps/controllerrevisions"),
        ("list", "/pods"),
        ("delete", "/pods"),
        ("create", "events.k8s.io/events"),
        ("create", "/services"),
        ("delete", "/services"),
        ("create", "/configmaps"),
        ("watch", "discovery.k8s.io/endpointslices"),
        ("patch", "gateway.networking.k8s.io/httproutes"),
        ("watch", "networking.istio.io/virtualservices"),
        ("patch", "traefik.io/traefikservices"),
    ] {
        assert!(
            may(&client, CONTROLLER, verb, resource, &shop).await,
            "may not {verb} {resource}"
        );
    }
    for (verb, resource) in [
        ("watch", "belay.dev/clusteranalysistemplates"),
        ("create", "belay.dev/clusteranalysistemplates"),
        ("patch", "belay.dev/clusteranalysistemplates"),
        ("watch", HOLD_POLICY),
        ("watch", CONFIG_POLICY),
    ] {
        assert!(
            may(&client, CONTROLLER, verb, resource, "").await,
            "may not {verb} {resource}"
        );
    }
    assert!(
        may(
            &client,
            CONTROLLER,
            "update",
            "coordination.k8s.io/leases",
            NAMESPACE
        )
        .await
    );

    // and nothing else is
    for (verb, resource) in [
        ("get", "/secrets"),
        ("list", "/secrets"),
        ("update", "/configmaps"),
        ("patch", "/configmaps"),
        ("impersonate", "/serviceaccounts"),
        ("update", "coordination.k8s.io/leases"),
        ("get", "/pods/log"),
        ("create", "gateway.networking.k8s.io/httproutes"),
        ("delete", "networking.istio.io/virtualservices"),
        ("patch", "networking.istio.io/destinationrules"),
        ("list", "traefik.io/ingressroutes"),
        ("create", "/pods"),
        ("create", "/pods/exec"),
        ("delete", "apps/deployments"),
        ("create", "apps/deployments"),
        ("delete", "belay.dev/rollouts"),
        ("create", "belay.dev/actions"),
        ("approve", "belay.dev/rollouts"),
        ("break-glass", "belay.dev/rollouts"),
        ("create", "rbac.authorization.k8s.io/rolebindings"),
        ("create", "/serviceaccounts/token"),
    ] {
        assert!(
            !may(&client, CONTROLLER, verb, resource, &shop).await,
            "may {verb} {resource}"
        );
    }
    for (verb, resource) in [
        ("create", "rbac.authorization.k8s.io/clusterrolebindings"),
        ("patch", HOLD_POLICY),
        (
            "list",
            "admissionregistration.k8s.io/mutatingadmissionpolicies",
        ),
        ("delete", "belay.dev/clusteranalysistemplates"),
        ("impersonate", "/users"),
        ("list", "/namespaces"),
    ] {
        assert!(
            !may(&client, CONTROLLER, verb, resource, "").await,
            "may {verb} {resource}"
        );
    }
}

#[tokio::test]
async fn the_owner_of_a_namespace_can_let_releases_in_and_only_there() {
    // given a namespace with an owner who has Kubernetes' own admin role there
    let lab = lab().await;
    let admin = lab.client().unwrap();
    let mine = lab.namespace("mine").await.unwrap();
    let other = lab.namespace("other").await.unwrap();
    bind(&admin, &mine, "admin", "owner").await.unwrap();
    let owner = lab.client_for_user("owner", None).unwrap();
    wait_for("the owner's rights", SOON, || async {
        let ready = may(&admin, "owner", "impersonate", "/serviceaccounts", &mine).await;
        ready
            .then_some(())
            .ok_or_else(|| "not aggregated yet".to_owned())
    })
    .await
    .unwrap();

    // when the owner binds Belay's tenant role
    // The owner may give away what he holds, and some of it comes to him by aggregation, a moment later.
    wait_for("the owner may bind the role", SOON, || async {
        let bound = bind(&owner, &mine, "belay-tenant", CONTROLLER).await;
        bound.map_err(|error| error.to_string())
    })
    .await
    .unwrap();

    // then Belay may act for the service accounts of that namespace, and of no other
    for (verb, resource) in [
        ("impersonate", "/serviceaccounts:deployer"),
        ("get", "/secrets:git"),
        ("create", "/secrets"),
        ("update", "/configmaps"),
    ] {
        // The authorizer hears of a new binding a moment later.
        wait_for("the binding to be in force", SOON, || async {
            let allowed = may(&admin, CONTROLLER, verb, resource, &mine).await;
            allowed
                .then_some(())
                .ok_or_else(|| format!("may not {verb} {resource}"))
        })
        .await
        .unwrap();
        assert!(
            !may(&admin, CONTROLLER, verb, resource, &other).await,
            "{verb} {resource}"
        );
    }
}

#[tokio::test]
async fn each_role_for_people_gives_what_it_is_for() {
    let lab = lab().await;
    let client = lab.client().unwrap();
    let shop = lab.namespace("roles").await.unwrap();
    let roles = [
        "view",
        "edit",
        "admin",
        "belay-viewer",
        "belay-operator",
        "belay-admin",
        "belay-break-glass",
    ];
    for role in roles {
        bind(&client, &shop, role, role).await.unwrap();
    }
    // Kubernetes' own roles take the chart's rules up in the background.
    wait_for("the aggregation of roles", SOON, || async {
        let view = may(&client, "view", "list", "belay.dev/rollouts", &shop).await;
        let edit = may(&client, "edit", "list", "belay.dev/rollouts", &shop).await;
        let admin = may(&client, "admin", "create", "belay.dev/rollouts", &shop).await;
        (view && edit && admin)
            .then_some(())
            .ok_or_else(|| format!("view {view}, edit {edit}, admin {admin}"))
    })
    .await
    .unwrap();

    // who may do what: a column per role, in the order above
    let table: [(&str, &str, [bool; 7]); 7] = [
        (
            "list",
            "belay.dev/rollouts",
            [true, true, true, true, true, true, false],
        ),
        (
            "create",
            "belay.dev/actions",
            [false, false, true, false, true, true, false],
        ),
        (
            "approve",
            "belay.dev/rollouts",
            [false, false, true, false, true, true, false],
        ),
        (
            "undo",
            "belay.dev/releases",
            [false, false, true, false, true, true, false],
        ),
        (
            "create",
            "belay.dev/rollouts",
            [false, false, true, false, false, true, false],
        ),
        ("patch", "belay.dev/rollouts/status", [false; 7]),
        (
            "break-glass",
            "belay.dev/rollouts",
            [false, false, false, false, false, false, true],
        ),
    ];
    for (verb, resource, expected) in table {
        for (role, expected) in roles.into_iter().zip(expected) {
            let allowed = may(&client, role, verb, resource, &shop).await;
            assert_eq!(allowed, expected, "{role}: {verb} {resource}");
        }
    }
}

#[tokio::test]
async fn a_rollout_that_can_t_work_is_refused_with_advice_and_a_good_one_gets_its_defaults() {
    let lab = lab().await;
    let shop = lab.namespace("schema").await.unwrap();
    let rollouts = Api::<Rollout>::namespaced(lab.client().unwrap(), &shop);
    let dynamic = |steps: Value| -> Rollout {
        serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
            "spec": {"workloadRef": {"name": "web"}, "strategy": {"canary": {"steps": steps}}},
        }))
        .expect("a Rollout")
    };
    for (steps, advice) in [
        (
            json!([{"weight": 10, "replicas": 1}]),
            "exactly one of weight",
        ),
        (
            json!([{"weight": 80}]),
            "a weight above 50 without a router",
        ),
        (
            json!([{"weight": 10, "mirror": 5}]),
            "only a router can tell requests apart or copy them",
        ),
        (json!([]), "at least 1 items"),
        (json!([{"replicas": "0%"}]), "should match"),
        (
            json!([{"replicas": 0}]),
            "should be greater than or equal to 1",
        ),
    ] {
        let error = rollouts
            .create(&PostParams::default(), &dynamic(steps))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains(advice),
            "{error} does not say {advice:?}"
        );
    }

    let created = rollouts
        .create(&PostParams::default(), &dynamic(json!([{"weight": 10}])))
        .await
        .unwrap();

    assert_eq!(
        created.spec.progress_deadline.get(),
        Duration::from_mins(10)
    );
    assert!(created.spec.strategy.steps()[0].hold.get().is_zero());
}

#[tokio::test]
async fn the_readmes_manifests_are_accepted_as_they_stand() {
    // given the YAML of the README, put into a namespace of this test
    let lab = lab().await;
    let namespace = lab.namespace("readme").await.unwrap();
    let readme = std::fs::read_to_string(workspace_root().join("README.md")).unwrap();
    let blocks: Vec<&str> = readme
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(blocks.len() >= 2, "the README has lost its examples");
    let manifests = blocks
        .join("---\n")
        .replace("namespace: shop", &format!("namespace: {namespace}"));
    let file = lab.dir().join("readme.yaml");
    std::fs::write(&file, manifests).unwrap();

    // when it is applied with strict validation, then the API server takes it
    let output = lab
        .command(Program::Kubectl)
        .await
        .unwrap()
        .args(["apply", "--validate=strict", "--filename"])
        .arg(&file)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn kubectl_explains_every_kind_in_its_own_words() {
    let lab = lab().await;
    for definition in belay_api::definitions() {
        let plural = definition.spec.names.plural;
        // The API server publishes the schema of a definition some time after it has taken it into force.
        let text = wait_for(&format!("kubectl explain {plural}"), SOON, async || {
            let mut kubectl = lab.command(Program::Kubectl).await.unwrap();
            let output = kubectl.args(["explain", &plural]).output().await.unwrap();
            if output.status.success() {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            } else {
                Err(String::from_utf8_lossy(&output.stderr).into_owned())
            }
        })
        .await
        .unwrap();
        assert!(!text.contains("Auto-generated"), "{text}");
    }
}
