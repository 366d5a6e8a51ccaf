//! Evidence in words, for people at three in the morning.

use super::{Direction, Evidence, Policy};

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
        format!("{counts}{times}{odds}{pod}")
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
