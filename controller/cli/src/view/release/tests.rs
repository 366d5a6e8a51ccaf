use super::*;

const COMMIT: &str = "main@sha1:1f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c";

fn release(status: &serde_json::Value) -> Release {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "belay.dev/v1alpha1",
        "kind": "Release",
        "metadata": {"name": "shop", "namespace": "shop", "creationTimestamp": "2026-11-01T09:00:00Z"},
        "spec": {
            "source": {"git": {"url": "https://git.example.com/shop.git", "ref": {"branch": "main"}}},
            "serviceAccountName": "deployer",
        },
        "status": status,
    }))
    .unwrap()
}

fn verifying() -> Release {
    let new = serde_json::json!({"digest": "aa", "revision": COMMIT, "subject": "Raise the limit"});
    let mut target = new.clone();
    target["startedAt"] = "2026-11-01T11:50:00Z".into();
    target["appliedAt"] = "2026-11-01T11:50:05Z".into();
    release(&serde_json::json!({
        "phase": "Verifying", "phaseSince": "2026-11-01T11:50:05Z",
        "asked": new, "target": target,
        "verified": {"digest": "bb", "revision": "main@sha1:00112233445566", "at": "2026-11-01T09:58:00Z"},
        "history": [{"digest": "bb", "revision": "main@sha1:00112233445566", "at": "2026-11-01T09:58:00Z"}],
        "workloads": [{"namespace": "shop", "name": "cart", "digest": "cc"}, {"namespace": "shop", "name": "checkout", "digest": "dd"}],
        "waitingFor": {"reason": "Rollouts", "message": "Rollout shop/checkout is at step 1/3.", "since": "2026-11-01T11:51:00Z"},
    }))
}

fn view(release: &Release) -> String {
    let now = "2026-11-01T11:58:00Z".parse().unwrap();
    release.view(now, Style::default()).join("\n")
}

#[test]
fn the_view_shows_what_is_asked_for_what_runs_and_what_is_verified() {
    let expected = "\
Release shop/shop  Verifying for 7m55s
  asked for   main@sha1:1f0c2b3a4d \"Raise the limit\"
  running     main@sha1:1f0c2b3a4d \"Raise the limit\"  begun 8m ago
  verified    main@sha1:0011223344  2h ago
  workloads   shop/cart, shop/checkout

  [x] applied                             7m55s ago
  [>] healthy, Rollouts passed

  waiting for Rollout shop/checkout is at step 1/3. (7m)";
    assert_eq!(view(&verifying()), expected);
}

#[test]
fn broken_content_and_a_source_that_is_gone_are_told_with_their_reasons() {
    let release = release(&serde_json::json!({
        "phase": "Refused",
        "refused": {"revision": COMMIT, "message": "deploy/web.yaml: no such kind", "since": "2026-11-01T11:57:00Z", "generation": 1},
        "source": {"since": "2026-11-01T11:56:00Z", "message": "git.example.com does not answer"},
    }));
    let view = view(&release);
    assert!(
        view.contains("refused     main@sha1:1f0c2b3a4d: deploy/web.yaml: no such kind (1m)"),
        "{view}"
    );
    assert!(
        view.contains("source      git.example.com does not answer (2m)"),
        "{view}"
    );
}

#[test]
fn an_act_is_meant_for_what_runs_and_a_retry_for_what_is_asked_for() {
    let release = verifying();
    let status = release.status.clone().unwrap();
    let running = status.target.unwrap().content.digest.short();
    assert_eq!(release.version_for(Verb::Abort), Some(running));
    assert_eq!(
        release.version_for(Verb::Retry),
        Some(status.asked.unwrap().digest.short())
    );
}

#[test]
fn the_headline_and_the_history_name_short_revisions() {
    let release = verifying();
    assert_eq!(
        release.headline(),
        "Verifying · asked main@sha1:1f0c2b3a4d · verified main@sha1:0011223344 · Rollout shop/checkout is at step 1/3."
    );
    let now = "2026-11-01T11:58:00Z".parse().unwrap();
    let history = release
        .history(&Reasons::new(), now, Style::default())
        .join("\n");
    assert!(history.contains("main@sha1:0011223344"), "{history}");
    assert!(history.contains("2h ago"), "{history}");
}

#[test]
fn the_history_tells_how_long_versions_took_and_stood_and_why_people_acted() {
    let release = release(&serde_json::json!({
        "history": [
            {"digest": "aa", "revision": "main@sha1:aaaa", "at": "2026-11-01T08:00:00Z", "startedAt": "2026-11-01T07:50:00Z"},
            {"digest": "bb", "revision": "main@sha1:bbbb", "at": "2026-11-01T10:00:00Z"},
        ],
        "rollback": {
            "from": {"digest": "cc", "revision": "main@sha1:cccc"}, "to": {"digest": "bb", "revision": "main@sha1:bbbb"},
            "reason": "Unhealthy", "message": "Deployment shop/web crashes", "at": "2026-11-01T11:00:00Z",
        },
        "actions": [{"uid": "u1", "name": "a", "verb": "Undo", "actor": "ana", "outcome": "Accepted", "message": "done", "at": "2026-11-01T10:30:00Z"}],
    }));
    let reasons = Reasons::from([("u1".to_owned(), "too slow".to_owned())]);
    let now = "2026-11-01T12:00:00Z".parse().unwrap();
    let lines = release.history(&reasons, now, Style::default());
    let row = |start: &str| {
        let found = lines
            .iter()
            .find(|line| line.trim_start().starts_with(start));
        found
            .unwrap_or_else(|| panic!("no {start} in {lines:#?}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(row("main@sha1:aaaa").ends_with("4h ago 10m 2h"));
    assert!(row("main@sha1:bbbb").ends_with("2h ago 2h so far"));
    assert_eq!(
        row("main@sha1:cccc"),
        "main@sha1:cccc main@sha1:bbbb 1h ago Unhealthy Deployment shop/web crashes"
    );
    assert!(row("1h30m").ends_with("undo ana Accepted done too slow"));
}
