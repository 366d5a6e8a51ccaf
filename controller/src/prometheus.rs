//! Asking Prometheus.
//!
//! Invariant: what a gate asks is bounded in time, size and number of questions at once, and asked once for everybody who asks
//! the same at the same time. Credentials of an address never leave this module.

mod answer;
mod http;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use belay_engine::analysis::threshold::Answer;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::Result;

/// Questions to one Prometheus at the same time.
const QUESTIONS_AT_ONCE: usize = 8;

/// Answers kept for those who ask the same in the same moment.
const ANSWERS_KEPT: usize = 256;

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    /// Base URL of the Prometheus, perhaps with credentials.
    pub server: String,
    /// The query in PromQL.
    pub query: String,
    /// Longest time to wait for the answer, once it is asked.
    pub timeout: Duration,
    /// The answer must not be from before this.
    pub not_before: Timestamp,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// When it was asked.
    pub at: Timestamp,
    /// The answer, or what went wrong in one sentence without secrets.
    pub outcome: Result<Answer, String>,
    /// What Prometheus warns of.
    pub warnings: Vec<String>,
}

type Pending = Shared<BoxFuture<'static, Arc<Reply>>>;
type SameQuestion = (String, String);

/// A client for any number of Prometheus servers. Clones share everything.
#[derive(Clone)]
pub struct Prometheus {
    shared: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    slots: Mutex<HashMap<String, Arc<Semaphore>>>,
    asked: Mutex<HashMap<SameQuestion, Asked>>,
}

#[derive(Clone)]
struct Asked {
    /// When it was really asked; not yet set while it waits for a slot.
    at: Arc<OnceLock<Timestamp>>,
    reply: Pending,
}

impl Prometheus {
    /// A client.
    pub fn new() -> Result<Self> {
        Ok(Self {
            shared: Arc::new(Inner {
                http: http::client()?,
                slots: Mutex::default(),
                asked: Mutex::default(),
            }),
        })
    }

    /// Asks, or joins somebody who asks the same.
    pub async fn ask(&self, question: Question) -> Arc<Reply> {
        let key = (question.server.clone(), question.query.clone());
        let pending = {
            let mut asked = lock(&self.shared.asked);
            match asked.get(&key) {
                Some(same) if fits(same, question.not_before) => same.reply.clone(),
                _ => {
                    if asked.len() >= ANSWERS_KEPT {
                        asked.retain(|_, old| old.reply.peek().is_none());
                    }
                    let fresh = self.begin(question);
                    let reply = fresh.reply.clone();
                    asked.insert(key, fresh);
                    reply
                }
            }
        };
        pending.await
    }

    fn begin(&self, question: Question) -> Asked {
        let at = Arc::new(OnceLock::new());
        let slot = Arc::clone(
            lock(&self.shared.slots)
                .entry(question.server.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(QUESTIONS_AT_ONCE))),
        );
        let http = self.shared.http.clone();
        let asked_at = Arc::clone(&at);
        let reply = async move {
            // The semaphore is never closed.
            let _slot = slot.acquire().await;
            let at = *asked_at.get_or_init(Timestamp::now);
            let (outcome, warnings) = http::ask(&http, &question).await;
            Arc::new(Reply {
                at,
                outcome,
                warnings,
            })
        };
        Asked {
            at,
            reply: reply.boxed().shared(),
        }
    }
}

/// Whether the answer to a question that is asked already is as good as that to a new one.
fn fits(same: &Asked, not_before: Timestamp) -> bool {
    same.at.get().is_none_or(|at| *at >= not_before)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prometheus").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
