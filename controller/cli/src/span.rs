//! Spans of time as people say them.

use std::fmt::Write as _;

use jiff::Timestamp;

/// The time from `earlier` to `later` in its two largest units: `45s`, `3m12s`, `5h`, `2d4h`.
pub(crate) fn between(earlier: Timestamp, later: Timestamp) -> String {
    let seconds = later.as_second().saturating_sub(earlier.as_second()).max(0);
    seconds_text(seconds)
}

/// So many seconds in their two largest units.
pub(crate) fn seconds_text(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let first = units
        .iter()
        .position(|(length, _)| seconds >= *length)
        .unwrap_or(3);
    let mut rest = seconds;
    let mut text = String::new();
    for (length, unit) in units.iter().skip(first).take(2) {
        let count = rest / length;
        rest %= length;
        if count > 0 || text.is_empty() {
            let _ = write!(text, "{count}{unit}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_at_most_two_units() {
        let texts = [0, 45, 192, 18_000, 187_200, 90_061].map(seconds_text);
        assert_eq!(texts, ["0s", "45s", "3m12s", "5h", "2d4h", "1d1h"]);
    }

    #[test]
    fn a_clock_that_goes_backwards_gives_nothing_negative() {
        let now = Timestamp::UNIX_EPOCH;
        let later = Timestamp::from_second(5).unwrap();
        assert_eq!(between(later, now), "0s");
    }
}
