//! Who is on a lab: one alone, or any number together.
//!
//! Invariant: whoever wants to share comes before those who want to be alone, so that all who share do so at once, and are not cut into
//! groups by the order in which tests happen to begin. Nobody waits for ever, for a binary's tests are finite.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The door of one lab.
#[derive(Debug)]
pub(super) struct Door {
    inside: Mutex<Inside>,
    changed: Notify,
}

#[derive(Debug)]
struct Inside {
    alone: bool,
    /// Those who share or wait to share.
    sharing: usize,
}

/// One is inside, or waits to share, until this is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    door: &'static Door,
    how: How,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Alone,
    Sharing,
}

impl Door {
    pub(super) const fn new() -> Self {
        Self {
            inside: Mutex::new(Inside {
                alone: false,
                sharing: 0,
            }),
            changed: Notify::const_new(),
        }
    }

    /// Waits until nobody is inside or wants to share. Given up, it leaves nothing behind.
    pub(super) async fn alone(&'static self) -> Entered {
        self.when(|inside| {
            let free = !inside.alone && inside.sharing == 0;
            inside.alone |= free;
            free
        })
        .await;
        Entered {
            door: self,
            how: How::Alone,
        }
    }

    /// Waits until nobody is alone inside.
    pub(super) async fn share(&'static self) -> Entered {
        self.inside().sharing += 1;
        let entered = Entered {
            door: self,
            how: How::Sharing,
        };
        self.when(|inside| !inside.alone).await;
        entered
    }

    async fn when(&self, mut may_enter: impl FnMut(&mut Inside) -> bool) {
        loop {
            // Made before the look, so that no change after the look is missed.
            let changed = self.changed.notified();
            if may_enter(&mut self.inside()) {
                return;
            }
            changed.await;
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        {
            let mut inside = self.door.inside();
            match self.how {
                How::Alone => inside.alone = false,
                How::Sharing => inside.sharing -= 1,
            }
        }
        self.door.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn those_who_share_come_before_those_who_want_to_be_alone() {
        static DOOR: Door = Door::new();
        // Given somebody who is alone, another who wants to be, and two who came later and want to share.
        let first = DOOR.alone().now_or_never().unwrap();
        let mut alone = Box::pin(DOOR.alone());
        assert!(alone.as_mut().now_or_never().is_none());
        let mut shared = [Box::pin(DOOR.share()), Box::pin(DOOR.share())];
        for one in &mut shared {
            assert!(one.as_mut().now_or_never().is_none());
        }
        // When the first one leaves, then both who share enter, and nobody is alone beside them.
        drop(first);
        let [one, other] = shared.map(|one| one.now_or_never().unwrap());
        assert!(alone.as_mut().now_or_never().is_none());
        drop(one);
        assert!(alone.as_mut().now_or_never().is_none());
        // When both have left, then one is alone again.
        drop(other);
        let alone = alone.now_or_never();
        assert!(alone.is_some());
        assert!(DOOR.share().now_or_never().is_none());
    }

    #[test]
    fn who_gives_up_waiting_keeps_nobody_out() {
        static DOOR: Door = Door::new();
        let first = DOOR.alone().now_or_never().unwrap();
        assert!(DOOR.alone().now_or_never().is_none());
        assert!(DOOR.share().now_or_never().is_none());
        drop(first);
        assert!(DOOR.alone().now_or_never().is_some());
    }
}
