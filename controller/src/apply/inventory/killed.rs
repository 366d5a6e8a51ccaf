//! Inventories when the process that writes them is killed between any two writes, on a stand-in for the API server that holds
//! ConfigMaps as it does: versions, UIDs, conflicts, preconditions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use belay_engine::{digest::Digest, release::observed::ObjectKey};
use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use super::{Inventory, Stored, load, save};
use crate::{Error, Result, apply::Owner};

/// ConfigMaps, and how many writes are left until the process is killed.
#[derive(Clone, Default)]
struct Cluster {
    maps: BTreeMap<String, Value>,
    version: u64,
    writes_left: Option<usize>,
}

impl Cluster {
    fn answer(&mut self, method: &Method, path: &str, body: &Value) -> Option<(u16, Value)> {
        if *method != Method::GET
            && let Some(left) = &mut self.writes_left
        {
            // Killed: neither this write nor any after it is done.
            *left = left.checked_sub(1)?;
        }
        let name = path.split("/configmaps").nth(1).unwrap_or_default();
        let name = name.trim_start_matches('/');
        Some(match (method.as_str(), name) {
            ("GET", "") => self.list(),
            ("GET", name) => self.maps.get(name).map_or_else(missing, ok),
            ("POST", _) => self.create(body),
            ("PUT", name) => self.replace(name, body),
            ("DELETE", name) => self.delete(name, body),
            _ => (405, json!({})),
        })
    }

    fn list(&self) -> (u16, Value) {
        let part = json!("inventory-part");
        let is_part = |map: &&Value| map["metadata"]["labels"]["belay.dev/part"] == part;
        let items = self.maps.values().filter(is_part).map(|map| {
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": map["metadata"]})
        });
        let items: Vec<Value> = items.collect();
        ok(&json!({"metadata": {"resourceVersion": "0"}, "items": items}))
    }

    fn create(&mut self, body: &Value) -> (u16, Value) {
        let name = body["metadata"]["name"].as_str().unwrap().to_owned();
        if self.maps.contains_key(&name) {
            return (409, json!({"reason": "AlreadyExists"}));
        }
        self.version += 1;
        let mut body = body.clone();
        body["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        body["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.maps.insert(name, body.clone());
        (201, body)
    }

    fn replace(&mut self, name: &str, body: &Value) -> (u16, Value) {
        let Some(map) = self.maps.get_mut(name) else {
            return missing();
        };
        if map["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
            return (409, json!({"reason": "Conflict"}));
        }
        assert_eq!(map["immutable"], Value::Null, "parts are never changed");
        self.version += 1;
        let uid = map["metadata"]["uid"].clone();
        *map = body.clone();
        map["metadata"]["uid"] = uid;
        map["metadata"]["resourceVersion"] = json!(self.version.to_string());
        (200, map.clone())
    }

    fn delete(&mut self, name: &str, body: &Value) -> (u16, Value) {
        match self.maps.get(name) {
            None => missing(),
            Some(map) if map["metadata"]["uid"] != body["preconditions"]["uid"] => {
                (409, json!({"reason": "Conflict"}))
            }
            Some(_) => {
                self.maps.remove(name);
                ok(&json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
        }
    }
}

fn missing() -> (u16, Value) {
    (404, json!({"reason": "NotFound"}))
}

fn ok(value: &Value) -> (u16, Value) {
    (200, value.clone())
}

/// A stand-in that processes share.
#[derive(Clone, Default)]
struct StandIn(Arc<Mutex<Cluster>>);

impl StandIn {
    fn of(cluster: Cluster) -> Self {
        Self(Arc::new(Mutex::new(cluster)))
    }

    fn client(&self) -> Client {
        let cluster = Arc::clone(&self.0);
        let service = service_fn(move |request: Request<Body>| {
            let cluster = Arc::clone(&cluster);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let answer = cluster
                    .lock()
                    .unwrap()
                    .answer(&parts.method, parts.uri.path(), &body);
                let (code, mut value) = answer.ok_or("killed")?;
                if code >= 400 {
                    value["status"] = json!("Failure");
                    value["message"] = json!("no");
                    value["code"] = json!(code);
                }
                let response = Response::builder().status(StatusCode::from_u16(code)?);
                Ok::<_, BoxError>(response.body(Body::from(value.to_string().into_bytes()))?)
            }
        });
        Client::new(service, "shop")
    }

    /// What is there, as a process finds it that goes on after the kill.
    fn after(&self) -> Self {
        let mut cluster = self.0.lock().unwrap().clone();
        cluster.writes_left = None;
        Self::of(cluster)
    }

    async fn load(&self) -> Stored {
        load(&self.client(), &owner()).await.unwrap()
    }

    async fn save(&self, before: &Stored, next: &Inventory) -> Result<Stored> {
        save(&self.client(), &owner(), before, next.clone(), || Ok(())).await
    }

    /// Names of the parts that are there, and of those that the index names.
    fn parts(&self) -> (Vec<String>, Vec<String>) {
        let cluster = self.0.lock().unwrap();
        let is_part = |name: &&String| name.as_str() != "shop.belay-inventory";
        let there = cluster.maps.keys().filter(is_part).cloned().collect();
        let own = cluster.maps.get("shop.belay-inventory");
        let index = own.and_then(|map| map["data"]["inventory.parts.json"].as_str());
        let index: Value = serde_json::from_str(index.unwrap_or("{}")).unwrap();
        let named = index["parts"].as_array().into_iter().flatten();
        let mut named: Vec<String> = named
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        named.sort();
        (there, named)
    }
}

fn owner() -> Owner {
    Owner {
        namespace: "shop".into(),
        name: "shop".into(),
        uid: "u-1".into(),
    }
}

fn keys(range: std::ops::Range<usize>) -> Vec<ObjectKey> {
    let key = |number| ObjectKey {
        group: String::new(),
        kind: "ConfigMap".into(),
        namespace: Some("shop".into()),
        name: format!("map-{number}"),
    };
    range.map(key).collect()
}

/// The inventory with the objects of `range` as content `version` beside what is there.
fn with(before: &Inventory, version: &str, range: std::ops::Range<usize>) -> Inventory {
    let mut next = before.clone();
    let keys = keys(range);
    let objects = keys.iter().map(|key| (key, "v1", false));
    next.record(&Digest::of(&json!(version)), objects);
    next
}

/// What a Release's inventory goes through: it grows from one ConfigMap to several, changes a little, is noted, shrinks, and ends.
fn story() -> Vec<Inventory> {
    let small = with(&Inventory::default(), "a", 0..30);
    let large = with(&small, "b", 10..2_200);
    let mut noted = large.clone();
    for entry in noted.objects.values_mut() {
        entry.fields = Some("bcdf".to_owned());
    }
    let mut kept = noted.clone();
    kept.keep_only(&Digest::of(&json!("b")));
    let mut pruned = kept.clone();
    pruned.objects.retain(|_, entry| !entry.contents.is_empty());
    let newer = with(&pruned, "c", 11..2_201);
    let mut few = with(&newer, "d", 0..40);
    few.keep_only(&Digest::of(&json!("d")));
    few.objects.retain(|_, entry| !entry.contents.is_empty());
    let mut nothing = few.clone();
    nothing.keep_nothing();
    nothing.objects.clear();
    vec![small, large, noted, kept, pruned, newer, few, nothing]
}

#[tokio::test]
async fn killed_between_any_two_writes_the_inventory_is_as_before_or_as_it_was_to_be() {
    let mut cluster = StandIn::default();
    let mut before = cluster.load().await;
    let mut kills = 0;
    for next in story() {
        for writes in 0.. {
            let mut state = cluster.0.lock().unwrap().clone();
            state.writes_left = Some(writes);
            let killed = StandIn::of(state);
            let outcome = killed.save(&before, &next).await;
            let found = killed.after().load().await;
            let is_next = found.inventory == next;
            assert!(
                is_next || found.inventory == before.inventory,
                "after {writes} writes"
            );
            // Who goes on from there gets to what was wanted, and leaves nothing over.
            let after = killed.after();
            let mended = after.save(&found, &next).await.unwrap();
            assert_eq!(mended.inventory, next);
            assert_eq!(after.load().await.inventory, next);
            let (there, named) = after.parts();
            if there != named {
                // One ConfigMap from one to the next has nothing to tidy: what an attempt at parts left goes with the next parts.
                assert!(named.is_empty(), "{there:?} {named:?}");
            }
            if killed.0.lock().unwrap().writes_left != Some(0) || writes > 40 {
                assert!(outcome.is_ok());
                break;
            }
            kills += 1;
        }
        before = cluster.save(&before, &next).await.unwrap();
        cluster = cluster.after();
        let (there, named) = cluster.parts();
        assert_eq!(there, named);
    }
    assert!(kills > 20, "{kills}");
}

#[tokio::test]
async fn of_two_that_write_one_wins_and_the_other_harms_nothing() {
    // Given two processes that read the same inventory of several parts.
    let cluster = StandIn::default();
    let opened = with(&Inventory::default(), "a", 0..2_500);
    let stored = cluster.load().await;
    let stored = cluster.save(&stored, &opened).await.unwrap();
    // When one has written, then the other one's write is refused.
    let one = with(&opened, "b", 1..2_501);
    let other = with(&opened, "c", 2..2_502);
    let written = cluster.save(&stored, &one).await.unwrap();
    let refused = cluster.save(&stored, &other).await.unwrap_err();
    assert!(refused.is_stale(), "{refused}");
    assert_eq!(cluster.load().await.inventory, one);
    // The next write of the one that won takes away what the other one left.
    let next = with(&one, "d", 3..2_503);
    cluster.save(&written, &next).await.unwrap();
    let (there, named) = cluster.parts();
    assert_eq!(there, named);
    assert_eq!(cluster.load().await.inventory, next);
}

#[tokio::test]
async fn who_may_not_write_any_more_does_not_write_the_index() {
    let cluster = StandIn::default();
    let stored = cluster.load().await;
    let next = with(&Inventory::default(), "a", 0..2_500);
    let no = || Err(Error::NotLeading);
    let refused = save(&cluster.client(), &owner(), &stored, next, no).await;
    assert!(matches!(refused, Err(Error::NotLeading)));
    assert!(cluster.0.lock().unwrap().maps.is_empty());
}

#[tokio::test]
async fn an_inventory_in_one_config_map_from_before_is_read_and_cut_when_it_changes() {
    // Given a large inventory as it was written before there were parts.
    let inventory = with(&Inventory::default(), "a", 0..5_000);
    let contents = [Digest::of(&json!("a"))];
    let objects: Vec<Value> = keys(0..5_000)
        .iter()
        .map(|key| json!({"kind": key.kind, "namespace": key.namespace, "name": key.name, "apiVersion": "v1", "of": [0]}))
        .collect();
    let text = json!({"contents": contents, "objects": objects}).to_string();
    let cluster = StandIn::default();
    let map = json!({
        "metadata": {"name": "shop.belay-inventory", "ownerReferences": [
            {"apiVersion": "belay.dev/v1alpha1", "kind": "Release", "name": "shop", "uid": "u-1"}]},
        "data": {"inventory.json": text},
    });
    cluster.0.lock().unwrap().create(&map);
    // Then it is read.
    let stored = cluster.load().await;
    assert_eq!(stored.inventory, inventory);
    // When something changes, then it is cut.
    let next = with(&inventory, "b", 0..5_001);
    cluster.save(&stored, &next).await.unwrap();
    assert_eq!(cluster.parts().1.len(), 8);
    assert_eq!(cluster.load().await.inventory, next);
}

#[tokio::test]
async fn a_part_that_somebody_deleted_is_told_and_nothing_is_taken_for_gone() {
    let cluster = StandIn::default();
    let stored = cluster.load().await;
    let inventory = with(&Inventory::default(), "a", 0..2_500);
    cluster.save(&stored, &inventory).await.unwrap();
    let part = cluster.parts().1.remove(0);
    cluster.0.lock().unwrap().maps.remove(&part);
    let error = load(&cluster.client(), &owner()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&part) && text.contains("missing"), "{text}");
}
