//! What a status tells people: its conditions, and the words of its gates.

use belay_engine::{
    condition::Condition,
    gate::{GateState, Verdict},
};

/// The condition of this kind.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// What a gate with this verdict says; all gates if none does, for the message of who waits for it.
pub fn words(gates: &[GateState], verdict: Verdict) -> Result<String, String> {
    gates
        .iter()
        .find(|gate| gate.verdict == verdict)
        .and_then(|gate| gate.message.clone())
        .ok_or_else(|| format!("{gates:?}"))
}
