//! The verified commit is published, and a Git server that can't be written changes nothing else.

use std::time::Duration;

use super::{
    truth,
    world::{World, content},
};
use crate::{
    action::Verb,
    condition::Truth,
    release::{
        observed::{Fault, Task},
        publish::{Publication, Publish, State},
        status::Phase,
    },
};

impl World {
    /// Carries the effect out.
    pub(super) fn publish(&mut self, reference: &str, commit: &str, ours: Option<&str>) -> bool {
        self.troubles.retain(|t| t.task != Task::Publish);
        if let Some(message) = self.push_failure.clone() {
            let verified = self.status.verified.clone().unwrap();
            self.trouble(Task::Publish, &verified.content, Fault::Passing, message);
            return false;
        }
        let ours = ours.unwrap_or("nothing");
        self.log.push(format!("publish {commit} over {ours}"));
        self.publication = Some(Publication {
            reference: reference.to_owned(),
            commit: commit.to_owned(),
            state: match self.somebody_published.clone() {
                None => State::Done,
                Some(newer) => State::Newer(newer),
            },
        });
        true
    }
}

fn publishing(minutes: u64) -> World {
    let mut world = World::default();
    world.plan.composition.publish = Some(Publish {
        reference: "refs/heads/env/prod".into(),
        verified_for: Duration::from_mins(minutes),
    });
    world
}

fn published(world: &World) -> Option<&str> {
    let known = world.status.published.as_ref();
    known.map(|known| known.commit.as_str())
}

#[test]
fn a_verified_commit_is_published_once_and_a_failed_one_never() {
    let mut world = publishing(0);
    world.ask("a");
    world.settle();
    assert_eq!(world.log.last().unwrap(), "publish a over nothing");
    assert_eq!(published(&world), Some("a"));
    assert_eq!(truth(&world, "Published"), Some(Truth::True));
    world.restart();
    world.bad.insert("b".into());
    world.ask("b");
    world.log.clear();
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    assert!(!world.log.iter().any(|line| line.starts_with("publish")));
}

#[test]
fn what_is_undone_is_taken_back_there_too() {
    let mut world = publishing(0);
    world.ask("a");
    world.settle();
    world.ask("b");
    world.settle();
    assert_eq!(published(&world), Some("b"));
    world.act(Verb::Undo);
    world.settle();
    assert_eq!(published(&world), Some("a"));
    assert!(world.log.contains(&"publish a over b".to_owned()));
}

#[test]
fn it_is_published_when_it_has_been_verified_for_long_enough() {
    let mut world = publishing(60);
    world.ask("a");
    world.settle();
    let verified_at = world.status.verified.as_ref().unwrap().at;
    world.pass_time(59 * 60);
    let wake_at = world.step();
    assert_eq!(published(&world), None);
    assert_eq!(
        wake_at,
        Some(verified_at + jiff::SignedDuration::from_mins(60))
    );
    world.pass_time(60);
    world.settle();
    assert_eq!(published(&world), Some("a"));
}

#[test]
fn an_outage_is_a_condition_and_no_failure_of_the_version() {
    let mut world = publishing(0);
    world.push_failure = Some("the server takes nothing".into());
    world.ask("a");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert_eq!(truth(&world, "Ready"), Some(Truth::True));
    assert_eq!(truth(&world, "Published"), Some(Truth::False));
    world.ask("b");
    world.settle();
    assert_eq!(
        world.status.verified.as_ref().unwrap().content,
        content("b")
    );
    world.push_failure = None;
    world.pass_time(60);
    world.settle();
    assert_eq!(published(&world), Some("b"));
    assert_eq!(truth(&world, "Published"), Some(Truth::True));
}

#[test]
fn what_somebody_else_put_there_later_is_said_and_not_counted_as_ones_own() {
    let mut world = publishing(0);
    world.somebody_published = Some("f".into());
    world.ask("a");
    world.settle();
    let known = world.status.published.clone().unwrap();
    assert_eq!(known.newer.as_deref(), Some("f"));
    world.somebody_published = None;
    world.ask("b");
    world.settle();
    assert_eq!(world.log.last().unwrap(), "publish b over nothing");
}

#[test]
fn a_newer_commit_with_the_same_content_is_published_as_well() {
    let mut world = publishing(0);
    world.ask("a");
    world.settle();
    let mut renamed = content("a");
    renamed.revision = "main@sha1:later".into();
    world.asked = crate::release::observed::Asked::Content(renamed);
    world.settle();
    assert_eq!(published(&world), Some("later"));
}
