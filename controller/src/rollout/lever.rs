//! What holds a workload, and what lets it go: `paused` of a Deployment, the partition of a StatefulSet, the type of a DaemonSet's update
//! strategy.

use belay_api::rollout::WorkloadKind;
use belay_engine::rollout::revisions::HELD;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::ApiResource;
use serde_json::{Value, json};

use super::{
    daemon::{ON_DELETE, ROLLING_UPDATE, STRATEGY_POINTER},
    stateful::PARTITION_POINTER,
};

/// The resource of raw workloads of this kind.
pub(super) fn resource(kind: WorkloadKind) -> ApiResource {
    match kind {
        WorkloadKind::Deployment => ApiResource::erase::<Deployment>(&()),
        WorkloadKind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        WorkloadKind::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
    }
}

/// The operation of a JSON patch that holds the workload.
pub(super) fn hold(kind: WorkloadKind) -> Value {
    match kind {
        WorkloadKind::Deployment => json!({"op": "add", "path": "/spec/paused", "value": true}),
        WorkloadKind::StatefulSet => move_partition(HELD),
        WorkloadKind::DaemonSet => strategy(ON_DELETE),
    }
}

/// The operation of a JSON patch that lets it roll to its template.
pub(super) fn release(kind: WorkloadKind) -> Value {
    match kind {
        WorkloadKind::Deployment => json!({"op": "add", "path": "/spec/paused", "value": false}),
        WorkloadKind::StatefulSet => move_partition(0),
        WorkloadKind::DaemonSet => strategy(ROLLING_UPDATE),
    }
}

/// The operation of a JSON patch that moves a StatefulSet's partition. The API server gives every StatefulSet that rolls a place
/// for it.
pub(super) fn move_partition(partition: i32) -> Value {
    json!({"op": "add", "path": PARTITION_POINTER, "value": partition})
}

/// The operation of a JSON patch that changes the type of a DaemonSet's update strategy, and leaves its budget.
fn strategy(kind: &str) -> Value {
    json!({"op": "add", "path": STRATEGY_POINTER, "value": kind})
}

/// The same as [`hold`], for a merge: a field of the spec.
pub(super) fn held(kind: WorkloadKind) -> [(String, Value); 1] {
    let (field, value) = match kind {
        WorkloadKind::Deployment => ("paused", json!(true)),
        WorkloadKind::StatefulSet => {
            let partition = json!({"rollingUpdate": {"partition": HELD}});
            ("updateStrategy", partition)
        }
        WorkloadKind::DaemonSet => ("updateStrategy", json!({ "type": ON_DELETE })),
    };
    [(field.to_owned(), value)]
}

/// The same as [`release`], for a merge.
pub(super) fn released(kind: WorkloadKind) -> Value {
    match kind {
        WorkloadKind::Deployment => json!({"paused": false}),
        WorkloadKind::StatefulSet => {
            json!({"updateStrategy": {"rollingUpdate": {"partition": 0}}})
        }
        WorkloadKind::DaemonSet => json!({"updateStrategy": {"type": ROLLING_UPDATE}}),
    }
}
