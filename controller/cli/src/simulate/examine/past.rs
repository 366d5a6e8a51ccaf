//! Rollouts that happened, under the gates.

use belay_engine::gate::Mode;
use jiff::Timestamp;

use super::seconds;
use crate::simulate::{
    gate::Gate,
    history::Grid,
    past::Past,
    replay::{self, Course, Judgement},
    report::{FixedPast, PastReport, PastVerdict, RolledBack},
    trial::Setup,
};

/// What the gates would have made of a rollout that happened.
pub(in crate::simulate) fn past(
    past: &Past,
    gates: &[Gate],
    grid: Grid,
    setup: &Setup,
) -> PastReport {
    let began = grid.time(past.start);
    let after = |at: Timestamp| at.duration_since(began).as_secs_f64();
    // What is counted from lies one look before the first pod.
    let counted_from = grid.time(past.start.saturating_sub(1));
    let mut judged = Vec::new();
    let mut verdicts = Vec::new();
    let mut fixed = Vec::new();
    for gate in gates {
        let looks = gate.past(past);
        let judgement = replay::judge(&gate.policy, setup.comparing, counted_from, &looks);
        let evidence = judgement.evidence.as_ref();
        let ratio = evidence.and_then(|evidence| evidence.ratio);
        verdicts.push(PastVerdict {
            gate: gate.policy.name.clone(),
            verdict: judgement.verdict,
            failed_after_seconds: judgement.failed_at.map(after),
            passed_after_seconds: judgement.passed_at.map(after),
            ratio: ratio.map(belay_engine::analysis::Real::get),
            log_evidence: evidence.map(|evidence| evidence.log_evidence.get()),
            looks: looks.len(),
            message: judgement.message.clone(),
        });
        if gate.pods().is_some() && fixed.is_empty() {
            let rules = setup.fixed.iter().map(|rule| FixedPast {
                rule: rule.name(),
                failed_after_seconds: rule.failed_at(looks.iter()).map(after),
            });
            fixed = rules.collect();
        }
        if gate.policy.mode == Mode::Enforce {
            judged.push((gate, judgement));
        }
    }
    let rolled_back = rolled_back(&judged, setup.comparing).map(|(gate, at)| RolledBack {
        gate,
        at,
        after_seconds: after(at),
    });
    let lasted = i64::try_from(past.end - past.start).unwrap_or(i64::MAX);
    PastReport {
        version: past.version.clone(),
        started: began,
        lasted_seconds: seconds(grid.step().saturating_mul(lasted)),
        happened: past.happened,
        judged: past.judged,
        rolled_back,
        verdicts,
        fixed,
    }
}

/// The gate that rolls back first, by itself or as the worst of those that do it together, and when.
fn rolled_back(judged: &[(&Gate, Judgement)], comparing: u32) -> Option<(String, Timestamp)> {
    let alone = judged
        .iter()
        .filter_map(|(gate, judgement)| Some((gate.policy.name.clone(), judgement.failed_at?)));
    let courses: Vec<&Course> = judged
        .iter()
        .map(|(_, judgement)| &judgement.course)
        .collect();
    let together = replay::together(&courses, comparing)
        .and_then(|(at, worst)| Some((judged.get(worst)?.0.policy.name.clone(), at)));
    alone.chain(together).min_by_key(|(_, at)| *at)
}
