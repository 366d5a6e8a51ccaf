//! One Prometheus as far as its load is concerned: how many questions at once, how many a second, and when not to ask at all.
//!
//! Invariant: after an answer that says "too much" nobody asks until the pause is over, however many gates want to know.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::StatusCode;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::http::{Exchanged, Trouble};

/// Questions to one Prometheus at the same time.
const QUESTIONS_AT_ONCE: usize = 8;

/// Time between two questions to one Prometheus, on average: a hundred a second.
const PACE: Duration = Duration::from_millis(10);

/// How far questions may run ahead of that pace.
const BURST: Duration = Duration::from_secs(1);

/// Shortest and longest time for which a server that has too much to do is left alone. The pause doubles with each such answer.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Timeouts in a row that count as too much to do. One alone may be the fault of a costly query.
const TIMEOUTS: u32 = 4;

/// The load of one Prometheus.
#[derive(Debug)]
pub(super) struct Server {
    slots: Arc<Semaphore>,
    load: Mutex<Load>,
}

#[derive(Debug, Default)]
struct Load {
    /// When the next question is due if the pace is kept.
    next: Option<Instant>,
    /// Until when nobody asks.
    paused_until: Option<Instant>,
    /// Length of the next pause.
    pause: Duration,
    timeouts: u32,
}

/// The right to ask one question.
pub(super) struct Turn {
    _slot: Option<OwnedSemaphorePermit>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(QUESTIONS_AT_ONCE)),
            load: Mutex::default(),
        }
    }
}

impl Server {
    /// Waits for the right to ask; for a pause of the server at most as long as `patience`.
    pub(super) async fn turn(&self, patience: Duration) -> Result<Turn, String> {
        // The semaphore is never closed.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let (at, paused) = self.lock().next_at(Instant::now());
        if paused > patience {
            return Err(format!(
                "Prometheus has too much to do; it is left alone for another {} s",
                paused.as_secs() + 1
            ));
        }
        tokio::time::sleep_until(at).await;
        Ok(Turn { _slot: slot })
    }

    /// Takes note of what came of the question of `turn`.
    pub(super) fn answered(&self, turn: Turn, asked: &Exchanged) {
        drop(turn);
        let mut load = self.lock();
        let now = Instant::now();
        match asked {
            Exchanged::Answer {
                status: StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE,
                retry_after,
                ..
            } => load.pause(now, *retry_after),
            Exchanged::Answer { .. } => {
                load.timeouts = 0;
                load.pause = Duration::ZERO;
            }
            Exchanged::Failed {
                trouble: Trouble::Timeout,
                ..
            } => {
                load.timeouts += 1;
                if load.timeouts >= TIMEOUTS {
                    load.pause(now, None);
                }
            }
            Exchanged::Failed { .. } => {}
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    /// When the next question may be asked, and how much of the time until then is a pause.
    fn next_at(&mut self, now: Instant) -> (Instant, Duration) {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let due = self.next.map_or(earliest, |next| next.max(earliest));
        self.next = Some(due + PACE);
        let paused_until = self.paused_until.filter(|until| *until > now);
        let paused = paused_until.map_or(Duration::ZERO, |until| until.duration_since(now));
        (due.max(paused_until.unwrap_or(now)), paused)
    }

    fn pause(&mut self, now: Instant, asked_for: Option<Duration>) {
        let (shortest, longest) = PAUSES;
        // Questions that were on their way together say the same thing once.
        if self.paused_until.is_some_and(|until| until > now) {
            return;
        }
        self.pause = (self.pause * 2).clamp(shortest, longest);
        let pause = asked_for.map_or(self.pause, |asked| asked.clamp(self.pause, longest));
        self.paused_until = Some(now + pause);
        self.timeouts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_keep_the_pace_after_a_burst() {
        let mut load = Load::default();
        let now = Instant::now() + Duration::from_mins(1);
        let at_once = (0..1000).filter(|_| load.next_at(now).0 <= now).count();
        assert_eq!(at_once, 101);
        let (at, paused) = load.next_at(now);
        assert!(at >= now + PACE * 899 && paused.is_zero());
        // And after a rest there may be a burst again.
        assert!(load.next_at(now + Duration::from_mins(1)).0 <= now + Duration::from_mins(1));
    }

    #[test]
    fn pauses_grow_and_obey_the_server() {
        let mut load = Load::default();
        let mut now = Instant::now();
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            load.pause(now, None);
            let (_, paused) = load.next_at(now);
            assert_eq!(paused, Duration::from_secs(expected));
            now += paused;
        }
        let mut asked = Load::default();
        asked.pause(now, Some(Duration::from_secs(17)));
        asked.pause(now, None);
        assert_eq!(asked.next_at(now).1, Duration::from_secs(17));
    }
}
