//! Objects of the user's, led and let go: everything that is written is accepted by the kind's own definition, what others apply in
//! between changes nothing lasting, and at the end nothing of Belay's is left in the object.
//!
//! These tests write as the controller does, with its functions, and without it: each write by itself.

use belay::traffic::{self, Names, ownership, services};
use belay_engine::traffic::{
    Affinity, Condition, Match, Part, RouteState, RouterKind, Sessions, Split, Text, UserService,
};
use belay_tests::{routers::KINDS, scene::Scene};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, Patch, PatchParams, ValidationDirective},
};
use serde_json::{Value, json};

use crate::{
    lab,
    manifests::{route, service},
    writers::{WRITERS, Writer},
};

/// The splits of a long canary: a cohort, a mirror, shares, all of it, and back.
fn splits(kind: RouterKind) -> Vec<Split> {
    let mut splits: Vec<Split> = [0, 1, 33, 100].map(Split::share).to_vec();
    // A route of Traefik's that has a cookie of its own can't have another one.
    if kind.keeps_sessions() && kind != RouterKind::TraefikService {
        let sessions = Sessions {
            affinity: Affinity {
                cookie: "shop".to_owned(),
                max_age_seconds: 3_600,
            },
            trial: "5d4f8-67a1".to_owned(),
            earlier_percent: Some(10),
        };
        splits.push(Split {
            sessions: Some(sessions),
            ..Split::share(40)
        });
    }
    if kind != RouterKind::TraefikService {
        let condition = |part: Part, name: &str| Condition {
            part,
            name: name.to_owned(),
            value: Text::Exact("a.b".to_owned()),
        };
        let parts = [Part::Header, Part::Cookie, Part::Query];
        let all = parts.into_iter().filter(|part| kind.matches(*part));
        let cohort = Match {
            all: all.map(|part| condition(part, "x-cohort")).collect(),
        };
        let regex = Match {
            all: vec![Condition {
                value: Text::Regex("^a.*".to_owned()),
                ..condition(Part::Header, "x-other")
            }],
        };
        splits.insert(
            0,
            Split {
                cohorts: vec![cohort, regex],
                mirror_percent: Some(10),
                ..Split::default()
            },
        );
        splits.push(Split {
            mirror_percent: Some(100),
            ..Split::default()
        });
    }
    splits
}

/// An object that is written as the controller writes it.
struct Led {
    api: Api<DynamicObject>,
    names: Names,
}

impl Led {
    fn new(client: &Client, namespace: &str, resource: &ApiResource) -> Self {
        Self {
            api: Api::namespaced_with(client.clone(), namespace, resource),
            names: Names::new(namespace, "web"),
        }
    }

    async fn get(&self) -> DynamicObject {
        self.api.get("web").await.unwrap()
    }

    async fn write(&self, version: &str, operations: &Value) -> DynamicObject {
        let mut all =
            vec![json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version})];
        all.extend(operations.as_array().unwrap().iter().cloned());
        let parameters = PatchParams {
            field_manager: Some(ownership::MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let patch = Patch::Json::<()>(serde_json::from_value(json!(all)).unwrap());
        self.api.patch("web", &parameters, &patch).await.unwrap()
    }

    async fn split(&self, kind: RouterKind, wanted: Option<&Split>) -> DynamicObject {
        let object = self.get().await;
        let version = object.resource_version().unwrap();
        let change = traffic::write(kind, &object.data, &self.names, wanted).unwrap();
        let Some(change) = change else { return object };
        self.write(&version, &json!(change.operations())).await
    }

    async fn give_back(
        &self,
        object: &DynamicObject,
        fields: &[&ownership::Path],
    ) -> DynamicObject {
        let managed = ownership::given_back(object.managed_fields(), fields).unwrap();
        let version = object.resource_version().unwrap();
        let operation =
            json!([{"op": "replace", "path": "/metadata/managedFields", "value": managed}]);
        self.write(&version, &operation).await
    }
}

/// Who owns what, without times.
pub(crate) fn owners(object: &DynamicObject) -> Value {
    let mut managed = json!(object.managed_fields());
    for entry in managed.as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().remove("time");
    }
    managed
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_route_is_led_and_at_the_end_as_it_was_whoever_applies_it() {
    let lab = lab().await;
    for kind in KINDS {
        for writer in WRITERS {
            let scene = Scene::new(lab, "led").await.unwrap();
            led_and_let_go(&scene, kind, writer).await;
        }
    }
}

async fn led_and_let_go(scene: &Scene, kind: RouterKind, writer: Writer) {
    let what = format!("{} by {writer:?}", kind.as_str());
    let led = Led::new(&scene.client, &scene.namespace, &traffic::resource(kind));
    let source = route(kind, &scene.namespace);
    // Given a route that a tool brought.
    writer.create(&led.api, &source).await;
    let before = led.get().await;
    assert_eq!(
        traffic::read(kind, &before.data, &led.names),
        RouteState::Home,
        "{what}"
    );
    for split in splits(kind) {
        // When it is led in any way that it can be, its definition takes it whole.
        let written = led.split(kind, Some(&split)).await;
        let said = RouteState::Split(split.clone().canonical());
        assert_eq!(
            traffic::read(kind, &written.data, &led.names),
            said,
            "{what}"
        );
        // When the tool brings its source in the middle of it, that is seen, and answered.
        writer.apply(&led.api, &source).await;
        let reapplied = led.get().await;
        assert_eq!(reapplied.data["spec"], before.data["spec"], "{what}");
        let again = led.split(kind, Some(&split)).await;
        assert_eq!(again.data["spec"], written.data["spec"], "{what}");
        assert!(ownership::is_owner(again.managed_fields()), "{what}");
    }
    // When it is sent home.
    let home = led.split(kind, None).await;
    let after = led.give_back(&home, &traffic::owned_fields(kind)).await;
    // Then it says what it said, and everything in it belongs to whom it belonged.
    assert_eq!(after.data["spec"], before.data["spec"], "{what}");
    assert_eq!(owners(&after), owners(&before), "{what}");
    if matches!(writer, Writer::Flux | Writer::ArgoServerSide) {
        let unforced = writer.rehearse(&led.api, &source).await;
        assert!(unforced.is_ok(), "{what}: {unforced:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_service_is_pinned_and_let_go_whoever_applies_it() {
    let lab = lab().await;
    for writer in WRITERS {
        let scene = Scene::new(lab, "pin").await.unwrap();
        let resource = ApiResource::erase::<Service>(&());
        let led = Led::new(&scene.client, &scene.namespace, &resource);
        let source = service(&scene.namespace);
        writer.create(&led.api, &source).await;
        let before = led.get().await;
        assert_eq!(services::user(&before.data, &led.names), UserService::Open);
        // When it is pinned, and its source is applied, and it is pinned again.
        let pin =
            json!([{"op": "add", "path": "/spec/selector/pod-template-hash", "value": "bcdf"}]);
        led.write(&before.resource_version().unwrap(), &pin).await;
        writer.apply(&led.api, &source).await;
        let between = led.get().await;
        let pinned = led.write(&between.resource_version().unwrap(), &pin).await;
        assert_eq!(
            services::user(&pinned.data, &led.names),
            UserService::Pinned("bcdf".to_owned())
        );
        // When it is let go, it is what it was.
        let unpin = json!([{"op": "remove", "path": "/spec/selector/pod-template-hash"}]);
        let open = led.write(&pinned.resource_version().unwrap(), &unpin).await;
        let after = led.give_back(&open, &[services::SELECTOR]).await;
        assert_eq!(after.data["spec"], before.data["spec"], "{writer:?}");
        assert_eq!(owners(&after), owners(&before), "{writer:?}");
    }
}
