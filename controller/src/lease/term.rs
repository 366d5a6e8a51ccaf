//! One term of leadership: the permission to act, with its end in sight.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::{Error, Result};

/// A permission to act that runs out by itself unless it is renewed. Clones share it.
#[derive(Clone, Debug)]
pub struct Term {
    epoch: i32,
    since: Timestamp,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    began: Instant,
    /// End of the permission, in milliseconds after `began`.
    until_ms: AtomicU64,
    ended: AtomicBool,
}

impl Term {
    pub(crate) fn begin(epoch: i32, until: Instant) -> Self {
        let term = Self {
            epoch,
            since: Timestamp::now(),
            state: Arc::new(State {
                began: Instant::now(),
                until_ms: AtomicU64::new(0),
                ended: AtomicBool::new(false),
            }),
        };
        term.extend(until);
        term
    }

    /// Which term of the lease this is; rises with each holder.
    pub const fn epoch(&self) -> i32 {
        self.epoch
    }

    /// When the term began, by the wall clock. Verdicts from before do not count for a step forward.
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether one may begin a write now.
    pub fn check(&self) -> Result<()> {
        if self.left().is_zero() {
            Err(Error::NotLeading)
        } else {
            Ok(())
        }
    }

    /// Time until the permission runs out.
    pub(super) fn left(&self) -> Duration {
        if self.state.ended.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        let until = Duration::from_millis(self.state.until_ms.load(Ordering::Acquire));
        until.saturating_sub(self.state.began.elapsed())
    }

    pub(super) fn extend(&self, until: Instant) {
        let span = until.saturating_duration_since(self.state.began);
        let milliseconds = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.state.until_ms.store(milliseconds, Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.state.ended.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_term_runs_out_unless_it_is_renewed() {
        let term = Term::begin(3, Instant::now() + Duration::from_secs(10));
        assert!(term.check().is_ok());
        tokio::time::advance(Duration::from_secs(9)).await;
        term.extend(Instant::now() + Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(term.check().is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(matches!(term.check(), Err(Error::NotLeading)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_ended_term_cannot_be_renewed() {
        let term = Term::begin(3, Instant::now() + Duration::from_secs(10));
        term.clone().end();
        term.extend(Instant::now() + Duration::from_secs(10));
        assert!(term.check().is_err());
    }
}
