//! Times: sums that can't overflow, and how people read them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// `start` plus `length`, or the end of time.
pub(super) fn after(start: Timestamp, length: Duration) -> Timestamp {
    SignedDuration::try_from(length)
        .ok()
        .and_then(|length| start.checked_add(length).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The time to the second, as it stands in messages.
pub(super) fn show(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
