//! Whether a Rollout may promote, in the eyes of the Release that it belongs to.
//!
//! Invariant: a Rollout that promotes together with others goes on only with the very template that its Release applied, and
//! only when that Release has given its word for the content with that template. A Release that is looked at too early can
//! only make a Rollout wait longer.

use belay_engine::{
    release::{
        plan::Promotion,
        status::{Purpose, ReleaseStatus, Workload},
    },
    rollout::{observed::Group, status::RolloutStatus},
};

use super::Release;

/// Group of the Rollout that governs `workload` in `namespace`, which belongs to `release`.
pub fn group_of(
    release: &Release,
    namespace: &str,
    workload: &str,
    rollout: &RolloutStatus,
) -> Group {
    if release.spec.verification.promotion == Promotion::Separate
        || release.metadata.deletion_timestamp.is_some()
    {
        return Group::Alone;
    }
    let Some(candidate) = &rollout.candidate else {
        return Group::Alone;
    };
    let name = release.metadata.name.as_deref().unwrap_or_default();
    let empty = ReleaseStatus::default();
    let status = release.status.as_ref().unwrap_or(&empty);
    let is_it = |known: &&Workload| known.namespace == namespace && known.name == workload;
    let applied = status.workloads.iter().find(is_it);
    if applied.is_none_or(|applied| !candidate.version.is_of_template(&applied.digest)) {
        return Group::Waiting {
            message: format!(
                "Release {name} promotes its Rollouts together, and has not applied this template"
            ),
        };
    }
    let Some(target) = &status.target else {
        return Group::Alone;
    };
    let word_given = status.promotable.as_ref() == Some(&target.content.digest);
    let was_verified = status
        .verified
        .as_ref()
        .is_some_and(|verified| verified.content.digest == target.content.digest);
    if word_given || was_verified || target.purpose == Purpose::Rollback {
        return Group::Go;
    }
    Group::Waiting {
        message: format!(
            "The other Rollouts of Release {name} have not passed their steps yet; all promote together"
        ),
    }
}

#[cfg(test)]
mod tests {
    use belay_engine::digest::Digest;
    use serde_json::{Value, json};

    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(&json!(name))
    }

    fn release(promotion: &str, status: &Value) -> Release {
        serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"},
            "spec": {
                "source": {"git": {"url": "https://g/s.git", "ref": {"branch": "main"}}},
                "serviceAccountName": "d", "verification": {"promotion": promotion},
            },
            "status": status,
        }))
        .unwrap()
    }

    fn rollout() -> RolloutStatus {
        serde_json::from_value(json!({"candidate": {
            "digest": digest("v2"), "hash": "h", "version": "v2", "startedAt": "2026-01-01T00:00:00Z",
        }}))
        .unwrap()
    }

    fn status(applied: &str, more: Value) -> Value {
        let mut status = json!({
            "target": {"digest": digest("b"), "revision": "r", "startedAt": "2026-01-01T00:00:00Z"},
            "workloads": [{"namespace": "shop", "name": "web", "digest": digest(applied)}],
        });
        if let (Some(status), Value::Object(more)) = (status.as_object_mut(), more) {
            status.extend(more);
        }
        status
    }

    fn group(release: &Release) -> Group {
        group_of(release, "shop", "web", &rollout())
    }

    #[test]
    fn separate_releases_leave_their_rollouts_alone() {
        assert_eq!(group(&release("Separate", &json!({}))), Group::Alone);
    }

    #[test]
    fn a_rollout_waits_until_its_release_gives_the_word_for_this_content() {
        let waiting = release("Together", &status("v2", json!({})));
        assert!(matches!(group(&waiting), Group::Waiting { .. }));
        let other = release(
            "Together",
            &status("v2", json!({"promotable": digest("a")})),
        );
        assert!(matches!(group(&other), Group::Waiting { .. }));
        let word = release(
            "Together",
            &status("v2", json!({"promotable": digest("b")})),
        );
        assert_eq!(group(&word), Group::Go);
    }

    #[test]
    fn a_release_that_has_not_applied_this_template_gives_no_word_for_it() {
        for release in [
            release("Together", &json!({})),
            release(
                "Together",
                &status("v1", json!({"promotable": digest("b")})),
            ),
        ] {
            assert!(matches!(group(&release), Group::Waiting { .. }));
        }
    }
}
