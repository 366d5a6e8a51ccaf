use serde_json::json;

use super::*;

fn deployment(status: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": status,
    })
}

fn is_progress(health: &Health) -> bool {
    matches!(health, Health::InProgress { .. })
}

fn is_failed(health: &Health) -> bool {
    matches!(health, Health::Failed { .. })
}

#[test]
fn a_deployment_is_current_when_all_pods_are_new_and_available() {
    let done = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3,
        "conditions": [{"type": "Available", "status": "True"}]});
    assert_eq!(assess(&deployment(&done)), Health::Current);
    for (what, status) in [
        ("nothing seen", json!({})),
        (
            "old generation",
            json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}),
        ),
        (
            "old pods",
            json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 3, "availableReplicas": 4}),
        ),
        (
            "too few updated",
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 3}),
        ),
        (
            "unavailable",
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2}),
        ),
    ] {
        assert!(is_progress(&assess(&deployment(&status))), "{what}");
    }
}

#[test]
fn a_deployment_past_its_deadline_has_failed() {
    let late = json!({"observedGeneration": 2, "conditions": [
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}]});
    assert_eq!(
        assess(&deployment(&late)),
        Health::failed("ProgressDeadlineExceeded: timed out")
    );
}

#[test]
fn pods_and_jobs_are_judged_by_how_they_end() {
    let pod = |status: Value| json!({"apiVersion": "v1", "kind": "Pod", "status": status});
    assert!(is_failed(&assess(&pod(json!({"phase": "Failed"})))));
    assert_eq!(assess(&pod(json!({"phase": "Succeeded"}))), Health::Current);
    assert!(is_failed(&assess(&pod(
        json!({"phase": "Running", "containerStatuses": [
        {"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})
    ))));
    let job = |status: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {}, "status": status});
    assert!(is_progress(&assess(&job(json!({"active": 1})))));
    assert_eq!(
        assess(&job(
            json!({"conditions": [{"type": "Complete", "status": "True"}]})
        )),
        Health::Current
    );
    assert!(is_progress(&assess(&job(
        json!({"conditions": [{"type": "Failed", "status": "False"}]})
    ))));
    assert!(is_failed(&assess(&job(
        json!({"conditions": [{"type": "Failed", "status": "True"}]})
    ))));
}

#[test]
fn pods_too_many_are_awaited() {
    let done = json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 4, "availableReplicas": 4});
    assert!(is_progress(&assess(&deployment(&done))));
    let mut set = deployment(&done);
    set["kind"] = json!("ReplicaSet");
    assert!(is_progress(&assess(&set)));
}

#[test]
fn a_disruption_budget_is_awaited_until_its_pods_are_counted() {
    let budget = |status: Value| json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"generation": 1}, "status": status});
    let said = |status: &str, reason: &str| {
        json!({"observedGeneration": 1,
        "conditions": [{"type": "DisruptionAllowed", "status": status, "reason": reason}]})
    };
    assert!(is_progress(&assess(&budget(json!({})))));
    assert!(is_progress(&assess(&budget(said("False", "SyncFailed")))));
    assert_eq!(
        assess(&budget(said("False", "InsufficientPods"))),
        Health::Current
    );
    assert_eq!(
        assess(&budget(said("True", "SufficientPods"))),
        Health::Current
    );
}

#[test]
fn an_autoscaler_fails_when_it_cannot_tell_its_pods_and_is_not_blamed_for_metrics() {
    let scaler = |kind: &str, reason: &str| {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "status": {"conditions": [{"type": kind, "status": "False", "reason": reason}]}})
    };
    assert!(is_failed(&assess(&scaler(
        "ScalingActive",
        "AmbiguousSelector"
    ))));
    assert!(is_progress(&assess(&scaler(
        "AbleToScale",
        "FailedUpdateScale"
    ))));
    assert_eq!(
        assess(&scaler("ScalingActive", "FailedGetResourceMetric")),
        Health::Current
    );
}

#[test]
fn kstatus_conditions_speak_for_any_kind() {
    let custom = |conditions: Value| {
        json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"generation": 1},
        "status": {"observedGeneration": 1, "conditions": conditions}})
    };
    assert!(is_failed(&assess(&custom(
        json!([{"type": "Stalled", "status": "True", "reason": "Bad"}])
    ))));
    assert!(is_progress(&assess(&custom(
        json!([{"type": "Reconciling", "status": "True"}])
    ))));
    assert!(is_progress(&assess(&custom(
        json!([{"type": "Ready", "status": "Unknown"}])
    ))));
    assert_eq!(
        assess(&custom(json!([{"type": "Ready", "status": "True"}]))),
        Health::Current
    );
}

#[test]
fn plain_objects_are_current_and_dying_ones_are_not() {
    assert_eq!(
        assess(&json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {}})),
        Health::Current
    );
    assert!(is_progress(&assess(
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    )));
}

#[test]
fn any_json_is_judged_without_trouble() {
    for odd in [
        json!(null),
        json!([]),
        json!({"kind": 3}),
        json!({"status": {"conditions": {"a": 1}}}),
    ] {
        assess(&odd);
    }
}

#[test]
fn a_first_status_is_awaited_for_a_while_after_the_object_was_made() {
    let mut object = json!({"apiVersion": "example.com/v1", "kind": "Database",
        "metadata": {"creationTimestamp": "2026-01-01T12:00:00Z"}, "spec": {}});
    let due = first_status_due(&object).map(|due| due.to_string());
    assert_eq!(due.as_deref(), Some("2026-01-01T12:00:30Z"));
    object["status"] = json!({});
    assert_eq!(first_status_due(&object), None);
    object["status"] = Value::Null;
    object["metadata"]["creationTimestamp"] = json!("yesterday");
    assert_eq!(first_status_due(&object), None);
}
