//! What the cluster warns of about an object that failed or is late: its newest events, and those of its pods.
//!
//! Invariant: nothing is shown when a Secret that the object refers to can't be read, and else without any of their values. Asked
//! for only when an object has failed or its time is over, in the name of the Release's account; one that may not list events says
//! nothing.

use belay_api::Release;
use belay_engine::{
    health::Health,
    release::{Phase, observed::ObjectHealth, observed::ObjectKey},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use super::{Shell, gather::stored, look::kind, memory::Memory};
use crate::{
    apply::{Kind, Target},
    client::bounded,
    gates::probe::secrets,
};

/// Events that are looked through.
const LISTED: u32 = 500;

/// Events that are told.
const TOLD: usize = 2;

/// Longest text of one.
const EVENT_BYTES: usize = 200;

impl Shell {
    /// Adds to what is said about the object that a failure of this version would be put down to.
    pub(super) async fn warn(
        &self,
        release: &Release,
        target: &Target,
        memory: &Memory,
        unhealthy: &mut [ObjectHealth],
    ) {
        let governed = self.governed(target, &[]);
        let is_governed = |object: &ObjectKey| {
            crate::apply::manifest::workload_kind(object).is_some_and(|kind| {
                let namespace = object.namespace.clone().unwrap_or_default();
                governed.contains(&(kind, namespace, object.name.clone()))
            })
        };
        let late = is_late(release);
        let Some(blamed) = unhealthy.iter_mut().find(|one| {
            let counts = late || matches!(one.health, Health::Failed { .. });
            counts && !is_governed(&one.object)
        }) else {
            return;
        };
        let Some(entry) = stored(memory).objects.get(&blamed.object) else {
            return;
        };
        let Ok(Some(kind)) = kind(target, &blamed.object, entry).await else {
            return;
        };
        let client = &target.client;
        // What Secrets hold is asked in the cluster where the object is.
        let own = if target.is_remote() {
            client
        } else {
            &self.context.client
        };
        let Some(told) = warnings(own, client, &blamed.object, &kind).await else {
            return;
        };
        if let Health::Failed { message } | Health::InProgress { message } = &mut blamed.health {
            *message = format!("{message}; {told}");
        }
    }
}

fn is_late(release: &Release) -> bool {
    let status = release.status.as_ref();
    let Some(status) = status.filter(|status| status.phase == Phase::Verifying) else {
        return false;
    };
    let applied_at = status.target.as_ref().and_then(|target| target.applied_at);
    applied_at.is_some_and(|applied_at| {
        let waited = Timestamp::now().duration_since(applied_at);
        waited.unsigned_abs() >= release.spec.verification.timeout.get()
    })
}

async fn warnings(own: &Client, client: &Client, key: &ObjectKey, kind: &Kind) -> Option<String> {
    let namespace = key.namespace.as_deref()?;
    let objects =
        Api::<kube::api::DynamicObject>::namespaced_with(client.clone(), namespace, &kind.resource);
    let object = bounded("reading an applied object", objects.get(&key.name))
        .await
        .ok()?;
    let redactor = secrets::redactor(own, namespace, &object.data).await.ok()?;
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let parameters = ListParams::default().fields("type=Warning").limit(LISTED);
    let listed = bounded("listing events", events.list(&parameters))
        .await
        .ok()?;
    let uid = object.uid().unwrap_or_default();
    let about = listed
        .items
        .into_iter()
        .filter(|event| is_about(event, key, &uid));
    let mut about: Vec<Event> = about.collect();
    about.sort_by_key(|event| std::cmp::Reverse(when(event)));
    let told: Vec<String> = about
        .iter()
        .take(TOLD)
        .map(|event| redactor.apply(&sentence(event)))
        .collect();
    (!told.is_empty()).then(|| format!("warnings: {}", told.join("; ")))
}

/// Whether an event is about the object or about a pod that it made.
fn is_about(event: &Event, key: &ObjectKey, uid: &str) -> bool {
    let about = &event.involved_object;
    let named = about.name.as_deref().unwrap_or_default();
    let is_made = ["Pod", "ReplicaSet", "Job"].contains(&about.kind.as_deref().unwrap_or_default())
        && named
            .strip_prefix(&key.name)
            .is_some_and(|rest| rest.starts_with('-'));
    about.uid.as_deref() == Some(uid) || is_made
}

fn when(event: &Event) -> Option<Timestamp> {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    last.max(event.event_time.as_ref().map(|time| time.0))
        .max(series.map(|time| time.0))
}

/// One event in one line: what it is about, its reason and its message, cut.
fn sentence(event: &Event) -> String {
    let about = &event.involved_object;
    let text = format!(
        "{} {}: {}: {}",
        about.kind.as_deref().unwrap_or_default(),
        about.name.as_deref().unwrap_or_default(),
        event.reason.as_deref().unwrap_or_default(),
        event.message.as_deref().unwrap_or_default()
    );
    let line = text.replace(char::is_control, " ");
    if line.len() <= EVENT_BYTES {
        return line;
    }
    let end = line.floor_char_boundary(EVENT_BYTES);
    format!("{}…", line.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, name: &str, uid: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {"name": "e"}, "reason": "FailedMount", "message": format!("no\nvolume {}", "x".repeat(400)),
            "involvedObject": {"kind": kind, "name": name, "uid": uid},
        }))
        .unwrap()
    }

    #[test]
    fn events_of_the_object_and_its_pods_count_and_no_others() {
        let key = ObjectKey {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
        };
        for (kind, name, uid, counts) in [
            ("Deployment", "web", "u", true),
            ("Deployment", "web", "earlier", false),
            ("Pod", "web-5d4-x", "p", true),
            ("Pod", "website-5d4-x", "p", false),
        ] {
            assert_eq!(
                is_about(&event(kind, name, uid), &key, "u"),
                counts,
                "{kind} {name}"
            );
        }
    }

    #[test]
    fn an_event_is_one_short_line() {
        let said = sentence(&event("Pod", "web-1", "p"));
        assert!(said.starts_with("Pod web-1: FailedMount: no volume x") && said.ends_with('…'));
        assert!(said.len() <= EVENT_BYTES + '…'.len_utf8());
    }
}
