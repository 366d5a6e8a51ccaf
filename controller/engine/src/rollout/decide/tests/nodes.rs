//! DaemonSets: what is refused, and how many nodes a step takes; how they move is played by the simulator.

use super::*;

fn daemon_set(bench: &mut Bench) -> &mut Deployment {
    let workload = bench.deployment();
    workload.kind = Kind::DaemonSet;
    workload.max_unavailable = 1;
    workload
}

fn refused(change: impl FnOnce(&mut Deployment)) -> String {
    let mut bench = Bench::healthy();
    change(daemon_set(&mut bench));
    let conditions = bench.decide().status.conditions;
    let stalled = conditions
        .into_iter()
        .find(|condition| condition.kind == "Stalled");
    stalled.map_or_else(String::new, |condition| condition.message)
}

#[test]
fn a_daemon_set_that_cannot_be_moved_says_what_to_change() {
    assert_eq!(refused(|_| {}), "");
    assert_eq!(refused(|workload| workload.replicas = 1), "");
    let surging = refused(|workload| workload.max_unavailable = 0);
    assert!(surging.contains("maxSurge to 0"), "{surging}");
    let forgetful = refused(|workload| workload.revision_history_limit = 0);
    assert!(
        forgetful.contains("spec.revisionHistoryLimit"),
        "{forgetful}"
    );
}

#[test]
fn a_step_leaves_one_node_unless_there_is_only_one() {
    let mut bench = Bench::healthy();
    let step = bench.plan.as_ref().unwrap().steps[0].clone();
    let all = Step {
        share: Share::ReplicasPercent(100),
        ..step
    };
    let workload = daemon_set(&mut bench);
    for (nodes, taken) in [(0, 0), (1, 1), (2, 1), (10, 9)] {
        workload.replicas = nodes;
        assert_eq!(workload.step_pods(&all), taken);
    }
}

#[test]
fn a_rejected_template_that_is_held_tells_who_gets_it_all_the_same() {
    let mut bench = Bench::healthy();
    daemon_set(&mut bench);
    bench.status.quarantine.push(crate::quarantine::Entry {
        digest: template("v2").digest,
        version: "v2".to_owned(),
        reason: "it failed".to_owned(),
        since: bench.now,
        cause: crate::quarantine::Cause::default(),
        bare: None,
    });
    bench.apply("v2");
    let status = bench.decide().status;
    assert_eq!(status.phase, Phase::Rejected);
    let waits = status.waiting_for.unwrap().message;
    assert!(waits.contains("nodes that join"), "{waits}");
}
