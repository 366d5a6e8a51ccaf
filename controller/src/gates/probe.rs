//! Gates that try the new version out, or ask others than Prometheus: HTTP requests and Jobs.
//!
//! Invariant: a value of a Secret goes where the template says and nowhere else: what is said about an answer, a log or an error is
//! blotted before it leaves this module. Where requests may go is decided by [`address`], for every hop anew.

pub(crate) mod address;
pub(crate) mod http;
pub(crate) mod job;
pub(crate) mod redact;
pub(crate) mod secrets;
