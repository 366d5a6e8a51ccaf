//! The first status of an object whose kind has one: until its controller has written it, nothing is known of the object.
//!
//! The wait is short and counts from the object's creation: many a controller never writes a status, and an object that has none is not
//! to hold every version up.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Health;

/// How long an object may lack its first status before it is taken for one that never gets any.
pub const FIRST_STATUS_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// Until when the first status of `object`, whose kind has a status, is awaited; nothing when it has one.
pub fn first_status_due(object: &Value) -> Option<Timestamp> {
    if object.get("status").is_some_and(|status| !status.is_null()) {
        return None;
    }
    let created = object.pointer("/metadata/creationTimestamp")?.as_str()?;
    let created: Timestamp = created.parse().ok()?;
    created.checked_add(FIRST_STATUS_WITHIN).ok()
}

/// How an object is while its first status is awaited.
pub fn awaits_first_status() -> Health {
    Health::progress("its controller has not written a status yet")
}
