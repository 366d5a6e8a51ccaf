//! Conditions in the sense of kstatus: `Ready`, `Reconciling` and `Stalled`, understood by `kubectl wait`, Flux and Argo CD.
//!
//! Invariant: `last_transition_time` moves only when a condition's status changes, so that an unchanged state is an
//! unchanged status and costs no write.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `True`, `False` or `Unknown`, as Kubernetes writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Truth {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// It is not known whether the condition holds.
    Unknown,
}

/// One condition of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Kind of condition: `Ready`, `Reconciling` or `Stalled`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: Truth,
    /// One word for programs.
    pub reason: String,
    /// One sentence for people.
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
    /// Generation of the spec that this is about.
    pub observed_generation: i64,
}

/// Puts `kind` into `conditions`, keeping its transition time while its status stays the same.
pub fn set(conditions: &mut Vec<Condition>, mut next: Condition) {
    if let Some(present) = conditions.iter_mut().find(|c| c.kind == next.kind) {
        if present.status == next.status {
            next.last_transition_time = present.last_transition_time;
        }
        *present = next;
    } else {
        conditions.push(next);
    }
}

/// Doubts about gates that fit into one condition.
const DOUBTS_TOLD: usize = 3;

/// The condition `GatesDoubtful` as one sentence, if there is any doubt.
pub fn doubts_told(doubts: &[String]) -> Option<String> {
    let told: Vec<&str> = doubts
        .iter()
        .take(DOUBTS_TOLD)
        .map(String::as_str)
        .collect();
    let more = doubts.len().saturating_sub(DOUBTS_TOLD);
    match (told.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(told.join("; ")),
        (false, more) => Some(format!("{}; and {more} more", told.join("; "))),
    }
}

/// Takes `kind` out of `conditions`.
pub fn clear(conditions: &mut Vec<Condition>, kind: &str) {
    conditions.retain(|c| c.kind != kind);
}
