//! Clients that stay with the version that they were given, by a cookie.
//!
//! The cookie names the trial and the version, and for the stable version also the share at which the client was given it. So a client
//! on the candidate stays there; a client on stable is asked again once for each share, and then only as often as the share has
//! grown; and a cookie of another trial means nothing.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Split;

/// That clients stay, as a Rollout asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    /// Name of the cookie.
    pub cookie: String,
    /// Seconds that clients keep the cookie.
    pub max_age_seconds: u32,
}

/// How clients stay while a share of them is the candidate's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sessions {
    /// The cookie.
    pub affinity: Affinity,
    /// Names the trial of one candidate: letters, digits and `-`.
    pub trial: String,
    /// The share of the step before, in percent, if this one is higher: clients that stayed on stable then are asked again.
    pub earlier_percent: Option<u8>,
}

impl Affinity {
    /// `split` with clients that stay. Where everybody or nobody gets the candidate there is nothing to remember.
    #[must_use]
    pub fn keep(&self, split: Split, trial: String, earlier: Option<&Split>) -> Split {
        if !shared(split.canary_percent) {
            return split;
        }
        let earlier_percent = earlier
            .map(|earlier| earlier.canary_percent)
            .filter(|percent| shared(*percent) && *percent < split.canary_percent);
        Split {
            sessions: Some(Sessions {
                affinity: self.clone(),
                trial,
                earlier_percent,
            }),
            ..split
        }
    }
}

impl Sessions {
    /// The name of the trial of a candidate: the same content tried again is another trial.
    pub fn trial(hash: &str, started_at: Timestamp) -> String {
        format!("{hash}-{:x}", started_at.as_second().unsigned_abs())
    }
}

const fn shared(percent: u8) -> bool {
    percent > 0 && percent < 100
}

/// The part in percent of those who stayed on stable at a share of `earlier` that must go over for a share of `present`.
pub fn moved_percent(earlier: u8, present: u8) -> u8 {
    let (earlier, present) = (u32::from(earlier), u32::from(present));
    let left = 100_u32.saturating_sub(earlier).max(1);
    let moved = present.saturating_sub(earlier) * 100;
    u8::try_from((moved + left / 2) / left)
        .unwrap_or(100)
        .min(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_stayed_go_over_as_far_as_the_share_has_grown() {
        // Shares add up: who was given the candidate before, and whom the growth takes from the others.
        for earlier in 1..99_u8 {
            for present in earlier + 1..100 {
                let rest = f64::from(100 - earlier) / 100.0;
                let sum = f64::from(earlier) + rest * f64::from(moved_percent(earlier, present));
                assert!(
                    (sum - f64::from(present)).abs() <= 0.5,
                    "{earlier} {present}: {sum}"
                );
            }
        }
        assert_eq!(moved_percent(10, 100), 100);
        assert_eq!(moved_percent(50, 20), 0);
    }

    #[test]
    fn there_is_nothing_to_remember_where_everybody_or_nobody_gets_the_candidate() {
        let affinity = Affinity {
            cookie: "shop".to_owned(),
            max_age_seconds: 60,
        };
        let kept = |percent, earlier: u8| {
            affinity
                .keep(
                    Split::share(percent),
                    "t-1".to_owned(),
                    Some(&Split::share(earlier)),
                )
                .sessions
                .map(|sessions| sessions.earlier_percent)
        };
        assert_eq!(kept(0, 0), None);
        assert_eq!(kept(100, 50), None);
        assert_eq!(kept(50, 0), Some(None));
        assert_eq!(kept(50, 50), Some(None));
        assert_eq!(kept(50, 20), Some(Some(20)));
    }
}
