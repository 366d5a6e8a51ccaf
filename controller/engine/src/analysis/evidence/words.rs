//! Evidence in words, for people at three in the morning.

use super::{Direction, Evidence, OnInconclusive, Policy};
use crate::analysis::planning::{self, Traffic};

impl Evidence {
    /// The observed ratio, short.
    pub fn value(&self) -> String {
        match (self.ratio, self.stable.total() > 0.0) {
            (Some(ratio), _) => format!("{} x stable", short(ratio.get())),
            (None, true) if self.canary.bad() > 0.0 => {
                format!("{} to none", short(self.canary.bad()))
            }
            (None, true) => "none on either side".to_owned(),
            (None, false) => "nothing counted yet".to_owned(),
        }
    }

    /// What was counted, and what it says.
    pub fn sentence(&self, policy: &Policy) -> String {
        let (bad, rate) = match policy.direction {
            Direction::Increase => ("bad", "errors"),
            Direction::Decrease => ("good", "successes"),
        };
        let counts = format!(
            "{} of {} requests were {bad} on the canary, {} of {} on stable",
            whole(self.canary.bad()),
            whole(self.canary.total()),
            whole(self.stable.bad()),
            whole(self.stable.total()),
        );
        let times = self.ratio.map_or_else(String::new, |ratio| {
            format!(": {} times the rate of {rate}", short(ratio.get()))
        });
        let odds = format!(
            "; the chance to see this or more of a canary within tolerance is {} at most, {} rolls back",
            short(self.p_value.get()),
            short(policy.false_rollback_rate.get()),
        );
        let pod = self.dominant_pod().map_or_else(String::new, |worst| {
            format!("; nearly all of it is on pod {}", worst.pod)
        });
        let more = self.more_time(policy);
        format!("{counts}{times}{odds}{pod}{more}")
    }

    /// Seconds until the canary is shown to be good enough if all goes on as it has so far, and the canary is as good as stable.
    /// `None`: it is shown already, or never will be with this traffic.
    pub fn seconds_to_reassure(&self, policy: &Policy) -> Option<f64> {
        let elapsed = self.counted_through.duration_since(self.since);
        let elapsed = elapsed.as_secs_f64().max(1.0);
        let traffic = Traffic {
            canary_per_second: self.canary.total() / elapsed,
            stable_per_second: self.stable.total() / elapsed,
            bad_share: self.stable.rate()?,
            dispersion: self.dispersion.get(),
        };
        let whole = planning::seconds_to_reassure(policy, traffic)?;
        let needed = -policy.miss_rate.get().ln();
        let missing = (needed - self.log_reassurance.get()) / needed;
        (missing > 0.0 && missing.is_finite()).then_some(whole * missing)
    }

    /// How long who waits for proof will wait.
    fn more_time(&self, policy: &Policy) -> String {
        if policy.on_inconclusive == OnInconclusive::Advance || self.reassures(policy) {
            return String::new();
        }
        match self.seconds_to_reassure(policy) {
            Some(seconds) if seconds < 90.0 => {
                format!("; about {seconds:.0} s more until it is shown to be good enough")
            }
            Some(seconds) => format!(
                "; about {:.0} min more until it is shown to be good enough",
                seconds / 60.0
            ),
            None => "; with this traffic it can't be shown to be good enough".to_owned(),
        }
    }
}

/// A count as people write it, with thousands apart.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Two significant digits.
fn short(number: f64) -> String {
    let size = number.abs();
    if size >= 10.0 {
        format!("{number:.0}")
    } else if size >= 1.0 {
        format!("{number:.1}")
    } else if size >= 0.001 {
        let decimals = if size >= 0.1 {
            2
        } else if size >= 0.01 {
            3
        } else {
            4
        };
        let text = format!("{number:.decimals$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else if size > 0.0 {
        format!("{number:.1e}")
    } else {
        "0".to_owned()
    }
}
