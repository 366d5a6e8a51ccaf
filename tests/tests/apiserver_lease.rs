//! Leader election on a real API server.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use belay::{
    Error,
    lease::{Candidate, LeaseSettings},
    limits,
};
use belay_lab::{Lab, SharedLab, wait_for};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

static LAB: SharedLab = SharedLab::new();

async fn candidates(prefix: &str) -> (Candidate, Candidate, Api<Lease>) {
    let lab = LAB
        .get(|| Lab::builder().nodes(1))
        .await
        .expect("the lab starts");
    let namespace = lab.namespace(prefix).await.unwrap();
    let candidate = |identity: &str| {
        let settings = LeaseSettings {
            namespace: namespace.clone(),
            name: "belay".to_owned(),
            identity: identity.to_owned(),
        };
        Candidate::new(lab.client().unwrap(), settings)
    };
    let api = Api::namespaced(lab.client().unwrap(), &namespace);
    (candidate("a"), candidate("b"), api)
}

#[tokio::test]
async fn one_of_two_gets_the_lease_and_the_other_gets_it_when_it_is_let_go() {
    let (mut a, mut b, _) = candidates("handover").await;
    let held = a.try_acquire().await.unwrap().expect("nobody holds it");
    assert!(b.try_acquire().await.unwrap().is_none());
    let first = held.term();
    assert!(first.check().is_ok());
    // When the first lets go, it may not act any more, and the second has it at once, with a higher epoch.
    a.release(held).await.unwrap();
    assert!(matches!(first.check(), Err(Error::NotLeading)));
    let second = b
        .try_acquire()
        .await
        .unwrap()
        .expect("it was let go")
        .term();
    assert!(second.epoch() > first.epoch());
}

#[tokio::test]
async fn of_two_that_ask_at_the_same_time_one_gets_it() {
    let (mut a, mut b, _) = candidates("race").await;
    let (one, other) = tokio::join!(a.try_acquire(), b.try_acquire());
    let holders = [one.unwrap(), other.unwrap()].into_iter().flatten().count();
    assert_eq!(holders, 1);
}

#[tokio::test]
async fn a_holder_that_is_gone_is_followed_after_the_lease_and_can_act_no_more() {
    let (mut a, mut b, api) = candidates("gone").await;
    // Given a holder that renews nothing, as if its machine hung.
    // Counted from before the request, as the holder does.
    let began = tokio::time::Instant::now();
    let mut held = a.try_acquire().await.unwrap().unwrap();
    let old = held.term();
    // When the other asks again and again, whatever the clock on the lease says.
    let far_future = json!({"spec": {"renewTime": "2100-01-01T00:00:00.000000Z"}});
    api.patch("belay", &PatchParams::default(), &Patch::Merge(&far_future))
        .await
        .unwrap();
    let taken = loop {
        if let Some(taken) = b.try_acquire().await.unwrap() {
            break taken;
        }
        // A term is counted in whole milliseconds, rounded down.
        let rounding = Duration::from_millis(1);
        assert!(old.check().is_ok() || began.elapsed() + rounding >= limits::LEASE_RENEW_DEADLINE);
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    // Then it gets it after the lease's duration by its own clock, when the old holder may act no more.
    assert!(began.elapsed() > limits::LEASE_DURATION);
    assert!(matches!(old.check(), Err(Error::NotLeading)));
    assert!(taken.term().epoch() > old.epoch());
    // And the old holder, once it runs again, sees that it lost and does not take it back.
    a.keep(&mut held).await;
    let holder = api
        .get("belay")
        .await
        .unwrap()
        .spec
        .unwrap()
        .holder_identity;
    assert_eq!(holder.as_deref(), Some("b"));
}

#[tokio::test]
async fn somebody_elses_edit_of_the_lease_does_not_end_the_term() {
    let (mut a, _, api) = candidates("edit").await;
    let mut held = a.try_acquire().await.unwrap().unwrap();
    let term = held.term();
    let renewed_before = api.get("belay").await.unwrap().spec.unwrap().renew_time;
    let note = json!({"metadata": {"annotations": {"note": "x"}}});
    api.patch("belay", &PatchParams::default(), &Patch::Merge(&note))
        .await
        .unwrap();
    let renewed = wait_for("a renewal", Duration::from_mins(2), || async {
        let now = api.get("belay").await.unwrap().spec.unwrap().renew_time;
        if now == renewed_before {
            Err("not renewed".to_owned())
        } else {
            Ok(())
        }
    });
    tokio::select! {
        () = a.keep(&mut held) => panic!("the term ended"),
        renewed = renewed => renewed.unwrap(),
    }
    assert!(term.check().is_ok());
}
