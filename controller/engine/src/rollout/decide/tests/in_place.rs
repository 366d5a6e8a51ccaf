//! StatefulSets that can't be moved, and configuration of pods that take places; how the others move is played by the simulator.

use super::{config::stamp, *};
use crate::quarantine::Entry;

fn refused(change: impl FnOnce(&mut Deployment)) -> String {
    let mut bench = Bench::healthy();
    let workload = bench.deployment();
    workload.kind = Kind::StatefulSet;
    workload.max_unavailable = 1;
    change(workload);
    let decision = bench.decide();
    let stalled = decision
        .status
        .conditions
        .into_iter()
        .find(|condition| condition.kind == "Stalled");
    stalled.map_or_else(String::new, |condition| condition.message)
}

#[test]
fn a_stateful_set_that_cannot_be_moved_says_what_to_change() {
    assert_eq!(refused(|_| {}), "");
    let single = refused(|workload| workload.replicas = 1);
    assert!(single.contains("spec.replicas to at least 2"), "{single}");
    let by_hand = refused(|workload| workload.recreate = true);
    assert!(by_hand.contains("OnDelete"), "{by_hand}");
    let forgetful = refused(|workload| workload.revision_history_limit = 0);
    assert!(
        forgetful.contains("spec.revisionHistoryLimit"),
        "{forgetful}"
    );
}

/// A workload whose stable version carries this configuration, or none, while that of the cluster is `live`.
fn reading(kind: Kind, noted: Option<&str>, live: &str) -> Bench {
    let mut bench = Bench::healthy();
    let noted = stamped("v1", noted);
    bench.set("v1").template = noted.clone();
    let workload = bench.deployment();
    (workload.kind, workload.max_unavailable) = (kind, 1);
    workload.template = noted;
    bench.configure(Some(live)).after(60);
    bench
}

fn stamped(version: &str, noted: Option<&str>) -> Template {
    let bare = template(version).bare;
    Template::new(bare, noted.map(stamp), version.to_owned())
}

/// What is written on the template, and nothing on that of a revision.
fn writes(bench: &mut Bench) -> Vec<Option<Stamp>> {
    let written = |effect| match effect {
        Effect::Stamp { stamp, .. } => Some(stamp),
        Effect::StampSet { .. } => panic!("a revision never changes"),
        _ => None,
    };
    let effects = bench.decide().effects.into_iter();
    effects.filter_map(written).collect()
}

#[test]
fn the_first_stamp_of_pods_that_take_places_comes_with_the_next_template() {
    for kind in [Kind::StatefulSet, Kind::DaemonSet] {
        // Given a workload without a stamp, then a change of its configuration restarts nothing.
        let mut bench = reading(kind, None, "two");
        assert_eq!(writes(&mut bench), []);
        assert_eq!(bench.decide().status.phase, Phase::Healthy);
        // When another template comes, then its configuration is part of it.
        bench.apply("v2");
        bench.after(60);
        assert_eq!(writes(&mut bench), [Some(stamp("two"))]);
    }
}

#[test]
fn a_tool_that_goes_back_to_a_version_without_a_stamp_gets_that_version() {
    for kind in [Kind::StatefulSet, Kind::DaemonSet] {
        let mut bench = reading(kind, None, "two");
        // When a tool writes the stable template, and leaves the annotation of the version in between.
        bench.apply("v1");
        bench.deployment().template = stamped("v1", Some("one"));
        // Then it is taken off, and what is left is the stable template.
        assert_eq!(writes(&mut bench), [None]);
        bench.deployment().template = stamped("v1", None);
        assert_eq!(writes(&mut bench), []);
    }
}

#[test]
fn a_change_of_configuration_is_a_version_once_the_stable_one_has_a_stamp() {
    for kind in [Kind::StatefulSet, Kind::DaemonSet] {
        let mut bench = reading(kind, Some("one"), "two");
        assert_eq!(writes(&mut bench), [Some(stamp("two"))]);
        // Rejected, it stays held on a StatefulSet; a DaemonSet's pods would be made of it.
        let rejected = stamped("v1", Some("two"));
        bench.status.quarantine.push(Entry {
            digest: rejected.digest,
            version: rejected.version,
            reason: "the gate failed".to_owned(),
            since: bench.now,
            cause: crate::quarantine::Cause::default(),
            bare: Some(rejected.bare),
        });
        let noted = usize::from(kind == Kind::StatefulSet);
        assert_eq!(writes(&mut bench).len(), noted);
    }
}
