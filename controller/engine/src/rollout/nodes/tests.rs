use serde_json::json;

use super::*;
use crate::{digest::Digest, rollout::observed::Pod};

fn revision(name: &str) -> Revision {
    Revision {
        name: name.to_owned(),
        template: Template::new(Digest::of(&json!(name)), None, name.to_owned()),
    }
}

fn crew(revisions: &[&str]) -> Crew {
    let members = revisions.iter().zip(0..).map(|(revision, place)| Member {
        pod: Pod {
            name: format!("agent-{place}"),
            uid: format!("{place}-{revision}"),
            place,
            ready: true,
            available: true,
            terminating: false,
        },
        revision: (*revision).to_owned(),
    });
    Crew {
        members: members.collect(),
        nodes_lost: 0,
    }
}

fn daemon(held: bool, template: &str) -> Daemon {
    Daemon {
        held,
        desired: 3,
        template: Some(revision(template).template),
        total: 3,
        ready: 3,
        available: 3,
        updated: 3,
    }
}

fn known(stable: &'static str) -> Known<'static> {
    Known {
        stable: Some(stable),
        promoted: None,
    }
}

fn shown(sets: &[ReplicaSet]) -> Vec<(&str, Owner, i32, i32)> {
    sets.iter()
        .map(|set| (set.hash.as_str(), set.owner, set.desired, set.total))
        .collect()
}

#[test]
fn held_the_stable_revision_is_its_own_and_the_templates_the_candidates() {
    let revisions = [revision("v1"), revision("v2")];
    let held = daemon(true, "v2");
    let sets = held.sets(&revisions, Some(&crew(&["v1", "v1", "v1"])), known("v1"));
    let own = Owner::Deployment;
    assert_eq!(shown(&sets), [("v1", own, 3, 3), ("v2", own, 0, 0)]);
    let sets = held.sets(&revisions, Some(&crew(&["v1", "v1", "v2"])), known("v1"));
    assert_eq!(
        shown(&sets),
        [("v1", own, 3, 2), ("v2", Owner::Rollout, 1, 1)]
    );
}

#[test]
fn let_go_the_templates_revision_is_its_own_and_the_others_are_on_their_way_out() {
    let revisions = [revision("v1"), revision("v2")];
    let crew = crew(&["v1", "v2", "v2"]);
    let sets = daemon(false, "v2").sets(&revisions, Some(&crew), known("v1"));
    let own = Owner::Deployment;
    assert_eq!(shown(&sets), [("v1", own, 0, 1), ("v2", own, 3, 2)]);
}

#[test]
fn what_bakes_is_its_own_while_a_newer_template_is_held() {
    let revisions = [revision("v1"), revision("v2"), revision("v3")];
    let crew = crew(&["v2", "v2", "v2"]);
    let known = Known {
        promoted: Some("v2"),
        ..known("v1")
    };
    let sets = daemon(true, "v3").sets(&revisions, Some(&crew), known);
    let own = Owner::Deployment;
    assert_eq!(
        shown(&sets),
        [("v1", own, 0, 0), ("v2", own, 3, 3), ("v3", own, 0, 0)]
    );
}

#[test]
fn a_template_that_comes_back_is_its_newest_revision() {
    let revisions = [revision("v1"), revision("v2")];
    let crew = crew(&["v1", "v1", "v2"]);
    let back = daemon(false, "v1");
    let sets = back.sets(&revisions, Some(&crew), known("v1"));
    assert_eq!(shown(&sets)[0], ("v1", Owner::Deployment, 3, 2));
}

#[test]
fn nodes_that_are_not_ready_do_not_count() {
    let mut crew = crew(&["v1", "v1"]);
    crew.nodes_lost = 1;
    let mut agent = daemon(false, "v1");
    agent.available = 2;
    assert!(!agent.is_uniform());
    let sets = agent.sets(&[revision("v1")], Some(&crew), known("v1"));
    assert_eq!(shown(&sets), [("v1", Owner::Deployment, 2, 2)]);
}

#[test]
fn at_rest_nobody_looks_at_the_pods() {
    let idle = daemon(false, "v1");
    assert!(idle.is_uniform());
    let sets = idle.sets(&[revision("v1")], None, known("v1"));
    assert_eq!(shown(&sets), [("v1", Owner::Deployment, 3, 3)]);
    assert!(!daemon(true, "v1").is_uniform());
}
