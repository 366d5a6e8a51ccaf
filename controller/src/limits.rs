//! Every bound of the shell in one place, with its reason.

use std::time::Duration;

/// Longest wait for one request to the API server. Shorter than the time between the renew deadline and the end of the lease,
/// so that a write begun under a valid lease is over before anybody else can hold it.
pub const API_CALL: Duration = Duration::from_secs(5);

/// How long others must leave the lease alone after its last renewal.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);

/// How long after the start of the last successful renewal this process acts.
pub const LEASE_RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// Time between two renewals, and between two attempts to get the lease.
pub const LEASE_RETRY: Duration = Duration::from_secs(2);

/// How long work in progress may go on after the process was told to stop; below the 30 s that Kubernetes gives by default.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// Events that wait to be written. More are dropped and counted: events are news, not state.
pub const EVENT_QUEUE: usize = 256;

/// Longest note of an event that the API server takes.
pub const EVENT_NOTE_BYTES: usize = 1024;

/// Longest time that a watcher waits between two attempts.
pub const WATCH_BACKOFF_MAX: Duration = Duration::from_secs(10);

/// First delay after a failed reconciliation; doubles with each failure in a row.
pub const RETRY_MIN: Duration = Duration::from_millis(200);

/// Longest delay after failed reconciliations.
pub const RETRY_MAX: Duration = Duration::from_mins(1);

/// How long objects of a Release are sent, or deleted, in one go. Then what was done is noted, and the next pass goes on with the rest: a large set
/// must not lose what it did to [`RECONCILE`].
pub const SENDING: Duration = Duration::from_secs(20);

/// Longest time that one reconciliation may take, all of its requests together.
pub const RECONCILE: Duration = Duration::from_mins(1);
