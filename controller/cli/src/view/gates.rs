//! The table of gates, shared by Rollouts and Releases.

use belay_engine::gate::GateState;

use super::signs::verdict_tone;
use crate::output::{Entry, Style, table};

/// Lines of the gates' table, indented; none without gates.
pub(crate) fn lines(gates: &[GateState], style: Style) -> Vec<String> {
    if gates.is_empty() {
        return Vec::new();
    }
    let rows = gates
        .iter()
        .map(|gate| {
            let verdict = if gate.dry_run {
                format!("{:?} (dry run)", gate.verdict)
            } else {
                format!("{:?}", gate.verdict)
            };
            vec![
                gate.name.clone().into(),
                Entry::toned(verdict, verdict_tone(gate.verdict)),
                gate.passes.to_string().into(),
                gate.failures.to_string().into(),
                gate.value.clone().unwrap_or_default().into(),
                gate.message.clone().unwrap_or_default().into(),
            ]
        })
        .collect();
    let titles = ["GATE", "VERDICT", "PASSES", "FAILURES", "VALUE", "MESSAGE"];
    table(&titles, rows, style)
        .into_iter()
        .map(|line| format!("  {line}"))
        .collect()
}
