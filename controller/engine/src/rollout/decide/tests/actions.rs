use super::*;
use crate::{action::Outcome, rollout::status::Track};

fn last(bench: &Bench) -> (Outcome, &str) {
    let receipt = bench.status.actions.last().expect("a receipt");
    (receipt.outcome, receipt.message.as_str())
}

fn canary() -> Bench {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench
}

#[test]
fn every_act_gets_one_receipt_before_it_is_acknowledged() {
    let mut bench = canary();
    let decision = bench.act(Verb::Pause).decide();
    assert_eq!(last(&bench).0, Outcome::Accepted);
    assert!(matches!(
        decision.effects.as_slice(),
        [Effect::Acknowledge(_)]
    ));
    let again = bench.decide();
    assert_eq!(
        (again.effects, bench.status.actions.len()),
        (decision.effects, 1)
    );
}

#[test]
fn a_flood_of_acts_is_taken_up_in_turn_and_never_twice() {
    let mut bench = canary();
    for _ in 0..15 {
        bench.act(Verb::Resume);
    }
    for (number, request) in bench.seen.actions.iter_mut().enumerate() {
        request.uid = format!("flood-{number}");
    }
    bench.decide();
    assert_eq!(bench.status.actions.len(), 10);
    bench.settle();
    assert_eq!(bench.status.actions.len(), 10);
    assert_eq!(
        bench
            .events
            .iter()
            .filter(|event| *event == "ActionRefused")
            .count(),
        15
    );
}

#[test]
fn acts_without_an_object_are_refused_with_a_reason() {
    for verb in [
        Verb::Approve,
        Verb::Promote,
        Verb::Skip,
        Verb::Pause,
        Verb::Resume,
        Verb::Abort,
        Verb::Retry,
        Verb::Undo,
    ] {
        let mut bench = Bench::healthy();
        let before = bench.status.clone();
        bench.act(verb).settle();
        let (outcome, message) = last(&bench);
        assert_eq!(outcome, Outcome::Refused, "{verb:?}");
        assert!(message.ends_with('.'), "{verb:?}: {message}");
        assert_eq!(
            (bench.status.phase, &bench.status.stable),
            (before.phase, &before.stable)
        );
    }
}

#[test]
fn an_act_for_another_version_is_refused() {
    let mut bench = canary();
    bench.act(Verb::Abort);
    bench.seen.actions[0].version = Some(template("v3").digest.short());
    bench.settle();
    assert_eq!(
        (last(&bench).0, bench.status.phase),
        (Outcome::Refused, Phase::Progressing)
    );
    bench.act(Verb::Abort);
    bench.seen.actions[0].version = Some(template("v2").digest.short());
    bench.settle();
    assert_eq!(
        (last(&bench).0, bench.status.phase),
        (Outcome::Accepted, Phase::Rejected)
    );
}

#[test]
fn a_retry_that_names_its_version_counts_before_that_version_is_seen_again() {
    // Given a version that was rejected and is not asked for any more.
    let mut bench = canary();
    bench.after(1).fail().settle();
    bench.apply("v1");
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.status.quarantine.len()),
        (Phase::Healthy, 1)
    );
    // When its retry is seen before its template, then nothing is lost: it is tried as soon as it is seen.
    bench.act(Verb::Retry);
    bench.seen.actions[0].version = Some(template("v2").digest.as_str().to_owned());
    bench.settle();
    assert_eq!(
        (last(&bench).0, bench.status.quarantine.len()),
        (Outcome::Accepted, 0)
    );
    bench.apply("v2");
    bench.settle();
    assert_eq!(bench.status.phase, Phase::Progressing);
}

#[test]
fn a_retry_of_a_version_that_is_not_quarantined_is_refused_and_says_what_is_at_hand() {
    let mut bench = canary();
    bench.after(1).fail().settle();
    bench.act(Verb::Retry);
    bench.seen.actions[0].version = Some(template("v3").digest.short());
    bench.settle();
    let (outcome, message) = last(&bench);
    assert_eq!(outcome, Outcome::Refused);
    assert!(
        message.contains(&template("v2").digest.short()),
        "{message}"
    );
    assert_eq!(bench.status.phase, Phase::Rejected);
}

#[test]
fn a_paused_canary_goes_no_further_but_is_still_taken_back_by_its_gates() {
    let mut bench = canary();
    bench.act(Verb::Pause).settle();
    bench.after(600).pass().settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("1/2"));
    bench.after(1).fail().settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
}

#[test]
fn a_resumed_canary_goes_on() {
    let mut bench = canary();
    bench.act(Verb::Pause).settle();
    bench.after(600).pass().settle();
    bench.act(Verb::Resume).settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
}

#[test]
fn a_skip_ends_the_hold_and_not_the_gates() {
    let mut bench = canary();
    bench.act(Verb::Skip).settle();
    assert_eq!(
        (bench.waits_for(), bench.status.step_text.as_deref()),
        ("Gate", Some("1/2"))
    );
    bench.after(1).pass().settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
}

#[test]
fn a_promote_leaves_out_the_steps_and_keeps_the_gates_on() {
    let mut bench = canary();
    bench.act(Verb::Promote).decide();
    assert_eq!(
        bench.status.candidate.as_ref().unwrap().track,
        Track::Forced
    );
    bench.settle();
    assert_eq!(bench.status.phase, Phase::Baking);
    bench.after(1).fail().settle();
    assert_eq!(
        (bench.status.phase, bench.stable(), bench.pods("v1")),
        (Phase::Healthy, "v1", 10)
    );
}

#[test]
fn an_abort_takes_the_candidate_back_before_and_after_its_promotion() {
    let mut bench = canary();
    bench.act(Verb::Abort).settle();
    assert_eq!(
        (bench.status.phase, bench.status.quarantine.len()),
        (Phase::Rejected, 1)
    );

    let mut bench = canary();
    bench.act(Verb::Promote).settle();
    bench.act(Verb::Abort).settle();
    assert_eq!(
        (
            bench.status.phase,
            bench.pods("v1"),
            bench.status.quarantine.len()
        ),
        (Phase::Healthy, 10, 1)
    );
}

#[test]
fn an_undo_goes_back_to_the_version_before_and_quarantines_the_undone_one() {
    let mut bench = Bench::healthy();
    bench.promote("v2");
    bench.act(Verb::Undo).settle();
    assert_eq!((last(&bench).0, bench.asked()), (Outcome::Accepted, "v1"));
    bench.after(121).pass().settle();
    assert_eq!((bench.status.phase, bench.stable()), (Phase::Healthy, "v1"));
    bench.apply("v2");
    bench.settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
}

#[test]
fn an_undo_that_fails_ends_where_it_began() {
    let mut bench = Bench::healthy();
    bench.promote("v2");
    bench.act(Verb::Undo).settle();
    bench.after(1).fail().settle();
    assert_eq!(
        (bench.status.phase, bench.stable(), bench.pods("v2")),
        (Phase::Healthy, "v2", 10)
    );
    assert_eq!(
        bench.status.quarantine.len(),
        1,
        "the version that failed now: {:?}",
        bench.status.quarantine
    );
}

#[test]
fn an_act_from_before_the_candidate_is_not_about_it() {
    let mut bench = Bench::healthy();
    let before = bench.now;
    bench.after(10).apply("v2");
    bench.settle();
    bench.act(Verb::Promote);
    bench.seen.actions[0].created_at = before;
    bench.decide();
    assert_eq!(
        (last(&bench).0, bench.status.phase),
        (Outcome::Refused, Phase::Progressing)
    );
}

#[test]
fn a_promotion_waits_for_the_canarys_replica_set_to_be_seen() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.decide();
    let decision = bench.act(Verb::Promote).decide();
    assert!(
        matches!(
            decision.effects.as_slice(),
            [
                Effect::CreateCandidate { replicas: 3, .. },
                Effect::Acknowledge(_)
            ]
        ),
        "un-pausing now would make a second ReplicaSet: {:?}",
        decision.effects
    );
}

#[test]
fn an_undo_whose_template_is_cleaned_up_in_between_ends_where_it_began() {
    let mut bench = Bench::healthy();
    bench.promote("v2");
    bench.act(Verb::Undo).decide();
    let digest = template("v1").digest;
    bench.seen.sets.retain(|set| set.template.digest != digest);
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.stable(), bench.asked()),
        (Phase::Healthy, "v2", "v2")
    );
    assert!(bench.status.quarantine.is_empty());
}

#[test]
fn an_undo_is_refused_when_something_new_is_asked_for_at_the_same_moment() {
    let mut bench = Bench::healthy();
    bench.promote("v2");
    bench.apply("v3");
    bench.settle();
    bench.after(10).fail().settle();
    bench.apply("v1");
    bench.act(Verb::Undo).settle();
    assert_eq!(last(&bench).0, Outcome::Refused);
    assert_eq!((bench.status.phase, bench.asked()), (Phase::Baking, "v1"));
}
