//! Whether a pod takes requests.

use k8s_openapi::api::core::v1::Pod;

use super::tag::tag_of;

/// The word of an image tag whose pods don't drain: their process ends as soon as the pod is deleted.
const HARD_STOP: &str = "hardstop";

/// What a pod does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Nothing listens: it has not become ready yet, is not ready any more, or is gone.
    Down,
    /// It is ready and serves.
    Ready,
    /// It is being deleted, and serves until its grace period is over; connections end with their next answer.
    Draining,
}

impl Life {
    pub(super) fn of(pod: &Pod) -> Self {
        let conditions = pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        let ready = conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        match (ready, pod.metadata.deletion_timestamp.is_some()) {
            (false, _) => Self::Down,
            (true, false) => Self::Ready,
            (true, true) if stops_hard(pod) => Self::Down,
            (true, true) => Self::Draining,
        }
    }

    /// Whether a request gets an answer.
    pub(crate) const fn serves(self) -> bool {
        matches!(self, Self::Ready | Self::Draining)
    }
}

fn stops_hard(pod: &Pod) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut tags = containers.map(|container| tag_of(container.image.as_deref().unwrap_or("")));
    tags.any(|tag| tag.split('-').any(|word| word == HARD_STOP))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(tag: &str, ready: &str, deleted: bool) -> Pod {
        let mut pod = json!({
            "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "app", "image": format!("shop/web:{tag}")}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_ready_pod_that_is_deleted_drains_unless_its_tag_says_otherwise() {
        let cases = [
            (pod("v1", "True", false), Life::Ready),
            (pod("v1", "False", false), Life::Down),
            (pod("v1", "True", true), Life::Draining),
            (pod("v1", "False", true), Life::Down),
            (pod("v1-hardstop", "True", false), Life::Ready),
            (pod("v1-hardstop", "True", true), Life::Down),
        ];
        for (pod, expected) in cases {
            assert_eq!(Life::of(&pod), expected, "{pod:?}");
        }
    }
}
