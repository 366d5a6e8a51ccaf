//! StatefulSets that can't be moved; how the others move is played by the simulator.

use super::*;

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
