//! Gates that send an HTTP request.
//!
//! A question is checked when its template is read, filled and sent when it is due, and its answer judged: [`request`], [`send`],
//! [`judge`].
//!
//! Invariant: only an answer that keeps every expectation passes. What can't be reached, asked or read is an error of the provider,
//! unless the author said that it counts against the new version; what is not there is no data.

mod condition;
pub(crate) mod encode;
mod judge;
mod path;
#[cfg(test)]
mod recipes;
mod request;
pub(crate) mod send;
#[cfg(test)]
mod tests;
mod time;
mod tls;
#[cfg(test)]
pub(crate) mod tls_tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use belay_api::analysis::{
    SecretKey,
    http::{CaSource, HttpGate, HttpMethod, HttpRetries, Unavailable},
};
use belay_engine::gate::Result as GateResult;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::{
    address::{Guarded, Reach},
    redact::Redactor,
};
use condition::Condition;
use request::Request;
use send::{Answer, Broken};

/// Requests to one host at the same time.
const REQUESTS_AT_ONCE: usize = 8;

/// Hosts whose slots are kept.
const HOSTS_KEPT: usize = 256;

/// Longest time that one attempt may take, whatever a template says.
const TIMEOUT_MAX: Duration = Duration::from_mins(2);

/// Longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Values of a template's holes.
pub(crate) type Values = BTreeMap<String, String>;

/// What one gate sends, and what it expects. Its holes are filled when it is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpQuestion {
    gate: HttpGate,
}

/// What is known only when a question is asked.
#[derive(Default)]
pub(crate) struct Known {
    /// Values of the holes.
    pub(crate) values: Values,
    /// Names of those that come from Secrets.
    pub(crate) secret_values: Vec<String>,
    /// Keys of Secrets that the gate itself names.
    pub(crate) secrets: HashMap<SecretKey, String>,
    /// Certificates of the authorities to trust.
    pub(crate) ca: Option<String>,
    /// The time for `{{now}}`.
    pub(crate) now: Timestamp,
}

impl HttpQuestion {
    pub(crate) fn new(gate: &HttpGate) -> Self {
        Self { gate: gate.clone() }
    }

    /// Whether it can be asked with these values. `secret` are the names of arguments that come from Secrets.
    pub(crate) fn check(&self, values: &Values, secret: &[&str]) -> Result<(), String> {
        let mut known = Known {
            values: values.clone(),
            secret_values: secret.iter().map(|&name| name.to_owned()).collect(),
            ..Known::default()
        };
        for key in self.secrets() {
            known.secrets.insert(key.clone(), "value".to_owned());
        }
        Request::new(&self.gate, &known)?;
        self.conditions(&known).map(drop)
    }

    /// The keys of Secrets that it names.
    pub(crate) fn secrets(&self) -> Vec<&SecretKey> {
        let headers = self.gate.headers.iter();
        let mut keys: Vec<&SecretKey> = headers.filter_map(|h| h.secret_key.as_ref()).collect();
        if let Some(auth) = &self.gate.auth {
            keys.extend(&auth.bearer);
            keys.extend(
                auth.basic
                    .iter()
                    .flat_map(|basic| [&basic.username, &basic.password]),
            );
        }
        if let Some(client) = self.gate.tls.as_ref().and_then(|tls| tls.client.as_ref()) {
            keys.extend([&client.certificate, &client.key]);
        }
        keys
    }

    /// Where the certificates of the authorities to trust are, if it names them.
    pub(crate) fn ca(&self) -> Option<&CaSource> {
        self.gate.tls.as_ref().and_then(|tls| tls.ca.as_ref())
    }

    /// Whether it is sent without any credentials, headers and certificates of its own.
    pub(crate) fn is_plain(&self) -> bool {
        let HttpGate {
            auth, headers, tls, ..
        } = &self.gate;
        auth.is_none() && headers.is_empty() && tls.is_none()
    }

    /// The headers of this question and a client for it, for who sends requests of his own.
    pub(crate) fn access(
        &self,
        reach: Reach,
        known: &Known,
    ) -> Result<(reqwest::header::HeaderMap, reqwest::Client), String> {
        let request = Request::new(&self.gate, known)?;
        let tls = self.gate.tls.clone().unwrap_or_default();
        Ok((request.headers, tls::client(reach, &tls, known)?))
    }

    fn conditions(&self, known: &Known) -> Result<Vec<Condition>, String> {
        let open = known.open_values();
        let conditions = self.gate.expect.json.iter();
        conditions
            .map(|spec| Condition::new(spec, |text| request::fill(text, &open, "a condition")))
            .collect()
    }

    fn retries(&self) -> HttpRetries {
        self.gate.retries.clone().unwrap_or_else(|| {
            let limit = match self.gate.method {
                HttpMethod::Get | HttpMethod::Head => HttpRetries::default().limit,
                _ => 0,
            };
            HttpRetries {
                limit,
                ..HttpRetries::default()
            }
        })
    }
}

impl Known {
    /// The values that may stand where anybody may read them.
    fn open_values(&self) -> Values {
        let mut open = self.values.clone();
        open.retain(|name, _| !self.secret_values.contains(name));
        open
    }

    fn secret(&self, key: &SecretKey) -> Result<&str, String> {
        // People create Secrets with `echo`, which ends them with a line break.
        let value = self
            .secrets
            .get(key)
            .map(|value| value.trim_end_matches(['\r', '\n']));
        value.ok_or_else(|| format!("key {} of Secret {} was not read", key.key, key.name))
    }

    /// Blots out everything that came from Secrets. `sent` are values that were made of them.
    fn redactor(&self, sent: &[String]) -> Redactor {
        let named = self
            .secret_values
            .iter()
            .filter_map(|name| self.values.get(name));
        let all = named.chain(self.secrets.values()).chain(sent);
        Redactor::new(all.map(String::as_str))
    }
}

/// A question that is ready to be asked.
struct Prepared {
    request: Request,
    conditions: Vec<Condition>,
    client: reqwest::Client,
}

/// Sends requests.
pub(crate) struct Prober {
    reach: Reach,
    plain: reqwest::Client,
    slots: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Prober {
    pub(crate) fn new(reach: Reach) -> crate::Result<Self> {
        Ok(Self {
            reach,
            plain: tls::builder(Guarded::new(reach)).build()?,
            slots: Mutex::default(),
        })
    }

    /// Asks, again if need be, and judges the answer.
    pub(crate) async fn ask(&self, question: &HttpQuestion, known: &Known) -> GateResult {
        let prepared = match self.prepare(question, known) {
            Ok(prepared) => prepared,
            Err(why) => {
                let why = known.redactor(&[]).apply(&why);
                return GateResult::Error { why };
            }
        };
        let redactor = known.redactor(&prepared.request.made_of_secrets);
        let result = match self.attempts(question, &prepared).await {
            Ok(answer) => {
                let gate = question.gate.clone();
                judged(gate, prepared.conditions, answer, redactor.clone()).await
            }
            Err(Broken::Unavailable(why)) => unavailable(question.gate.unavailable_is, why),
            Err(Broken::Unusable(why)) => GateResult::Error { why },
        };
        blotted(result, &redactor)
    }

    fn prepare(&self, question: &HttpQuestion, known: &Known) -> Result<Prepared, String> {
        Ok(Prepared {
            request: Request::new(&question.gate, known)?,
            conditions: question.conditions(known)?,
            client: match &question.gate.tls {
                Some(tls) => tls::client(self.reach, tls, known)?,
                None => self.plain.clone(),
            },
        })
    }

    async fn attempts(
        &self,
        question: &HttpQuestion,
        prepared: &Prepared,
    ) -> Result<Answer, Broken> {
        let retries = question.retries();
        let timeout = question.gate.timeout.get().min(TIMEOUT_MAX);
        let mut backoff = retries.backoff.get().min(BACKOFF_MAX);
        let mut left = retries.limit;
        loop {
            let outcome = self.attempt(question, prepared, timeout).await;
            let wait = match &outcome {
                Err(Broken::Unavailable(_)) => backoff,
                Ok(answer) if judge::is_passing_trouble(&question.gate, answer.status) => {
                    answer.retry_after.unwrap_or(backoff).min(BACKOFF_MAX)
                }
                _ => return outcome,
            };
            if left == 0 {
                return outcome;
            }
            left -= 1;
            // Many gates that failed together shall not come back together.
            let spread = wait.mul_f64(0.5f64.mul_add(fastrand::f64(), 0.75));
            tokio::time::sleep(spread).await;
            backoff = backoff.saturating_mul(2).min(BACKOFF_MAX);
        }
    }

    async fn attempt(
        &self,
        question: &HttpQuestion,
        prepared: &Prepared,
        timeout: Duration,
    ) -> Result<Answer, Broken> {
        let Prepared {
            request, client, ..
        } = prepared;
        let slot = self.slot(request.url.host_str().unwrap_or_default());
        // The semaphore is never closed.
        let _slot = slot.acquire().await;
        let sent = send::send(
            client,
            &self.plain,
            request,
            self.reach,
            question.gate.redirects,
        );
        match tokio::time::timeout(timeout, sent).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Broken::Unavailable(format!(
                "{} did not answer within {} s",
                request.host(),
                timeout.as_secs_f64()
            ))),
        }
    }

    fn slot(&self, host: &str) -> Arc<Semaphore> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= HOSTS_KEPT {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        let slot = slots.entry(host.to_owned());
        Arc::clone(slot.or_insert_with(|| Arc::new(Semaphore::new(REQUESTS_AT_ONCE))))
    }
}

impl std::fmt::Debug for Prober {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prober").finish_non_exhaustive()
    }
}

/// A large answer is read for a while, and what reads it is not ours: neither may hold up or end what else this thread does.
async fn judged(
    gate: HttpGate,
    conditions: Vec<Condition>,
    answer: Answer,
    redactor: Redactor,
) -> GateResult {
    let judged =
        tokio::task::spawn_blocking(move || judge::judge(&gate, &conditions, &answer, &redactor));
    judged.await.unwrap_or_else(|_| GateResult::Error {
        why: "the answer can't be read by these conditions".to_owned(),
    })
}

fn unavailable(means: Unavailable, why: String) -> GateResult {
    match means {
        Unavailable::Error => GateResult::Error { why },
        Unavailable::Fail => GateResult::Fail {
            value: "unavailable".to_owned(),
            why,
        },
    }
}

/// `result` as it may be shown: an answer may repeat what was sent.
fn blotted(result: GateResult, redactor: &Redactor) -> GateResult {
    match result {
        GateResult::Pass { value } => GateResult::Pass {
            value: redactor.apply(&value),
        },
        GateResult::Fail { value, why } => GateResult::Fail {
            value: redactor.apply(&value),
            why: redactor.apply(&why),
        },
        GateResult::NoData { why } => GateResult::NoData {
            why: redactor.apply(&why),
        },
        GateResult::Error { why } => GateResult::Error {
            why: redactor.apply(&why),
        },
        other => other,
    }
}
