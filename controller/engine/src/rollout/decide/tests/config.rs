use std::collections::BTreeMap;

use super::*;
use crate::{
    config::ConfigKind,
    rollout::{
        observed::LiveConfig,
        reason,
        status::{RollbackReason, Version},
    },
};

pub(super) fn stamp(hash: &str) -> Stamp {
    let object = (ConfigKind::ConfigMap, "settings".to_owned());
    Stamp::of(&BTreeMap::from([(object, hash.to_owned())])).unwrap()
}

impl Bench {
    pub(super) fn swept(&mut self) {
        if let Config::Live(live) = &mut self.seen.config {
            live.unused.clear();
        }
    }

    /// Somebody changes the configuration.
    pub(super) fn configure(&mut self, hash: Option<&str>) -> &mut Self {
        self.seen.config = Config::Live(LiveConfig {
            stamp: hash.map(stamp),
            changed_at: self.now,
            unused: Vec::new(),
            lost: Vec::new(),
        });
        self
    }

    /// A workload that runs `v1` with the configuration `one`.
    fn configured() -> Self {
        let mut bench = Self::healthy();
        bench.configure(Some("one")).settle();
        bench
    }

    /// The configuration of the asked template, and what runs with how many pods.
    fn runs(&self) -> (Option<String>, Vec<(String, i32)>) {
        let hash_of = |stamp: &Option<Stamp>| {
            let stamp = stamp.as_ref()?;
            stamp.entries().map(|(_, _, hash)| hash.to_owned()).next()
        };
        let Workload::Deployment(deployment) = &self.seen.workload else {
            panic!("no Deployment");
        };
        let pods = self.seen.sets.iter().filter(|set| set.desired > 0);
        let pods = pods.map(|set| {
            let config = hash_of(&set.template.stamp).unwrap_or_default();
            (format!("{}/{config}", set.template.version), set.desired)
        });
        (hash_of(&deployment.template.stamp), pods.collect())
    }

    fn ran(&self, asked: &str, pods: &[(&str, i32)]) {
        let pods = pods
            .iter()
            .map(|(version, pods)| ((*version).to_owned(), *pods));
        assert_eq!(self.runs(), (Some(asked.to_owned()), pods.collect()));
    }
}

#[test]
fn the_first_stamp_is_no_release_and_restarts_nothing() {
    let bench = Bench::configured();
    bench.ran("one", &[("v1/one", 10)]);
    assert_eq!(bench.status.phase, Phase::Healthy);
    assert_eq!(bench.seen.sets.len(), 1, "the ReplicaSet is the same");
    assert!(!bench.events.contains(&reason::ROLLOUT_STARTED.to_owned()));
    let Workload::Deployment(deployment) = &bench.seen.workload else {
        panic!("no Deployment");
    };
    assert!(!deployment.paused);
}

#[test]
fn changed_configuration_alone_is_a_version_that_goes_by_the_steps() {
    let mut bench = Bench::configured();
    bench.configure(Some("two")).settle();
    // Changes are gathered first.
    bench.ran("one", &[("v1/one", 10)]);
    bench.after(3).settle();
    bench.ran("two", &[("v1/one", 10), ("v1/two", 3)]);
    let candidate = bench.status.candidate.as_ref().unwrap();
    assert!(
        candidate
            .version
            .version
            .starts_with("v1 with configuration ")
    );
    assert!(candidate.version.is_of_template(&template("v1").digest));
    for _ in 0..4 {
        bench.after(121).pass().settle();
    }
    bench.ran("two", &[("v1/two", 10)]);
    assert_eq!(bench.status.phase, Phase::Healthy);
}

#[test]
fn a_template_and_its_configuration_applied_together_are_one_version() {
    let mut bench = Bench::configured();
    bench.configure(Some("two")).settle();
    // The new template carries the old stamp along, as a server-side apply leaves it.
    bench.apply("v2");
    bench.deployment().template = stamped("v2", Some(stamp("one")));
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.waits_for()),
        (Phase::Healthy, reason::CONFIG)
    );
    bench.after(3).settle();
    bench.ran("two", &[("v1/one", 10), ("v2/two", 3)]);
    assert!(!bench.events.contains(&reason::ROLLBACK_STARTED.to_owned()));
}

#[test]
fn rejected_configuration_is_quarantined_until_it_changes() {
    let mut bench = Bench::configured();
    bench.configure(Some("two")).after(3).settle();
    bench.after(10).fail().settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
    bench.ran("two", &[("v1/one", 10)]);
    // Whoever applies it again, also without the stamp.
    bench.apply("v1");
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.waits_for()),
        (Phase::Rejected, reason::QUARANTINED)
    );
    // The content before ends it, and the rejected one starts nothing when it comes back.
    bench.configure(Some("one")).after(3).settle();
    assert_eq!(bench.status.phase, Phase::Healthy);
    bench.configure(Some("two")).after(3).settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
    // Other content gets its canary.
    bench.configure(Some("three")).after(3).settle();
    bench.ran("three", &[("v1/one", 10), ("v1/three", 3)]);
}

#[test]
fn newer_configuration_takes_the_candidates_place() {
    let mut bench = Bench::configured();
    bench.configure(Some("two")).after(3).settle();
    bench.configure(Some("three")).settle();
    bench.ran("two", &[("v1/one", 10), ("v1/two", 3)]);
    bench.after(3).settle();
    bench.ran("three", &[("v1/one", 10), ("v1/three", 3)]);
    let reason = bench.status.rollback.as_ref().unwrap().reason;
    assert_eq!(reason, RollbackReason::Superseded);
}

#[test]
fn a_stamp_that_is_lost_in_mid_canary_or_bake_is_put_back_and_changes_nothing() {
    for passes in [0, 2] {
        let mut bench = Bench::configured();
        bench.configure(Some("two")).after(3).settle();
        for _ in 0..passes {
            bench.after(61).pass().settle();
        }
        let (phase, started) = (bench.status.phase, bench.status.candidate.clone());
        // When a tool writes the whole template anew.
        bench.apply("v1");
        bench.settle();
        assert_eq!(
            (bench.status.phase, &bench.status.candidate),
            (phase, &started)
        );
        assert_eq!(bench.runs().0.as_deref(), Some("two"));
    }
}

#[test]
fn configuration_that_fails_in_the_bake_goes_back_and_is_rejected() {
    let mut bench = Bench::configured();
    bench.configure(Some("two")).after(3).settle();
    for _ in 0..2 {
        bench.after(61).pass().settle();
    }
    assert_eq!(bench.status.phase, Phase::Baking);
    bench.after(10).fail().settle();
    bench.after(10).settle();
    bench.ran("two", &[("v1/one", 10)]);
    assert_eq!(bench.status.phase, Phase::Rejected);
}

#[test]
fn what_belay_wrote_back_is_not_combined_with_the_configuration_that_was_taken_back() {
    let mut bench = Bench::configured();
    bench.configure(Some("two"));
    bench.apply("v2");
    bench.after(3).settle();
    for _ in 0..2 {
        bench.after(61).pass().settle();
    }
    assert_eq!(bench.status.phase, Phase::Baking);
    bench.after(10).fail().settle();
    // The template of the old version is back, and v1 with the new configuration was never asked for by anybody.
    bench.after(600).settle();
    bench.ran("one", &[("v1/one", 10)]);
    assert_eq!(bench.status.phase, Phase::Healthy);
    // New configuration is asked for by somebody.
    bench.configure(Some("three")).after(3).settle();
    bench.ran("three", &[("v1/one", 10), ("v1/three", 3)]);
}

#[test]
fn an_undo_brings_the_configuration_of_the_version_back_too() {
    let mut bench = Bench::configured();
    bench.configure(Some("two")).after(3).settle();
    for _ in 0..4 {
        bench.after(121).pass().settle();
    }
    bench.act(Verb::Undo).settle();
    for _ in 0..2 {
        bench.after(121).pass().settle();
    }
    // What was undone is asked for by the ConfigMap still: that is shown as rejected, with the old one running.
    bench.ran("two", &[("v1/one", 10)]);
    assert_eq!(bench.status.phase, Phase::Rejected);
}

#[test]
fn configuration_that_can_not_be_had_begins_nothing_and_leaves_the_stable_version() {
    let mut bench = Bench::configured();
    bench.seen.config = Config::Unavailable("ConfigMap settings is missing.".to_owned());
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.waits_for()),
        (Phase::Healthy, reason::CONFIG)
    );
    bench.apply("v2");
    bench.settle();
    assert_eq!(bench.waits_for(), reason::CONFIG);
    assert!(!bench.has_set("v2"));
    bench.configure(Some("one")).after(3).settle();
    bench.ran("one", &[("v1/one", 10), ("v2/one", 3)]);
}

#[test]
fn without_configuration_to_follow_the_stamp_goes_without_a_release() {
    let mut bench = Bench::configured();
    bench.configure(None).after(3).settle();
    assert_eq!(bench.runs(), (None, vec![("v1/".to_owned(), 10)]));
    assert_eq!(
        (bench.status.phase, bench.seen.sets.len()),
        (Phase::Healthy, 1)
    );
}

#[test]
fn a_deleted_rollout_takes_its_stamps_with_it() {
    for on_trial in [false, true] {
        let mut bench = Bench::configured();
        if on_trial {
            bench.configure(Some("two")).after(3).settle();
        }
        bench.seen.lifecycle = Lifecycle::Deleting;
        bench.seen.config = Config::AsIs;
        let mut decision = bench.decide();
        for _ in 0..10 {
            for effect in &decision.effects.clone() {
                bench.carry_out(effect);
            }
            bench.roll();
            decision = bench.decide();
            if decision.effects.contains(&Effect::Finish) {
                break;
            }
        }
        assert!(decision.effects.contains(&Effect::Finish));
        assert_eq!(bench.runs(), (None, vec![("v1/".to_owned(), 10)]));
    }
}

#[test]
fn versions_of_before_are_told_from_those_with_configuration() {
    let old: Version =
        serde_json::from_value(json!({"digest": "d", "hash": "h", "version": "v1"})).unwrap();
    assert!(old.is_of_template(&Digest::from_text("d")));
    assert!(!serde_json::to_string(&old).unwrap().contains("bare"));
}

#[test]
fn stable_pods_whose_stamp_disagrees_with_the_records_stay_where_they_are() {
    let mut bench = Bench::configured();
    bench.configure(Some("two")).after(3).settle();
    bench.seen.sets.retain(|set| set.owner == Owner::Deployment);
    // What no controller writes: the stable pods' own ReplicaSet bears the candidate's configuration.
    bench.seen.sets[0].template = stamped("v1", Some(stamp("two")));
    let decision = bench.decide();
    let stays = |effect: &Effect| !matches!(effect, Effect::TakeBack { .. });
    assert!(decision.effects.iter().all(stays), "{:?}", decision.effects);
}
