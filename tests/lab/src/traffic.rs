//! A client that sends requests at a steady rate and keeps account of every one.
//!
//! Requests leave when they are due, whether or not earlier ones were answered, as those of many independent callers do. Most go over
//! connections that are kept; a share opens one of its own each. Nothing is tried again: what a caller would have seen is counted.
//!
//! Invariant: every request that was sent is counted exactly once, as answered or under a [`Failure`], or is still under way.

mod account;
mod failure;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response};
use tokio::sync::Semaphore;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::LabError;
use crate::backend::{POD_HEADER, VERSION_HEADER};
pub use account::Tally;
use account::{Account, Answer};
pub use failure::Failure;

/// More requests than these under way mean that the other side has stopped answering.
const MOST_UNDER_WAY: usize = 2_000;
/// How long the last requests may take once no more are sent, beyond the limit of each.
const GRACE: Duration = Duration::from_secs(1);

/// Describes traffic and starts it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Traffic {
    url: String,
    headers: HeaderMap,
    per_second: f64,
    fresh_share: f64,
    timeout: Duration,
}

impl Traffic {
    /// Requests to this address: 100 a second, one in ten over a connection of its own, each given up after ten seconds.
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: HeaderMap::new(),
            per_second: 100.0,
            fresh_share: 0.1,
            timeout: Duration::from_secs(10),
        }
    }

    /// For this host, whatever the address.
    pub fn host(self, host: &str) -> Result<Self, LabError> {
        self.header(HOST.as_str(), host)
    }

    /// With this header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, LabError> {
        let failed = || format!("the header {name}");
        let name = HeaderName::try_from(name).map_err(LabError::format(failed()))?;
        let value = HeaderValue::try_from(value).map_err(LabError::format(failed()))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// So many requests a second.
    pub fn per_second(mut self, rate: f64) -> Self {
        self.per_second = rate.clamp(0.01, 10_000.0);
        self
    }

    /// This share (0 to 1) of the requests opens a connection of its own.
    pub fn fresh_share(mut self, share: f64) -> Self {
        self.fresh_share = share.clamp(0.0, 1.0);
        self
    }

    /// Each request is given up after this time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Begins to send, on a thread of its own; dropping the result ends it.
    pub fn start(self) -> Result<RunningTraffic, LabError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traffic")
            .enable_all()
            .build()
            .map_err(LabError::io("start the traffic's thread"))?;
        let sender = Arc::new(Sender {
            kept: self.client(usize::MAX)?,
            fresh: self.client(0)?,
            account: Account::default(),
            under_way: Arc::new(Semaphore::new(MOST_UNDER_WAY)),
            traffic: self,
        });
        let (stop, stopped) = oneshot::channel();
        let sending = runtime.spawn(send(Arc::clone(&sender), stopped));
        Ok(RunningTraffic {
            sender,
            stop: Some(stop),
            sending: Some(sending),
            runtime: Some(runtime),
        })
    }

    fn client(&self, idle_connections: usize) -> Result<Client, LabError> {
        // Two providers could be in a test binary's dependencies; an error says that one is already chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(idle_connections)
            .default_headers(self.headers.clone())
            .timeout(self.timeout)
            .build()
            .map_err(|error| LabError::io("make an HTTP client")(std::io::Error::other(error)))
    }
}

/// Traffic that flows until it is stopped or dropped.
#[derive(Debug)]
pub struct RunningTraffic {
    sender: Arc<Sender>,
    stop: Option<oneshot::Sender<()>>,
    sending: Option<tokio::task::JoinHandle<()>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl RunningTraffic {
    /// What became of all requests so far.
    pub fn tally(&self) -> Tally {
        self.sender.account.tally()
    }

    /// What became of the requests that ended within the last `window`, at most five minutes.
    pub fn tally_of_last(&self, window: Duration) -> Tally {
        self.sender.account.tally_since(Instant::now() - window)
    }

    /// Sends no more, waits for what is under way, and tells what became of all requests.
    pub async fn stop(mut self) -> Tally {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(sending) = self.sending.take() {
            let _ = sending.await;
        }
        self.tally()
    }
}

impl Drop for RunningTraffic {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Debug)]
struct Sender {
    traffic: Traffic,
    kept: Client,
    fresh: Client,
    account: Account,
    under_way: Arc<Semaphore>,
}

/// Sends requests as they are due until told to stop, then waits for those under way.
async fn send(sender: Arc<Sender>, mut stopped: oneshot::Receiver<()>) {
    let mut due = interval(Duration::from_secs_f64(1.0 / sender.traffic.per_second));
    // What a busy machine missed is sent late, not left out.
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut owed_fresh = 0.0;
    loop {
        tokio::select! {
            // A sender that was dropped ends the traffic as well.
            _ = &mut stopped => break,
            _ = due.tick() => {}
        }
        owed_fresh += sender.traffic.fresh_share;
        let fresh = owed_fresh >= 1.0;
        owed_fresh -= f64::from(u8::from(fresh));
        sender.account.sent();
        match Arc::clone(&sender.under_way).try_acquire_owned() {
            Ok(permit) => {
                let sender = Arc::clone(&sender);
                tokio::spawn(async move {
                    sender.one(fresh).await;
                    drop(permit);
                });
            }
            Err(_) => sender.unsent(),
        }
    }
    let all = u32::try_from(MOST_UNDER_WAY).unwrap_or(u32::MAX);
    let last = sender.under_way.acquire_many(all);
    let _ = tokio::time::timeout(sender.traffic.timeout + GRACE, last).await;
}

impl Sender {
    fn unsent(&self) {
        let why = "too many requests are under way";
        self.account.failed(Failure::Unsent, None, why);
    }

    async fn one(&self, fresh: bool) {
        let client = if fresh { &self.fresh } else { &self.kept };
        match client.get(&self.traffic.url).send().await {
            Ok(response) => self.answered(response).await,
            Err(error) => self
                .account
                .failed(Failure::of(&error), None, &chain(&error)),
        }
    }

    async fn answered(&self, response: Response) {
        let answer = Answer {
            pod: header(&response, POD_HEADER),
            version: header(&response, VERSION_HEADER),
        };
        let status = response.status();
        // An answer has come only when all of it has.
        match response.bytes().await {
            Err(error) => self
                .account
                .failed(Failure::of(&error), Some(answer), &chain(&error)),
            Ok(_) if status.is_success() => self.account.answered(answer),
            Ok(body) => {
                let failure = Failure::answer(status.as_u16(), answer.pod.is_some());
                let text = String::from_utf8_lossy(&body);
                self.account.failed(failure, Some(answer), text.trim());
            }
        }
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// An error with its causes, for they say what happened.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let causes = causes.map(|cause| format!(": {cause}"));
    causes.fold(error.to_string(), |text, cause| text + &cause)
}
