//! Keeps a governed workload from rolling by itself when its template is about to change.
//!
//! Where the chart's admission policy is in force, the API server does so together with the change, and nothing is done here:
//! the rehearsed answer is paused already. Elsewhere the workload is held by a write of its own, before the change.

use belay_api::names::FIELD_MANAGER;
use belay_engine::digest::Digest;
use kube::{
    Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::Value;

use super::{
    Failure, Prepared,
    failure::Secrecy,
    scale::hold_patch,
    server_side::{self, Mode, Over},
};
use crate::limits;

/// Holds the workload if the change would change its template and nothing else would hold it.
pub async fn before_change(client: &Client, object: &Prepared) -> Result<(), Failure> {
    let Some(kind) = object.workload_kind() else {
        return Ok(());
    };
    let api = server_side::api(client, object);
    let live = match tokio::time::timeout(limits::API_CALL, api.get_opt(&object.key.name)).await {
        Ok(Ok(Some(live))) => live,
        // Nothing runs yet: there is nothing to hold.
        Ok(Ok(None)) => return Ok(()),
        Ok(Err(error)) => return Err(Failure::of(&error, Secrecy::Open).at(object.place())),
        Err(_) => return Err(slow(object)),
    };
    if is_held(&live) {
        return Ok(());
    }
    let rehearsed =
        server_side::send(client, object, &object.body, Mode::Rehearse, Over::People).await?;
    if template(&rehearsed) == template(&live) || is_held(&rehearsed) {
        return Ok(());
    }
    let patch = hold_patch(kind, &live.resource_version().unwrap_or_default());
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(&patch);
    let request = api.patch(&object.key.name, &parameters, &patch);
    match tokio::time::timeout(limits::API_CALL, request).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Failure::of(&error, Secrecy::Open).at(object.place())),
        Err(_) => Err(slow(object)),
    }
}

/// Whether it is paused; or, a StatefulSet, has a partition above all its places; or, a DaemonSet, leaves its pods alone.
fn is_held(workload: &DynamicObject) -> bool {
    let spec = |pointer: &str| workload.data.pointer(pointer);
    let partition = spec("/spec/updateStrategy/rollingUpdate/partition").and_then(Value::as_i64);
    let replicas = spec("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let daemon = workload
        .types
        .as_ref()
        .is_some_and(|types| types.kind == "DaemonSet");
    let strategy = spec("/spec/updateStrategy/type").and_then(Value::as_str);
    if daemon {
        return strategy == Some("OnDelete");
    }
    spec("/spec/paused") == Some(&Value::Bool(true))
        || partition.is_some_and(|partition| partition >= replicas.max(1))
}

fn template(workload: &DynamicObject) -> Option<Digest> {
    workload
        .data
        .pointer("/spec/template")
        .map(Digest::of_template)
}

fn slow(object: &Prepared) -> Failure {
    Failure::passing("the API server did not answer in time").at(object.place())
}
