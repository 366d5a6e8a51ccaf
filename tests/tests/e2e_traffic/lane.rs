//! One workload behind the gateway under a steady load, changed again and again.
//!
//! Invariant: its load never stops, from before the first change to after the last, and every request of it is counted.

use std::sync::Arc;
use std::time::Duration;

use belay_api::{Action, Rollout};
use belay_engine::action::{Outcome, Verb};
use belay_engine::rollout::{RolloutStatus, status::Phase};
use belay_lab::{Lab, RunningTraffic, Tally, wait_for, wait_for_object};
use belay_tests::autoscaled::Load;
use belay_tests::plane::{Shop, TOLERANCE_POINTS, answers_needed, from_now_on, share_becomes};
use belay_tests::{Error, check, scene::Scene, workload::Workload};
use kube::{Api, ResourceExt as _};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::controller::Belay;
use crate::left;

/// Longest wait for anything; only a test that fails waits so long.
pub(crate) const LIMIT: Duration = Duration::from_mins(3);
/// Requests a second of one lane.
pub(crate) const PER_SECOND: f64 = 50.0;
/// Pods of a workload at first.
pub(crate) const REPLICAS: i32 = 4;
/// A killed controller stays dead for at most so long.
const DEAD_MILLISECONDS: u64 = 3_000;

/// What pods do that are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pods {
    /// They serve until their grace period is over, as pods of the workload should.
    Drain,
    /// They are gone at once. Nothing but Belay's order of writes keeps requests from them, so those that it removes itself are such.
    StopAtOnce,
}

/// A share that was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) wanted: u8,
    pub(crate) percent: f64,
    pub(crate) answers: u64,
}

/// The workload, and what happened to it.
pub(crate) struct Lane {
    pub(crate) shop: Shop<'static>,
    pub(crate) web: Workload,
    pub(crate) random: StdRng,
    pub(crate) measured: Vec<Measured>,
    pub(crate) kills: u32,
    /// Changes of the number of pods, and pods deleted by others.
    pub(crate) disturbances: u32,
    /// Tag of the last version that was asked for, and of the one before it that is verified.
    pub(crate) tag: String,
    pub(crate) stable: String,
    /// What its autoscaler sees, if it has one.
    pub(crate) load: Option<Load>,
    traffic: RunningTraffic,
    belay: Arc<Belay>,
    before: Value,
    versions: u32,
    fate: Fate,
    began: Instant,
    notes: Vec<String>,
}

/// When the controller is killed in a run: so long after one of its points.
#[derive(Default)]
struct Fate {
    points_left: usize,
    delay: Duration,
    dead_for: Duration,
    killing: Option<JoinHandle<Result<(), Error>>>,
}

impl Lane {
    /// A healthy workload with this Rollout (its spec without `workloadRef`), under load.
    pub(crate) async fn open(
        lab: &'static Lab,
        belay: &Arc<Belay>,
        name: &str,
        seed: u64,
        spec: Value,
    ) -> Result<Self, Error> {
        let shop = Shop::open(lab, name).await?;
        let tag = "v1".to_owned();
        shop.deployment("web", &format!("shop/web:{tag}"), REPLICAS)
            .await?;
        shop.service("web", "web").await?;
        shop.http_route("web", &[("web", 1)]).await?;
        shop.answers().await?;
        let web = Workload::existing(&shop.client, &shop.namespace, "web");
        let mut lane = Self {
            traffic: shop.traffic()?.per_second(PER_SECOND).start()?,
            before: Value::Null,
            shop,
            web,
            random: StdRng::seed_from_u64(seed),
            measured: Vec::new(),
            kills: 0,
            disturbances: 0,
            stable: tag.clone(),
            load: None,
            tag,
            belay: Arc::clone(belay),
            versions: 1,
            fate: Fate::default(),
            began: Instant::now(),
            notes: Vec::new(),
        };
        lane.govern(spec).await?;
        Ok(lane)
    }

    async fn govern(&mut self, mut spec: Value) -> Result<(), Error> {
        self.scene().gate("errors", &self.errors_query()).await?;
        if let Some(spec) = spec.as_object_mut() {
            spec.insert("workloadRef".to_owned(), json!({"name": "web"}));
        }
        let rollout = json!({"apiVersion": "belay.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "web"}, "spec": spec});
        self.shop.apply(rollout).await?;
        self.healthy().await?;
        self.before = left::state(&self.shop).await?;
        Ok(())
    }

    /// Leaves the number of pods to an autoscaler.
    pub(crate) async fn autoscale(&mut self) -> Result<(), Error> {
        let load = Load::new(&self.shop.client, &self.shop.namespace).await?;
        load.takes_pods(REPLICAS.unsigned_abs()).await?;
        load.scales("web").await?;
        self.load = Some(load);
        Ok(())
    }

    pub(crate) fn scene(&self) -> Scene {
        Scene {
            client: self.shop.client.clone(),
            namespace: self.shop.namespace.clone(),
        }
    }

    /// Failed answers a second, as Prometheus counts them.
    pub(crate) fn errors_query(&self) -> String {
        let count = format!(
            "http_requests_total{{namespace=\"{}\",code=\"500\"}}",
            self.shop.namespace
        );
        format!("sum(rate({count}[10s])) or vector(0)")
    }

    /// Writes down what happens, for a failure's message.
    pub(crate) fn note(&mut self, what: &str) {
        let after = self.began.elapsed().as_secs_f64();
        self.notes.push(format!("{after:.1} s: {what}"));
    }

    /// Begins a run of at least so many points, at one of which the controller is killed.
    pub(crate) fn begin(&mut self, what: &str, points: usize) {
        self.note(&format!("begin {what}"));
        self.fate = Fate {
            points_left: self.random.random_range(1..=points),
            delay: Duration::from_millis(self.random.random_range(0..2_000)),
            dead_for: Duration::from_millis(self.random.random_range(0..DEAD_MILLISECONDS)),
            killing: None,
        };
    }

    /// A point of a run.
    pub(crate) fn point(&mut self) {
        self.fate.points_left = self.fate.points_left.saturating_sub(1);
        if self.fate.points_left > 0 || self.fate.killing.is_some() {
            return;
        }
        let (delay, dead_for) = (self.fate.delay, self.fate.dead_for);
        self.note(&format!("Belay dies in {delay:?}, for {dead_for:?}"));
        self.kills += 1;
        let belay = Arc::clone(&self.belay);
        self.fate.killing = Some(tokio::spawn(async move {
            sleep(delay).await;
            belay.kill(dead_for).await
        }));
    }

    /// Asks for a new version, whose pods end like this.
    pub(crate) async fn release(&mut self, pods: Pods) -> Result<(), Error> {
        self.versions += 1;
        let word = match pods {
            Pods::Drain => "",
            Pods::StopAtOnce => "-hardstop",
        };
        self.tag = format!("v{}{word}", self.versions);
        let tag = self.tag.clone();
        self.note(&format!("{tag} is asked for"));
        self.web.set_image(&format!("shop/web:{tag}")).await?;
        self.point();
        Ok(())
    }

    /// Waits until the newest version's step waits for this reason with this share, and checks the share of the answers.
    pub(crate) async fn holds(&mut self, reason: &str, percent: u8) -> Result<(), Error> {
        self.is_at(reason, percent).await?;
        self.point();
        let needed = answers_needed(percent);
        let tally = from_now_on(&self.traffic, needed).await?;
        let share = tally.share(&self.tag) * 100.0;
        self.note(&format!("{share:.2} % of {} answers", tally.answered));
        self.measured.push(Measured {
            wanted: percent,
            percent: share,
            answers: tally.answered,
        });
        check(
            (share - f64::from(percent)).abs() <= TOLERANCE_POINTS,
            || format!("{share:.2} % of the answers at a weight of {percent}: {tally:?}"),
        )
    }

    /// Waits until the newest version's step waits for this reason with this share, and the gateway gives it.
    pub(crate) async fn is_at(&mut self, reason: &str, percent: u8) -> Result<(), Error> {
        let tag = self.tag.clone();
        self.status_when(|status| {
            let candidate = status.candidate.as_ref();
            let ours = candidate.is_some_and(|candidate| candidate.version.version == tag);
            let waits = status.waiting_for.as_ref();
            let there = ours
                && waits.is_some_and(|waiting| waiting.reason == reason)
                && status.weight_percent == Some(percent.into());
            there
                .then_some(())
                .ok_or_else(|| format!("{tag} {ours}, {:?} %, {waits:?}", status.weight_percent))
        })
        .await?;
        share_becomes(&self.traffic, &tag, percent.into()).await?;
        self.note(&format!("{tag} has {percent} % and waits: {reason}"));
        Ok(())
    }

    /// Has a person act.
    pub(crate) async fn act(&mut self, verb: Verb) -> Result<(), Error> {
        let scene = self.scene();
        self.note(&format!("{verb:?}"));
        let action = scene
            .make_action(&scene.client, "web", &format!("{verb:?}"))
            .await?;
        self.point();
        let api: Api<Action> = scene.api();
        let name = action.name_any();
        let outcome = wait_for_object(&api, &name, LIMIT, |action: Option<&Action>| {
            let status = action.and_then(|action| action.status.clone());
            let status = status.ok_or_else(|| "nobody took it up".to_owned())?;
            let outcome = status.outcome;
            outcome
                .map(|outcome| (outcome, status.message))
                .ok_or_else(|| "it has no outcome".to_owned())
        });
        let (outcome, message) = outcome.await?;
        check(outcome == Outcome::Accepted, || {
            format!("{verb:?} was not taken up: {message:?}")
        })
    }

    /// Waits until the newest version is the verified one, and nothing is left of its rollout.
    pub(crate) async fn promoted(&mut self) -> Result<(), Error> {
        self.stable.clone_from(&self.tag);
        self.healthy().await?;
        self.ended().await
    }

    /// Waits until the newest version is rejected, and nothing is left of its rollout.
    pub(crate) async fn rejected(&mut self) -> Result<(), Error> {
        self.phase(Phase::Rejected).await?;
        self.ended().await
    }

    async fn healthy(&mut self) -> Result<(), Error> {
        self.phase(Phase::Healthy).await
    }

    async fn phase(&mut self, phase: Phase) -> Result<(), Error> {
        let stable = self.stable.clone();
        self.status_when(|status| {
            let runs = status.stable.as_ref().map(|stable| stable.version.as_str());
            let there = status.phase == phase && runs == Some(&stable) && status.traffic.is_none();
            there.then_some(()).ok_or_else(|| {
                format!(
                    "{:?}, stable {runs:?}, {:?}",
                    status.phase, status.waiting_for
                )
            })
        })
        .await?;
        self.note(&format!("{phase:?}"));
        Ok(())
    }

    /// The end of a run: all answers are the verified version's, nothing is left, and nothing was lost.
    async fn ended(&mut self) -> Result<(), Error> {
        share_becomes(&self.traffic, &self.stable, 100.0).await?;
        left::nothing_is_left(&self.shop, &self.before).await?;
        if let Some(killing) = self.fate.killing.take() {
            let killed = killing.await;
            killed.map_err(|error| Error::Broken(error.to_string()))??;
        }
        self.note("nothing is left");
        nothing_lost(&self.traffic.tally())
    }

    pub(crate) async fn status_when<T>(
        &self,
        mut wanted: impl FnMut(&RolloutStatus) -> Result<T, String>,
    ) -> Result<T, Error> {
        let rollouts = self.web.rollouts();
        let when = wait_for_object(&rollouts, "web", LIMIT, |rollout: Option<&Rollout>| {
            let status = rollout.and_then(|rollout| rollout.status.as_ref());
            wanted(status.ok_or("it has no status")?)
        });
        Ok(when.await?)
    }

    /// Waits until Prometheus counts no more errors.
    pub(crate) async fn forgives(&self) -> Result<(), Error> {
        let url = self.shop.lab.prometheus_url()? + "/api/v1/query";
        let client = reqwest::Client::builder().no_proxy().build()?;
        let query = self.errors_query();
        let quiet = wait_for("no more errors", LIMIT, || async {
            let answer = client.get(&url).query(&[("query", &query)]).send().await;
            let answer = answer.map_err(|error| error.to_string())?;
            let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
            let value = answer.pointer("/data/result/0/value/1");
            let value: Option<f64> = value.and_then(|value| value.as_str()?.parse().ok());
            let quiet = value.is_some_and(|value| value == 0.0);
            quiet.then_some(()).ok_or_else(|| answer.to_string())
        });
        Ok(quiet.await?)
    }

    /// An error, with what happened before it.
    pub(crate) fn explained(&self, error: &Error) -> Error {
        let Tally {
            examples, failed, ..
        } = self.traffic.tally();
        let notes = self.notes.join("\n  ");
        let namespace = &self.shop.namespace;
        Error::Broken(format!(
            "{namespace}: {error}\n  failed: {failed:?} {examples:#?}\n  {notes}"
        ))
    }

    /// Ends the load and tells what became of it.
    pub(crate) async fn close(self) -> Result<Tally, Error> {
        let tally = self.traffic.stop().await;
        nothing_lost(&tally)?;
        Ok(tally)
    }
}

fn nothing_lost(tally: &Tally) -> Result<(), Error> {
    check(tally.lost() == 0, || {
        format!("requests were lost: {:?}", tally.failed)
    })
}
