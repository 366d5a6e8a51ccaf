use super::*;

/// A Rollout in the middle of its second step.
fn progressing() -> Rollout {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "belay.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "checkout", "namespace": "shop", "creationTimestamp": "2026-11-01T09:00:00Z"},
        "spec": {
            "workloadRef": {"name": "checkout"},
            "strategy": {"canary": {"steps": [
                {"weight": 5, "hold": "2m"},
                {"weight": 25, "hold": "5m", "approval": true},
                {"replicas": "60%"},
            ]}},
            "verification": {"afterPromotion": {"bake": "10m"}},
        },
        "status": {
            "observedGeneration": 1,
            "phase": "Progressing",
            "phaseSince": "2026-11-01T11:50:00Z",
            "stable": {"digest": "aa", "hash": "bcdfghjklm", "version": "v1"},
            "candidate": {"digest": "bb", "hash": "nqprstbcdf", "version": "v2", "startedAt": "2026-11-01T11:50:00Z"},
            "step": {"index": 1, "enteredAt": "2026-11-01T11:56:00Z", "readyAt": "2026-11-01T11:56:50Z"},
            "asked": {"uid": "1", "digest": "bb", "generation": 4},
            "stepText": "2/3",
            "weightPercent": 25,
            "candidateReplicas": 4,
            "verdict": "Pass",
            "gates": [
                {"name": "http-errors/ratio", "verdict": "Pass", "passes": 12, "failures": 0, "consecutiveUnknown": 0, "value": "0.002",
                 "message": "0.002 is at most 0.01."},
                {"name": "latency/p99", "verdict": "NoData", "passes": 0, "failures": 0, "consecutiveUnknown": 3, "dryRun": true},
            ],
            "waitingFor": {"reason": "Hold", "message": "Step 2/3 holds until 12:01:50.", "since": "2026-11-01T11:56:50Z"},
        },
    }))
    .unwrap()
}

/// The same after a gate failed and the candidate was taken away.
fn rejected() -> Rollout {
    let mut rollout = progressing();
    let status = rollout.status.as_mut().unwrap();
    status.phase = Phase::Rejected;
    let candidate = status.candidate.take().unwrap();
    status.step = None;
    status.step_text = None;
    status.weight_percent = None;
    status.candidate_replicas = None;
    status.gates.clear();
    status.verdict = None;
    status.rollback = Some(serde_json::from_value(serde_json::json!({
        "from": candidate.version, "reason": "GateFailed", "message": "http-errors/ratio: 0.3 is above 0.01.", "at": "2026-11-01T11:57:00Z",
    })).unwrap());
    status.waiting_for = Some(serde_json::from_value(serde_json::json!({
        "reason": "Quarantined", "message": "v2 is quarantined; new content or a retry ends this.", "since": "2026-11-01T11:57:10Z",
    })).unwrap());
    rollout
}

fn view(rollout: &Rollout) -> String {
    let now = "2026-11-01T11:58:00Z".parse().unwrap();
    rollout.view(now, Style::default()).join(
        "
",
    )
}

#[test]
fn the_view_of_a_canary_shows_versions_steps_gates_and_what_it_waits_for() {
    let expected = "\
Rollout shop/checkout  Progressing for 8m
  stable      v1 (bcdfghjklm)
  candidate   v2 (nqprstbcdf)  started 8m ago
  weight      25 % on 4 pods of the candidate

  [x] 1  weight 5 %, hold 2m
  [>] 2  weight 25 %, hold 5m, approval   ready for 1m10s, 3m50s of the hold left, needs approval
  [ ] 3  60% of the pods
  [ ]    promotion
  [ ]    bake 10m

  GATE                VERDICT            PASSES   FAILURES   VALUE   MESSAGE
  http-errors/ratio   Pass               12       0          0.002   0.002 is at most 0.01.
  latency/p99         NoData (dry run)   0        0

  waiting for Step 2/3 holds until 12:01:50. (1m10s)";
    assert_eq!(view(&progressing()), expected);
}

#[test]
fn the_view_of_a_rejected_version_says_why_and_what_would_end_it() {
    let expected = "\
Rollout shop/checkout  Rejected for 8m
  stable      v1 (bcdfghjklm)

  waiting for v2 is quarantined; new content or a retry ends this. (50s)
  rolled back http-errors/ratio: 0.3 is above 0.01. (GateFailed, 1m ago)";
    assert_eq!(view(&rejected()), expected);
}

#[test]
fn a_rollout_that_nobody_has_looked_at_yet_has_a_view() {
    let mut rollout = progressing();
    rollout.status = None;
    assert_eq!(view(&rollout), "Rollout shop/checkout  Pending");
}

#[test]
fn a_bypassed_hold_and_a_pause_are_told() {
    let mut rollout = progressing();
    let status = rollout.status.as_mut().unwrap();
    status.candidate.as_mut().unwrap().track = Track::Bypassed;
    status.phase = Phase::Promoting;
    status.paused = Some(
        serde_json::from_value(serde_json::json!({"by": "ana", "at": "2026-11-01T11:57:00Z"}))
            .unwrap(),
    );
    let view = view(&rollout);
    assert!(view.contains("somebody un-paused the workload"), "{view}");
    assert!(view.contains("paused      by ana, 1m ago"), "{view}");
    assert!(
        view.contains("[-] 3  60% of the pods\n  [>]    promotion"),
        "{view}"
    );
}

#[test]
fn a_bake_shows_what_is_left_of_it() {
    let mut rollout = progressing();
    let status = rollout.status.as_mut().unwrap();
    status.phase = Phase::Baking;
    status.phase_since = Some("2026-11-01T11:55:00Z".parse().unwrap());
    status.step = None;
    let view = view(&rollout);
    assert!(view.contains("[x] 1  weight 5 %, hold 2m\n"), "{view}");
    assert!(view.contains("[x]    promotion\n"), "{view}");
    assert!(view.contains("[>]    bake 10m"), "{view}");
    assert!(view.contains("7m left"), "{view}");
    assert!(view.contains("weight      25 %\n"), "{view}");
}

#[test]
fn the_headline_changes_only_when_something_happens() {
    let rollout = progressing();
    assert_eq!(
        rollout.headline(),
        "Progressing · step 2/3 · 25 % · verdict Pass · stable v1 · candidate v2 · Step 2/3 holds until 12:01:50."
    );
}

#[test]
fn an_act_is_meant_for_the_version_that_is_on_trial() {
    let rollout = progressing();
    for verb in [
        Verb::Approve,
        Verb::Promote,
        Verb::Skip,
        Verb::Pause,
        Verb::Resume,
        Verb::Abort,
    ] {
        assert_eq!(rollout.version_for(verb).as_deref(), Some("nqprstbcdf"));
    }
    assert_eq!(
        rollout.version_for(Verb::Undo).as_deref(),
        Some("bcdfghjklm")
    );
    let asked = rollout.status.clone().unwrap().asked.unwrap().digest;
    assert_eq!(rollout.version_for(Verb::Retry), Some(asked.short()));
}

#[test]
fn the_history_tells_versions_rejections_and_acts() {
    let mut rollout = rejected();
    let status = rollout.status.as_mut().unwrap();
    status.quarantine = serde_json::from_value(serde_json::json!([
        {"digest": "0123456789abcdef", "version": "v2", "reason": "too many errors", "since": "2026-11-01T11:57:00Z"},
    ])).unwrap();
    status.actions = serde_json::from_value(serde_json::json!([
        {"uid": "1", "name": "a", "verb": "Approve", "actor": "ana", "outcome": "Accepted", "message": "Step 1 is approved.", "at": "2026-11-01T11:53:00Z"},
    ])).unwrap();
    let now = "2026-11-01T11:58:00Z".parse().unwrap();
    let expected = "\
VERSIONS, OLDEST FIRST
  VERSION   HASH         STATE
  v1        bcdfghjklm   stable
QUARANTINE
  VERSION   HASH         REJECTED   WHY
  v2        bcdfghjklm   1m ago     too many errors
ACTS
  WHEN     ACT       BY    OUTCOME    MESSAGE
  5m ago   approve   ana   Accepted   Step 1 is approved.";
    assert_eq!(
        rollout
            .history(&Reasons::new(), now, Style::default())
            .join("\n"),
        expected
    );
}
