//! Several gates with one false-rollback rate between them.
//!
//! The weighted mean of e-values is an e-value whatever depends on what, so that all gates together are held to `α` without a
//! correction for their number beyond the weight: the mean is never less than any one gate's part of it, which is what
//! Bonferroni would look at alone. Which gates are affected is told by the e-BH procedure.
//!
//! Sources: Vovk and Wang, "E-values: calibration, combination and applications" (Annals of Statistics 2021); Wang and Ramdas,
//! "False discovery rate control with e-values" (JRSS B 2022).

use super::mixture;

/// The evidence of one gate, and its part of the rollout's evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed {
    /// Its weight; all weights together are one, or less if some gates are not measured now.
    pub weight: f64,
    /// Natural logarithm of its evidence.
    pub log_evidence: f64,
}

/// Natural logarithm of the weighted mean of the evidence. Of nothing: minus infinity.
pub fn log_mean(gates: &[Weighed]) -> f64 {
    mixture::log_sum(gates.iter().map(Weighed::part))
}

/// Index of the gate that has the largest part in the mean.
pub fn worst(gates: &[Weighed]) -> Option<usize> {
    let parts = gates.iter().map(Weighed::part).enumerate();
    parts
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(index, _)| index)
}

/// Indices of the affected gates, the most affected first: at most a share `rate` of them is named wrongly, on average. `rate`
/// lies between zero and one.
pub fn affected(log_evidence: &[f64], rate: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..log_evidence.len()).collect();
    let log = |index: &usize| {
        log_evidence
            .get(*index)
            .copied()
            .unwrap_or(f64::NEG_INFINITY)
    };
    order.sort_by(|a, b| log(b).total_cmp(&log(a)));
    let all = mixture::count(log_evidence.len());
    let enough = |place: usize, index: &usize| {
        // k·E_(k)/M ≥ 1/rate; the tolerance takes rounding in logarithms off a tie.
        mixture::count(place + 1).ln() + log(index) - all.ln() >= -rate.ln() - 1e-12
    };
    let places = order.iter().enumerate();
    let last = places
        .filter(|(place, index)| enough(*place, index))
        .map(|(place, _)| place + 1)
        .max();
    order.truncate(last.unwrap_or(0));
    order
}

impl Weighed {
    fn part(&self) -> f64 {
        let part = self.weight.max(0.0).ln() + self.log_evidence;
        if part.is_nan() {
            f64::NEG_INFINITY
        } else {
            part
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs<const N: usize>(evidence: [f64; N]) -> [f64; N] {
        evidence.map(f64::ln)
    }

    #[test]
    fn the_reference_gates_have_the_reference_mean() {
        let evidence = logs([643.39, 0.5, 2.0]);
        let gates: Vec<Weighed> = [0.5, 0.25, 0.25]
            .into_iter()
            .zip(evidence)
            .map(|(weight, log_evidence)| Weighed {
                weight,
                log_evidence,
            })
            .collect();
        assert!((log_mean(&gates).exp() - 322.32).abs() < 1e-6);
        assert_eq!(worst(&gates), Some(0));
    }

    #[test]
    fn the_reference_gates_are_named() {
        assert_eq!(affected(&logs([643.39, 350.0, 2.0, 0.1]), 0.01), [0, 1]);
        assert_eq!(affected(&logs([643.39, 150.0, 2.0, 0.1]), 0.01), [0]);
        assert_eq!(affected(&logs([300.0, 250.0, 210.0, 0.1]), 0.01), [0, 1, 2]);
        assert_eq!(affected(&logs([3.0, 1.0]), 0.01), [] as [usize; 0]);
    }

    #[test]
    fn nonsense_is_no_evidence() {
        let gates = [Weighed {
            weight: 0.0,
            log_evidence: f64::INFINITY,
        }];
        assert!(log_mean(&gates).is_infinite() && log_mean(&gates) < 0.0);
        assert_eq!(worst(&[]), None);
        assert_eq!(affected(&[f64::NAN, 1.0], 0.01), [] as [usize; 0]);
    }
}
