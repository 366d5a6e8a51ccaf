//! The shop's customers: requests through the gateway, from the first version to the last, and what became of each.
//!
//! Invariant: they never pause, and a request that got lost is told and ends the demo with an error. Where this machine allows no
//! network namespace there are none, and the lab's load generator plays them by changing the pods' counters.

use std::{sync::Arc, time::Duration};

use belay_lab::{RunningTraffic, Tally};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::report::Report;
use crate::{Error, check, plane::Shop};

/// Requests a second.
const PER_SECOND: f64 = 100.0;
/// How often they are told of, and over which time.
const TOLD_EVERY: Duration = Duration::from_secs(3);

/// Where the requests come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requests {
    /// Callers, through a real gateway, to pods that answer.
    Real,
    /// The lab's load generator, for the reason that is given.
    Played(String),
}

/// Requests that flow.
pub(super) struct Callers {
    traffic: Arc<RunningTraffic>,
    telling: JoinSet<()>,
}

impl Callers {
    /// Waits until the shop answers, and begins.
    pub(super) async fn begin(shop: &Shop<'_>, report: &Arc<Report>) -> Result<Self, Error> {
        shop.answers().await?;
        let traffic = Arc::new(shop.traffic()?.per_second(PER_SECOND).start()?);
        report.say(&format!(
            "{PER_SECOND:.0} requests a second come in through the gateway from now on"
        ));
        let mut telling = JoinSet::new();
        telling.spawn(tell(Arc::clone(&traffic), Arc::clone(report)));
        Ok(Self { traffic, telling })
    }

    /// Fails if any request got lost so far.
    pub(super) fn lost_nothing(&self) -> Result<(), Error> {
        lost_nothing(&self.traffic.tally())
    }

    /// Ends them, and tells what became of all.
    pub(super) async fn end(mut self, report: &Report) -> Result<(), Error> {
        self.telling.shutdown().await;
        let tally = match Arc::into_inner(self.traffic) {
            Some(traffic) => traffic.stop().await,
            None => return Err(Error::Broken("the traffic can't be ended".to_owned())),
        };
        lost_nothing(&tally)?;
        let lost = tally.lost();
        let errors = tally.ended - tally.answered - lost;
        report.say(&format!(
            "of {} requests {lost} got lost; {errors} were answered with an error, all of them by the bad version",
            tally.ended,
        ));
        let guilty = tally.versions.keys().any(|tag| tag.contains("err"));
        check(errors == 0 || guilty, || {
            format!("errors without a bad version: {tally:?}")
        })
    }
}

fn lost_nothing(tally: &Tally) -> Result<(), Error> {
    check(tally.lost() == 0, || {
        format!("{} requests got lost: {tally:?}", tally.lost())
    })
}

async fn tell(traffic: Arc<RunningTraffic>, report: Arc<Report>) {
    let mut due = tokio::time::interval(TOLD_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due.tick().await;
    loop {
        due.tick().await;
        report.say(&line(
            &traffic.tally_of_last(TOLD_EVERY),
            traffic.tally().lost(),
        ));
    }
}

/// Who answered lately.
fn line(lately: &Tally, lost: u64) -> String {
    let shares = lately.versions.keys().map(|version| {
        let percent = lately.share(version) * 100.0;
        format!("{version} {percent:.0} %")
    });
    let shares: Vec<String> = shares.collect();
    format!("Requests: {} · lost so far: {lost}", shares.join(", "))
}
