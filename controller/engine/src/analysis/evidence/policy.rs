//! What a comparing gate tolerates, and how sure it has to be.

use crate::analysis::{Real, dispersion::Spread};

/// Which way is bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Counted events are bad: more of them is worse.
    #[default]
    Increase,
    /// Counted events are good: fewer of them is worse.
    Decrease,
}

/// What a step that has not shown the canary to be good enough does, when there is no evidence against it either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnInconclusive {
    /// Go on once the step's own time is over and the wanted number of requests was counted.
    #[default]
    Advance,
    /// Wait until the canary is shown to be good enough.
    Hold,
    /// Wait, and roll back when the rollout's progress deadline is over; in a step that ends by evidence, with the step's own time.
    RollBack,
}

/// How much bad events come in clumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dispersion {
    /// Estimated from the stable pods.
    Auto {
        /// What was seen of the stable pods before the candidate began; empty if that is not known.
        before: Spread,
    },
    /// Known: one for independent events.
    Fixed(Real),
}

/// What stands in for a history of the stable pods: as if this many degrees of freedom had shown this dispersion. Without it the
/// first clump that happens to fall on the canary would be taken for many independent errors.
const CAUTION: Spread = Spread {
    chi_square: Real::whole(60),
    degrees: Real::whole(20),
};

impl Dispersion {
    /// The factor by which evidence is divided, given what was seen of the stable pods since the candidate began.
    pub fn value(self, seen: Spread) -> f64 {
        match self {
            Self::Auto { before } => CAUTION.plus(before).plus(seen).estimate().unwrap_or(1.0),
            Self::Fixed(value) => value.get().clamp(1.0, 20.0),
        }
    }
}

/// The rules of one comparing gate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Which way is bad.
    pub direction: Direction,
    /// What is tolerated: 0.2 tolerates a rate of bad events 1.2 times the stable pods' (or, for
    /// [`Direction::Decrease`], good events 0.8 times as frequent).
    pub max_relative_change: Real,
    /// A canary's rate of bad events up to this is no reason to roll back, whatever the ratio; zero for none. Not used for
    /// [`Direction::Decrease`].
    pub min_absolute: Real,
    /// `α`: probability that a canary within tolerance is rolled back, over the whole rollout.
    pub false_rollback_rate: Real,
    /// `β`: probability that a canary as bad as [`Self::unacceptable_ratio`] is called good enough.
    pub miss_rate: Real,
    /// How many times worse than the stable pods is certainly unacceptable: 2.
    pub unacceptable_ratio: Real,
    /// Canary requests that each step needs.
    pub min_requests: u32,
    /// What a step does that is not decided.
    pub on_inconclusive: OnInconclusive,
    /// How much bad events come in clumps.
    pub dispersion: Dispersion,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            direction: Direction::Increase,
            max_relative_change: Real::new(0.2),
            min_absolute: Real::new(0.001),
            false_rollback_rate: Real::new(0.01),
            miss_rate: Real::new(0.05),
            unacceptable_ratio: Real::new(2.0),
            min_requests: 0,
            on_inconclusive: OnInconclusive::Advance,
            dispersion: Dispersion::Auto {
                before: Spread::default(),
            },
        }
    }
}

impl Policy {
    /// The tolerated ratio of the canary's rate to the stable pods'.
    pub fn tolerated_ratio(&self) -> f64 {
        let change = self.max_relative_change.get().max(0.0);
        match self.direction {
            Direction::Increase => 1.0 + change,
            Direction::Decrease => (1.0 - change).max(0.01),
        }
    }

    /// The ratio from which on the canary is unacceptable.
    pub fn unacceptable(&self) -> f64 {
        let ratio = self.unacceptable_ratio.get().max(1.01);
        match self.direction {
            Direction::Increase => ratio.max(self.tolerated_ratio()),
            Direction::Decrease => (1.0 / ratio).min(self.tolerated_ratio()),
        }
    }
}
