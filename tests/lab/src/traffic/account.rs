//! The account of all requests: sums since the beginning, and single ones of the last minutes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::failure::Failure;

/// Single requests are remembered for so long.
const REMEMBERED: Duration = Duration::from_mins(5);
/// So many failures are told in full.
const EXAMPLES: usize = 20;

/// Who answered, as the headers say.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) pod: Option<String>,
    pub(super) version: Option<String>,
}

/// What became of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Requests that ended, in whatever way.
    pub ended: u64,
    /// Requests that were sent and have not ended; only known of all requests.
    pub under_way: u64,
    /// Those that were answered well.
    pub answered: u64,
    /// Those that failed, by kind.
    pub failed: BTreeMap<Failure, u64>,
    /// Answers of each version, good or not.
    pub versions: BTreeMap<String, u64>,
    /// Answers of each pod, good or not.
    pub pods: BTreeMap<String, u64>,
    /// The first failures in full.
    pub examples: Vec<String>,
}

impl Tally {
    /// Requests that failed on their way: those a pod answered with an error are the application's.
    pub fn lost(&self) -> u64 {
        let lost = self.failed.iter().filter(|(kind, _)| !kind.is_the_pods());
        lost.map(|(_, count)| count).sum()
    }

    /// The share (0 to 1) of the answers that this version gave; 0 without any.
    pub fn share(&self, version: &str) -> f64 {
        let all: u64 = self.versions.values().sum();
        let count = self.versions.get(version).copied().unwrap_or_default();
        #[expect(
            clippy::cast_precision_loss,
            reason = "far fewer requests than 2 to the power of 52"
        )]
        let share = count as f64 / all.max(1) as f64;
        share
    }

    fn add(&mut self, request: &Request) {
        self.ended += 1;
        match request.failure {
            None => self.answered += 1,
            Some(failure) => *self.failed.entry(failure).or_default() += 1,
        }
        let Answer { pod, version } = &request.answer;
        for (counts, name) in [(&mut self.pods, pod), (&mut self.versions, version)] {
            if let Some(name) = name {
                *counts.entry(name.clone()).or_default() += 1;
            }
        }
    }
}

#[derive(Debug)]
struct Request {
    ended: Instant,
    failure: Option<Failure>,
    answer: Answer,
}

#[derive(Debug)]
pub(super) struct Account(Mutex<State>);

#[derive(Debug)]
struct State {
    began: Instant,
    sent: u64,
    all: Tally,
    last: VecDeque<Request>,
}

impl Default for Account {
    fn default() -> Self {
        Self(Mutex::new(State {
            began: Instant::now(),
            sent: 0,
            all: Tally::default(),
            last: VecDeque::new(),
        }))
    }
}

impl Account {
    pub(super) fn sent(&self) {
        self.state().sent += 1;
    }

    pub(super) fn answered(&self, answer: Answer) {
        self.state().end(None, answer);
    }

    pub(super) fn failed(&self, failure: Failure, answer: Option<Answer>, why: &str) {
        let mut state = self.state();
        if state.all.examples.len() < EXAMPLES {
            let after = state.began.elapsed().as_secs_f64();
            let from = answer.as_ref().and_then(|answer| answer.pod.as_deref());
            let from = from.unwrap_or("nobody");
            let example = format!("after {after:.1} s: {failure} from {from}: {why}");
            state.all.examples.push(example);
        }
        state.end(Some(failure), answer.unwrap_or_default());
    }

    pub(super) fn tally(&self) -> Tally {
        let state = self.state();
        Tally {
            under_way: state.sent.saturating_sub(state.all.ended),
            ..state.all.clone()
        }
    }

    pub(super) fn tally_since(&self, since: Instant) -> Tally {
        let state = self.state();
        let mut tally = Tally::default();
        let last = state.last.iter().rev();
        last.take_while(|request| request.ended >= since)
            .for_each(|request| tally.add(request));
        tally
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, failure: Option<Failure>, answer: Answer) {
        let ended = Instant::now();
        let request = Request {
            ended,
            failure,
            answer,
        };
        self.all.add(&request);
        self.last.push_back(request);
        while self
            .last
            .front()
            .is_some_and(|oldest| ended.duration_since(oldest.ended) > REMEMBERED)
        {
            self.last.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(version: &str) -> Answer {
        Answer {
            pod: Some(format!("{version}-pod")),
            version: Some(version.to_owned()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn shares_are_those_of_the_window_and_sums_those_of_all() {
        let account = Account::default();
        for _ in 0..10 {
            account.sent();
            account.answered(from("v1"));
        }
        tokio::time::advance(Duration::from_secs(30)).await;
        let before = Instant::now();
        for version in ["v1", "v2", "v2", "v2"] {
            account.sent();
            account.answered(from(version));
        }
        let window = account.tally_since(before);
        assert_eq!((window.ended, window.answered), (4, 4));
        assert!((window.share("v2") - 0.75).abs() < 1e-9);
        assert!((account.tally().share("v2") - 3.0 / 14.0).abs() < 1e-9);
        tokio::time::advance(REMEMBERED).await;
        account.sent();
        assert_eq!(account.tally().under_way, 1);
        account.answered(from("v2"));
        assert_eq!(account.tally_since(before).ended, 5);
        assert_eq!(account.tally().ended, 15);
    }

    #[test]
    fn what_a_pod_answers_badly_is_not_lost() {
        let account = Account::default();
        account.failed(Failure::Pod(500), Some(from("v2")), "an error");
        account.failed(Failure::Gateway(502), None, "bad gateway");
        account.failed(Failure::Closed, None, "reset");
        let tally = account.tally();
        assert_eq!((tally.ended, tally.answered, tally.lost()), (3, 0, 2));
        assert_eq!(tally.versions["v2"], 1);
        let json = serde_json::to_value(&tally).unwrap();
        assert_eq!(json["failed"]["gateway-502"], 1);
        assert!(tally.examples[1].contains("bad gateway"), "{tally:?}");
    }
}
