//! Asking Prometheus.
//!
//! Invariant: what a gate asks is bounded in time, size and number of questions at once, and asked once for everybody who asks
//! the same at the same time. A server that says it has too much to do is left alone for a while. Credentials of an address never
//! leave this module.

mod answer;
pub mod data;
mod http;
pub mod metrics;
mod server;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

pub use data::Data;
use metrics::{Outcome, PrometheusMetrics};
use server::Server;

/// How long an answer is kept for those who ask the same. Gates that share a question ask it at the same moment, so that a short
/// while will do; what is kept longer only takes memory.
const ANSWER_AGE: Duration = Duration::from_secs(5);

/// Servers that are remembered at the same time.
const SERVERS_KEPT: usize = 256;

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    /// Base URL of the Prometheus, perhaps with credentials.
    pub server: String,
    /// How it is spoken to.
    pub access: Arc<Access>,
    /// The query in PromQL.
    pub query: String,
    /// What time it is asked about.
    pub about: About,
    /// Longest time to wait for the answer, once it is asked.
    pub timeout: Duration,
    /// Whether Prometheus's own words are passed on.
    pub words: Words,
}

/// Whether the words of a Prometheus about a query (errors and warnings, which quote it) are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Words {
    /// They are.
    Shown,
    /// They are not, for the query holds the value of a Secret.
    Withheld,
}

/// How a Prometheus is spoken to: headers with credentials, and a client with its certificates.
pub struct Access {
    id: [u8; 32],
    headers: HeaderMap,
    client: reqwest::Client,
}

impl Access {
    /// Access with `headers` by `client`; `id` is the same for the same access and tells nothing of it.
    pub fn new(id: [u8; 32], headers: HeaderMap, client: reqwest::Client) -> Self {
        Self {
            id,
            headers,
            client,
        }
    }

    /// The same for the same access.
    pub const fn id(&self) -> [u8; 32] {
        self.id
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

/// What time a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum About {
    /// The present, when it is asked; an answer that somebody else got counts if it was asked no earlier than this.
    Now {
        /// Earliest time of asking.
        not_before: Timestamp,
    },
    /// This very time.
    Time(Timestamp),
    /// Times from one to another, this far apart.
    Range {
        /// The first.
        from: Timestamp,
        /// The last.
        to: Timestamp,
        /// Time between two of them.
        step: Duration,
    },
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The time that the answer is about: when it was asked, or the time that it was asked about.
    pub at: Timestamp,
    /// The answer, or what went wrong in one sentence without secrets.
    pub outcome: Result<Arc<Data>, String>,
    /// What Prometheus warns of.
    pub warnings: Vec<String>,
}

impl Reply {
    /// The answer if it is whole. One with a warning may miss a part, which would be taken for events that did not happen, so it
    /// is no answer.
    pub fn whole(&self) -> Result<&Arc<Data>, String> {
        match self.warnings.first() {
            Some(warning) => Err(format!(
                "the answer may be incomplete and does not count; Prometheus warns: {warning}"
            )),
            None => self.outcome.as_ref().map_err(Clone::clone),
        }
    }
}

type Pending = Shared<BoxFuture<'static, Arc<Reply>>>;

/// Two questions with the same key may share an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    server: String,
    access: [u8; 32],
    query: String,
    about: Option<About>,
    words: Words,
}

/// A client for any number of Prometheus servers. Clones share everything.
#[derive(Clone)]
pub struct Prometheus {
    shared: Arc<Inner>,
}

struct Inner {
    metrics: PrometheusMetrics,
    servers: Mutex<HashMap<String, Arc<Server>>>,
    asked: Mutex<AskedQuestions>,
}

/// Questions that were asked a short while ago, or wait for their answer.
#[derive(Default)]
struct AskedQuestions {
    by_key: HashMap<Key, Asked>,
    /// The same in the order of asking, to forget them by.
    order: VecDeque<(Instant, Key)>,
}

#[derive(Clone)]
struct Asked {
    /// When it was really asked; not yet set while it waits for its turn.
    at: Arc<OnceLock<Timestamp>>,
    reply: Pending,
}

impl Prometheus {
    /// A client that counts its questions in `metrics`.
    pub fn new(metrics: PrometheusMetrics) -> Self {
        Self {
            shared: Arc::new(Inner {
                metrics,
                servers: Mutex::default(),
                asked: Mutex::default(),
            }),
        }
    }

    /// Asks, or joins somebody who asks the same.
    pub async fn ask(&self, question: Question) -> Arc<Reply> {
        let key = Key {
            server: question.server.clone(),
            access: question.access.id,
            query: question.query.clone(),
            about: Some(question.about).filter(|about| !matches!(about, About::Now { .. })),
            words: question.words,
        };
        let pending = {
            let mut asked = lock(&self.shared.asked);
            asked.forget_old();
            match asked.by_key.get(&key) {
                Some(same) if fits(same, question.about) => {
                    self.shared.metrics.count(Outcome::Shared);
                    same.reply.clone()
                }
                _ => {
                    let fresh = self.begin(question);
                    let reply = fresh.reply.clone();
                    asked.order.push_back((Instant::now(), key.clone()));
                    asked.by_key.insert(key, fresh);
                    reply
                }
            }
        };
        pending.await
    }

    fn begin(&self, question: Question) -> Asked {
        let at = Arc::new(OnceLock::new());
        let asked_at = Arc::clone(&at);
        let server = self.server(&question.server);
        let metrics = self.shared.metrics.clone();
        let reply = async move {
            let (at, outcome, warnings) = match server.turn(question.timeout).await {
                Ok(turn) => {
                    let at = *asked_at.get_or_init(Timestamp::now);
                    let begun = Instant::now();
                    let asked = http::ask(&question).await;
                    metrics.took(begun.elapsed());
                    metrics.count(Outcome::of(&asked));
                    server.answered(turn, &asked);
                    let (outcome, warnings) = asked.told();
                    (at, outcome, warnings)
                }
                Err(why) => {
                    metrics.count(Outcome::HeldBack);
                    (Timestamp::now(), Err(why), Vec::new())
                }
            };
            let at = match question.about {
                About::Now { .. } => at,
                About::Time(time) | About::Range { to: time, .. } => time,
            };
            Arc::new(Reply {
                at,
                outcome: outcome.map(Arc::new),
                warnings,
            })
        };
        Asked {
            at,
            reply: reply.boxed().shared(),
        }
    }

    fn server(&self, address: &str) -> Arc<Server> {
        let mut servers = lock(&self.shared.servers);
        if servers.len() >= SERVERS_KEPT {
            servers.retain(|_, server| Arc::strong_count(server) > 1);
        }
        Arc::clone(servers.entry(address.to_owned()).or_default())
    }
}

impl AskedQuestions {
    fn forget_old(&mut self) {
        while let Some((_, key)) = self
            .order
            .pop_front_if(|(begun, _)| begun.elapsed() >= ANSWER_AGE)
        {
            // One that waits for its answer still is asked anew by the next: nobody knows how long it will take.
            self.by_key.remove(&key);
        }
    }
}

/// Whether the answer to a question that is asked already is as good as that to a new one.
fn fits(same: &Asked, about: About) -> bool {
    match about {
        About::Now { not_before } => same.at.get().is_none_or(|at| *at >= not_before),
        About::Time(_) | About::Range { .. } => true,
    }
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
