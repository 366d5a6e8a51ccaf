//! How many answers a share is to be measured over.
//!
//! Invariant: the number follows from the tolerance and the share, and is what a test waits for; no time is.

/// A share that is off by this many points is another share.
pub const TOLERANCE_POINTS: f64 = 2.0;
/// Standard deviations that fit into the tolerance: a gateway that drew lots would be off by more in one measurement of a hundred.
/// Gateways deal requests out in turns, and are far nearer.
const DEVIATIONS: f64 = 2.58;
/// Enough to see that a version gets nothing, or everything.
const FEWEST: f64 = 300.0;

/// Answers over which a share of `percent` is measured within [`TOLERANCE_POINTS`].
pub fn answers_needed(percent: u8) -> u64 {
    let share = f64::from(percent.min(100)) / 100.0;
    let tolerance = TOLERANCE_POINTS / 100.0;
    let needed = (DEVIATIONS / tolerance).powi(2) * share * (1.0 - share);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 300 and 4,161"
    )]
    let whole = needed.max(FEWEST).ceil() as u64;
    whole
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn a_gateway_that_draws_lots_is_rarely_off_by_more_than_the_tolerance() {
        let mut random = StdRng::seed_from_u64(7);
        for percent in [5, 10, 50, 90] {
            let answers = answers_needed(percent);
            let mut off = 0;
            for _ in 0..400 {
                let hits = (0..answers).filter(|_| random.random_ratio(percent.into(), 100));
                let share = f64::from(u32::try_from(hits.count()).unwrap()) * 100.0;
                let share = share / f64::from(u32::try_from(answers).unwrap());
                if (share - f64::from(percent)).abs() > TOLERANCE_POINTS {
                    off += 1;
                }
            }
            assert!(off <= 12, "{percent} %: {off} of 400 were off");
        }
    }

    #[test]
    fn nothing_and_everything_are_measured_too() {
        assert_eq!(answers_needed(0), 300);
        assert_eq!(answers_needed(100), 300);
        assert_eq!(answers_needed(50), 4161);
    }
}
