//! Signatures on commits and tags, made and checked by the real `gpg` and `ssh-keygen`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

#[path = "support/signing.rs"]
mod signing;

use belay_source::{
    Candidate, GitRef, KeyKind, Signature, SignatureMode, SignaturePolicy, SignedObject,
    SourceError, SourceHub, TrustedKeys,
};
use signing::{Signer, can_sign, keys, processes_about};
use support::{World, main_branch};

async fn candidate(hub: &SourceHub, world: &World, reference: &GitRef) -> Candidate {
    let listing = hub.list(&world.repository()).await.unwrap();
    listing.candidates(reference).unwrap().remove(0)
}

/// Checks what a reference leads to now.
async fn verify(
    hub: &SourceHub,
    world: &World,
    reference: &GitRef,
    mode: SignatureMode,
    keys: &TrustedKeys,
) -> Result<Vec<Signature>, SourceError> {
    let candidate = candidate(hub, world, reference).await;
    let keys = keys.clone();
    hub.verify(
        &world.repository(),
        &candidate,
        &SignaturePolicy { mode, keys },
    )
    .await
}

async fn head(world: &World, keys: &TrustedKeys) -> Result<Vec<Signature>, SourceError> {
    verify(
        &world.hub(),
        world,
        &main_branch(),
        SignatureMode::Head,
        keys,
    )
    .await
}

/// The sentence about a commit that is not accepted; it names the commit.
async fn refusal(world: &World, keys: &TrustedKeys) -> String {
    let error = head(world, keys).await.unwrap_err();
    assert_eq!(error.reason(), "SignatureRefused", "{error}");
    let text = error.to_string();
    assert!(text.contains(world.origin.head().as_str()), "{text}");
    text
}

const COMMIT: [&str; 6] = [
    "commit",
    "--quiet",
    "--allow-empty",
    "--gpg-sign",
    "--message",
    "signed",
];

#[tokio::test]
async fn a_signed_commit_names_its_key_and_leaves_nothing_running_or_lying_about() {
    if !can_sign() {
        return;
    }
    let (world, signer) = (World::new(), Signer::new());
    signer.make_pgp("ada", "0");
    let trusted = keys(&[
        ("ada.asc", &signer.pgp_public("ada")),
        ("bob.pub", &signer.ssh_public()),
    ]);
    signer.git_pgp(&world.origin, "ada", &COMMIT);
    let by_ada = Signature {
        object: SignedObject::Commit,
        kind: KeyKind::Pgp,
        key: signer.fingerprint("ada"),
        signer: "ada <ada@example.com>".into(),
    };
    assert_eq!(head(&world, &trusted).await.unwrap(), [by_ada]);
    signer.git_ssh(&world.origin, &COMMIT);
    let by_bob = Signature {
        object: SignedObject::Commit,
        kind: KeyKind::Ssh,
        key: signer.ssh_fingerprint(),
        signer: "bob".into(),
    };
    assert_eq!(head(&world, &trusted).await.unwrap(), [by_bob]);
    let cache = world.path().join("cache");
    assert_eq!(processes_about(&cache), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(cache.join("scratch")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(cache.join("home")).unwrap().count(), 0);
}

#[tokio::test]
async fn unsigned_and_foreign_commits_are_refused() {
    if !can_sign() {
        return;
    }
    let (world, signer, stranger) = (World::new(), Signer::new(), Signer::new());
    signer.make_pgp("ada", "0");
    stranger.make_pgp("eve", "0");
    let pgp_only = keys(&[("ada.asc", &signer.pgp_public("ada"))]);
    let trusted = keys(&[
        ("ada.asc", &signer.pgp_public("ada")),
        ("bob.pub", &signer.ssh_public()),
    ]);
    world.origin.commit("unsigned");
    assert!(refusal(&world, &trusted).await.contains("not signed"));
    stranger.git_pgp(&world.origin, "eve", &COMMIT);
    let text = refusal(&world, &trusted).await;
    assert!(
        text.contains(&stranger.fingerprint("eve")) && text.contains("not in Secret shop/keys"),
        "{text}"
    );
    stranger.git_ssh(&world.origin, &COMMIT);
    let text = refusal(&world, &trusted).await;
    assert!(
        text.contains(&stranger.ssh_fingerprint()) && text.contains("not in Secret shop/keys"),
        "{text}"
    );
    let text = refusal(&world, &pgp_only).await;
    assert!(text.contains("holds no SSH key"), "{text}");
}

#[tokio::test]
async fn a_signature_moved_to_another_commit_is_refused() {
    if !can_sign() {
        return;
    }
    let (world, signer) = (World::new(), Signer::new());
    signer.make_pgp("ada", "0");
    let trusted = keys(&[
        ("ada.asc", &signer.pgp_public("ada")),
        ("bob.pub", &signer.ssh_public()),
    ]);
    for sign in [0, 1] {
        match sign {
            0 => signer.git_pgp(&world.origin, "ada", &COMMIT),
            _ => signer.git_ssh(&world.origin, &COMMIT),
        }
        let object = world.origin.git(["cat-file", "commit", "HEAD"]);
        world.origin.write(
            ".git/forged",
            format!("{}\n", object.replace("\n\nsigned", "\n\nforged")),
        );
        let forged = world
            .origin
            .git(["hash-object", "-t", "commit", "-w", ".git/forged"]);
        world.origin.git(["reset", "--quiet", "--soft", &forged]);
        let text = refusal(&world, &trusted).await;
        assert!(text.contains("does not fit"), "{text}");
    }
}

#[tokio::test]
async fn expired_and_revoked_keys_do_not_count() {
    if !can_sign() {
        return;
    }
    let (world, signer) = (World::new(), Signer::new());
    signer.make_pgp("ada", "0");
    signer.git_pgp(&world.origin, "ada", &COMMIT);
    assert!(
        head(&world, &keys(&[("ada.asc", &signer.pgp_public("ada"))]))
            .await
            .is_ok()
    );
    signer.revoke("ada");
    let text = refusal(&world, &keys(&[("ada.asc", &signer.pgp_public("ada"))])).await;
    assert!(
        text.contains("revoked") && text.contains(&signer.fingerprint("ada")),
        "{text}"
    );
    // A key that was valid for a day, long ago, and signed within it.
    signer.make_pgp_at("20200101T000000!", "old", "1d");
    let gpg = world.path().join("gpg-in-2020");
    support::write_program(
        &gpg,
        "#!/bin/sh\nexec gpg --faked-system-time '20200101T010000!' \"$@\"\n",
    );
    let then = format!("gpg.program={}", gpg.display());
    signer.git_pgp(
        &world.origin,
        "old",
        &[&["-c", &*then], &COMMIT[..]].concat(),
    );
    let text = refusal(&world, &keys(&[("old.asc", &signer.pgp_public("old"))])).await;
    assert!(
        text.contains("expired") && text.contains(&signer.fingerprint("old")),
        "{text}"
    );
    // The same for SSH.
    signer.git_ssh(&world.origin, &COMMIT);
    let public = signer.ssh_public();
    let past = format!("bob valid-before=\"20200101\" {public}");
    let text = refusal(&world, &keys(&[("allowed_signers", &past)])).await;
    assert!(
        text.contains("expired") && text.contains(&signer.ssh_fingerprint()),
        "{text}"
    );
    let text = refusal(
        &world,
        &keys(&[("bob.pub", &public), ("revoked_keys", &public)]),
    )
    .await;
    assert!(
        text.contains("revoked_keys") && text.contains(&signer.ssh_fingerprint()),
        "{text}"
    );
}

#[tokio::test]
async fn tags_are_checked_with_their_name_and_commit() {
    if !can_sign() {
        return;
    }
    let (world, signer) = (World::new(), Signer::new());
    let trusted = keys(&[("bob.pub", &signer.ssh_public())]);
    world.origin.commit("unsigned");
    signer.git_ssh(&world.origin, &["tag", "--sign", "--message", "one", "v1"]);
    world.origin.git(["tag", "light"]);
    world
        .origin
        .git(["tag", "--annotate", "--message", "x", "plain"]);
    // An old signed tag under a newer name.
    let old = world.origin.git(["rev-parse", "v1"]);
    world.origin.git(["update-ref", "refs/tags/v2", &old]);
    let hub = world.hub();
    let tag = |name: &str| GitRef::tag(name).unwrap();
    let found = verify(&hub, &world, &tag("v1"), SignatureMode::Tag, &trusted)
        .await
        .unwrap();
    assert_eq!((found.len(), found[0].object), (1, SignedObject::Tag));
    let range = GitRef::versions(">=1 <2", "").unwrap();
    assert!(
        verify(&hub, &world, &range, SignatureMode::Tag, &trusted)
            .await
            .is_ok()
    );
    for (name, mode, why) in [
        ("v1", SignatureMode::TagAndHead, "not signed"),
        ("light", SignatureMode::Tag, "no tag object"),
        ("plain", SignatureMode::Tag, "not signed"),
        ("v2", SignatureMode::Tag, "another name"),
    ] {
        let error = verify(&hub, &world, &tag(name), mode, &trusted)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(why), "{name}: {error}");
    }
    signer.git_ssh(&world.origin, &COMMIT);
    signer.git_ssh(
        &world.origin,
        &["tag", "--sign", "--message", "three", "v3"],
    );
    let both = verify(
        &hub,
        &world,
        &tag("v3"),
        SignatureMode::TagAndHead,
        &trusted,
    )
    .await
    .unwrap();
    assert_eq!(both.len(), 2);
}

#[tokio::test]
async fn other_keys_and_another_mode_check_the_same_commit_anew() {
    if !can_sign() {
        return;
    }
    let (world, signer, other) = (World::new(), Signer::new(), Signer::new());
    let (program, calls) = world.counting_git();
    let mut settings = world.settings();
    settings.git_program = program;
    let hub = SourceHub::new(settings).unwrap();
    signer.git_ssh(&world.origin, &COMMIT);
    let (right, wrong) = (
        keys(&[("bob.pub", &signer.ssh_public())]),
        keys(&[("bob.pub", &other.ssh_public())]),
    );
    let main = main_branch();
    let checks = || {
        std::fs::read_to_string(&calls)
            .unwrap()
            .matches("verify-commit")
            .count()
    };
    for _ in 0..3 {
        assert!(
            verify(&hub, &world, &main, SignatureMode::Head, &right)
                .await
                .is_ok()
        );
    }
    assert_eq!(checks(), 1, "the same check is made once");
    assert!(
        verify(&hub, &world, &main, SignatureMode::Head, &wrong)
            .await
            .is_err()
    );
    let both = verify(&hub, &world, &main, SignatureMode::TagAndHead, &right).await;
    assert!(both.is_err(), "a branch has no tag");
}

#[tokio::test]
async fn configuration_of_the_user_and_the_repository_does_not_count() {
    if !can_sign() {
        return;
    }
    let (world, stranger, signer) = (World::new(), Signer::new(), Signer::new());
    stranger.git_ssh(&world.origin, &COMMIT);
    // Given a home whose configuration would accept anything.
    let home = world.path().join("cache/home");
    std::fs::create_dir_all(&home).unwrap();
    let hub = world.hub();
    std::fs::write(
        home.join(".gitconfig"),
        "[gpg \"ssh\"]\n program = /bin/true\n[core]\n hooksPath = /tmp\n",
    )
    .unwrap();
    let trusted = keys(&[("bob.pub", &signer.ssh_public())]);
    let found = verify(&hub, &world, &main_branch(), SignatureMode::Head, &trusted).await;
    assert_eq!(found.unwrap_err().reason(), "SignatureRefused");
    // The configuration inside the local copy is not the server's to write, and what this run gives wins over it.
    let configured = std::process::Command::new("git")
        .args(["config", "gpg.ssh.program", "/bin/true"])
        .current_dir(world.mirror())
        .status()
        .unwrap();
    assert!(configured.success());
    let found = verify(&hub, &world, &main_branch(), SignatureMode::Head, &trusted).await;
    assert_eq!(found.unwrap_err().reason(), "SignatureRefused");
}

#[tokio::test]
async fn a_missing_program_is_no_verdict() {
    if !can_sign() {
        return;
    }
    let (world, signer) = (World::new(), Signer::new());
    signer.make_pgp("ada", "0");
    signer.git_ssh(&world.origin, &COMMIT);
    let mut settings = world.settings();
    settings.ssh_keygen_program = world.path().join("no-such-program");
    settings.gpg_program = world.path().join("no-such-program");
    let hub = SourceHub::new(settings).unwrap();
    for trusted in [
        keys(&[("bob.pub", &signer.ssh_public())]),
        keys(&[
            ("ada.asc", &signer.pgp_public("ada")),
            ("bob.pub", &signer.ssh_public()),
        ]),
    ] {
        let found = verify(&hub, &world, &main_branch(), SignatureMode::Head, &trusted).await;
        assert_eq!(found.unwrap_err().reason(), "ProgramMissing");
    }
}
