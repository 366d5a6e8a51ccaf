//! The limits of the command line.

use super::Examined;
use crate::simulate::{
    interval::Share,
    past::Judged,
    report::{Limit, PastReport},
};

/// The limits of the command line, and whether they hold.
pub(in crate::simulate) fn limits(
    max_false_alarms: Option<f64>,
    max_missed: Option<f64>,
    together: Share,
    gates: &[Examined],
    past: &[PastReport],
) -> Vec<Limit> {
    let judged = |as_what: Judged| {
        let those: Vec<_> = past
            .iter()
            .filter(|one| one.judged == Some(as_what))
            .collect();
        let rolled_back = those.iter().filter(|one| one.rolled_back.is_some()).count();
        (rolled_back, those.len())
    };
    let mut limits = Vec::new();
    if let Some(most) = max_false_alarms {
        limits.push(Limit::new("false alarms".to_owned(), most, together));
        if let (alarms, of @ 1..) = judged(Judged::Good) {
            let name = "rollouts called good that would have been rolled back".to_owned();
            limits.push(Limit::new(name, most, Share::independent(alarms, of)));
        }
    }
    if let Some(most) = max_missed {
        for gate in gates {
            if let Some(largest) = gate
                .report
                .faults
                .iter()
                .max_by(|a, b| a.size.total_cmp(&b.size))
            {
                let found = largest.found;
                let missed = Share::new(found.of - found.count, found.of, found.effective);
                let name = format!(
                    "{}: missed faults of {} times",
                    gate.report.name, largest.size
                );
                limits.push(Limit::new(name, most, missed));
            }
        }
        if let (rolled_back, of @ 1..) = judged(Judged::Bad) {
            let name = "rollouts called bad that would have gone through".to_owned();
            limits.push(Limit::new(
                name,
                most,
                Share::independent(of - rolled_back, of),
            ));
        }
    }
    limits
}
