//! Numbers, shares and times as people read them.

use jiff::{Timestamp, tz::TimeZone};

use crate::simulate::{interval::Share, report::Middle};

pub(super) fn middle(middle: Middle, write: impl Fn(f64) -> String) -> String {
    match middle {
        Middle {
            p50: Some(p50),
            p95: Some(p95),
        } => format!("{} / {}", write(p50), write(p95)),
        _ => "-".to_owned(),
    }
}

pub(super) fn counted(share: Share) -> String {
    format!("{} of {}", share.count, share.of)
}

pub(super) fn interval(share: Share) -> String {
    format!("{} to {}", percent(share.low), percent(share.high))
}

pub(super) fn with_interval(share: Share) -> String {
    format!(
        "{} ({}; 95 % interval {})",
        counted(share),
        percent(share.value),
        interval(share)
    )
}

pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M:%SZ")
        .to_string()
}

/// Seconds as people say them.
pub(in crate::simulate) fn span(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{}s", short(seconds));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a span of a history")]
    let whole = seconds.round() as i64;
    crate::span::seconds_text(whole)
}

/// A share in percent, with two digits that matter.
pub(in crate::simulate) fn percent(share: f64) -> String {
    format!("{} %", short(share * 100.0))
}

pub(super) fn short(number: f64) -> String {
    let size = number.abs();
    let decimals = if size >= 100.0 || size == 0.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 0.01 {
        2
    } else {
        4
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(percent(0.01), "1 %");
        assert_eq!(percent(0.00123), "0.12 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(span(12.5), "12.5s");
        assert_eq!(span(90.0), "1m30s");
    }
}
