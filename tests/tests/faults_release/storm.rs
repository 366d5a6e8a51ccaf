//! Fifty failures in a row, between the API server, Git and the program that renders, and of the controller itself.
//!
//! Left out: what each of them does alone, which the tests of sources, renders and outages show.

use std::{collections::BTreeSet, time::Duration};

use belay_engine::release::Phase;
use belay_lab::{Part, wait_for};
use belay_tests::{
    installed::Controller,
    moments::{moments, until_a_moment},
    tenant::Tenant,
    turns::Turn,
};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use rand::{RngExt as _, rngs::StdRng, seq::SliceRandom as _};

use super::{SOON, named, only_these_are_left, release_unasked, renderer_flag, replace, turn};

/// What fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    ControllerKilled,
    ApiServerKilled,
    ApiServerHangs,
    GitAway,
    BuildsKilled,
}

/// How often each; fifty together.
const FAULTS: [(Fault, usize); 5] = [
    (Fault::ControllerKilled, 12),
    (Fault::ApiServerKilled, 6),
    (Fault::ApiServerHangs, 8),
    (Fault::GitAway, 12),
    (Fault::BuildsKilled, 12),
];

/// A tenant, and the files of its newest commit.
struct Shop {
    tenant: Tenant,
    files: Vec<(String, String)>,
    commit: String,
}

impl Shop {
    /// Maps as they are, or as Kustomize builds them.
    async fn open(turn: &Turn, name: &str) -> Self {
        let tenant = Tenant::create(turn.lab, name).await.unwrap();
        let files = content(name, 0, 0);
        let commit = replace(&tenant, &[], &files, "Open").await;
        release_unasked(&tenant).await;
        Self {
            tenant,
            files,
            commit,
        }
    }

    async fn change(&mut self, name: &str, round: usize, random: &mut StdRng) {
        let next = content(name, random.random_range(0..10), round);
        self.commit = replace(&self.tenant, &self.files, &next, &format!("{round}")).await;
        self.files = next;
    }
}

/// Some maps with this round's value; with a kustomization where Kustomize is to build.
fn content(shop: &str, from: usize, round: usize) -> Vec<(String, String)> {
    let mut files = named(from..from + 8, &round.to_string());
    if shop == "built" {
        let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        let kustomization = format!("resources: [{}]\n", paths.join(", "));
        files.push(("kustomization.yaml".to_owned(), kustomization));
    }
    files
}

fn fifty(random: &mut StdRng) -> Vec<Fault> {
    let mut faults: Vec<Fault> = FAULTS
        .iter()
        .flat_map(|(fault, count)| std::iter::repeat_n(*fault, *count))
        .collect();
    faults.shuffle(random);
    faults
}

/// Lets something fail for a while.
async fn fail(turn: &Turn, fault: Fault, controller: Controller, pause: Duration) -> Controller {
    match fault {
        Fault::ControllerKilled => {
            controller.kill().await.unwrap();
            return turn.controller("storm").await.unwrap();
        }
        Fault::ApiServerKilled => {
            turn.lab.kill(Part::ApiServer).await.unwrap();
            tokio::time::sleep(pause).await;
            turn.lab.start(Part::ApiServer).await.unwrap();
        }
        Fault::ApiServerHangs => {
            turn.lab.freeze(Part::ApiServer).unwrap();
            tokio::time::sleep(pause).await;
            turn.lab.thaw(Part::ApiServer).unwrap();
        }
        Fault::GitAway => {
            turn.lab.stop(Part::Git).await.unwrap();
            tokio::time::sleep(pause).await;
            turn.lab.start(Part::Git).await.unwrap();
        }
        Fault::BuildsKilled => {
            std::fs::write(renderer_flag(), "").unwrap();
            tokio::time::sleep(pause).await;
            std::fs::remove_file(renderer_flag()).unwrap();
        }
    }
    controller
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_failures_of_cluster_git_renderer_and_controller_end_in_the_right_state() {
    let mut random = moments("storm");
    let turn = turn().await;
    let mut controller = turn.acting("storm").await.unwrap();
    let names = ["plain", "built"];
    let mut shops = Vec::new();
    for name in names {
        shops.push(Shop::open(&turn, name).await);
    }
    for (round, fault) in fifty(&mut random).into_iter().enumerate() {
        // Each time something else is asked for: some objects leave, some come, all change.
        for (shop, name) in shops.iter_mut().zip(names) {
            shop.change(name, round + 1, &mut random).await;
        }
        until_a_moment(&mut random, Duration::from_millis(1_500)).await;
        let pause = Duration::from_millis(random.random_range(100..1_500));
        println!("{round}: {fault:?} for {pause:?}");
        controller = fail(&turn, fault, controller, pause).await;
    }
    // When everything works again, then each ends with the last commit's objects, with its values,
    for shop in &shops {
        let Shop { tenant, commit, .. } = shop;
        let status = tenant.phase(Phase::Verified, commit, SOON).await.unwrap();
        let wanted = only_these_are_left(tenant, &shop.files).await;
        for name in &wanted {
            let value = tenant.value(name, "value").await.unwrap();
            assert_eq!(value.as_deref(), Some("50"), "{name}");
        }
        // and no outage was taken for a verdict.
        assert!(status.quarantine.is_empty(), "{:?}", status.quarantine);
        assert_eq!(status.rollback, None);
        nothing_was_rejected(tenant).await;
    }
    controller.terminate().await.unwrap();
}

/// No event tells of a version that was refused or taken back.
async fn nothing_was_rejected(tenant: &Tenant) {
    let verdicts = [
        "RolledBack",
        "RollingBack",
        "Rejected",
        "Refused",
        "Quarantined",
    ];
    wait_for("the events", SOON, || async {
        let events = tenant.api::<Event>().list(&ListParams::default()).await;
        let events = events.map_err(|error| error.to_string())?;
        let told = events.iter().filter_map(|event| event.reason.as_deref());
        let told: BTreeSet<&str> = told.collect();
        if told.is_empty() {
            return Err("there is none".to_owned());
        }
        let bad: Vec<_> = verdicts
            .iter()
            .filter(|reason| told.contains(**reason))
            .collect();
        assert!(bad.is_empty(), "{bad:?} among {told:?}");
        Ok(())
    })
    .await
    .unwrap();
}
