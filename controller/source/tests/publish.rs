//! A name that follows good commits, while others write it too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

mod support;

use belay_source::{GitRef, Oid, Publication, SourceError, SourceHub};
use support::{World, write_program};

const NAME: &str = "refs/heads/env/prod";

struct Setup {
    world: World,
    commits: Vec<Oid>,
}

impl Setup {
    /// A repository with a line of four commits.
    fn new() -> Self {
        let world = World::new();
        let commits =
            ["one", "two", "three", "four"].map(|name| world.origin.commit_config("a.yaml", name));
        Self {
            world,
            commits: commits.into(),
        }
    }

    fn commit(&self, number: usize) -> &Oid {
        self.commits.get(number - 1).unwrap()
    }

    async fn publish(
        &self,
        hub: &SourceHub,
        number: usize,
        ours: Option<usize>,
    ) -> Result<Publication, SourceError> {
        let ours = ours.map(|ours| self.commit(ours));
        let (repository, name) = (self.world.repository(), GitRef::named(NAME).unwrap());
        hub.publish(&repository, &name, self.commit(number), ours)
            .await
    }

    fn somebody_puts(&self, commit: &Oid) {
        self.world.origin.git(["update-ref", NAME, commit.as_str()]);
    }

    fn there(&self) -> Oid {
        Oid::parse(&self.world.origin.git(["rev-parse", NAME])).unwrap()
    }

    /// A hub whose first push is preceded by somebody else's.
    fn raced_by(&self, commit: &Oid) -> SourceHub {
        let program = self.world.path().join("racing-git");
        let marker = self.world.path().join("raced");
        let origin = self.world.origin.path().display();
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' push '*) if mkdir '{}' 2>/dev/null; then \
             env -u GIT_DIR git -C '{origin}' update-ref {NAME} {commit}; fi;; esac\nexec git \"$@\"\n",
            marker.display()
        );
        write_program(&program, &script);
        let mut settings = self.world.settings();
        settings.git_program = program;
        SourceHub::new(settings).unwrap()
    }
}

#[tokio::test]
async fn a_name_is_made_moved_on_and_moved_back_by_who_put_it_there() {
    let setup = Setup::new();
    let hub = setup.world.hub();
    // The branch has moved on: no name is at the commit.
    for (number, ours) in [(2, None), (3, Some(2)), (2, Some(3)), (2, Some(2))] {
        let done = setup.publish(&hub, number, ours).await.unwrap();
        assert_eq!(done, Publication::Done);
        assert_eq!(&setup.there(), setup.commit(number));
    }
}

#[tokio::test]
async fn what_somebody_else_put_there_moves_forward_only() {
    let setup = Setup::new();
    let hub = setup.world.hub();
    setup.somebody_puts(setup.commit(1));
    let done = setup.publish(&hub, 2, None).await.unwrap();
    assert_eq!(done, Publication::Done);
    setup.somebody_puts(setup.commit(4));
    let left = setup.publish(&hub, 3, Some(2)).await.unwrap();
    assert_eq!(left, Publication::Newer(setup.commit(4).clone()));
    assert_eq!(&setup.there(), setup.commit(4));
}

#[tokio::test]
async fn a_name_on_another_line_of_history_is_left_and_said() {
    let setup = Setup::new();
    let hub = setup.world.hub();
    let origin = &setup.world.origin;
    origin.git(["checkout", "--quiet", "--orphan", "elsewhere"]);
    let other = origin.commit_config("b.yaml", "other");
    setup.somebody_puts(&other);
    let error = setup.publish(&hub, 2, None).await.unwrap_err().to_string();
    assert!(error.contains("another line of history"), "{error}");
    assert_eq!(setup.there(), other);
}

#[tokio::test]
async fn a_race_with_an_older_commit_is_won_at_the_second_try() {
    let setup = Setup::new();
    let hub = setup.raced_by(setup.commit(2));
    let done = setup.publish(&hub, 3, None).await.unwrap();
    assert_eq!(done, Publication::Done);
    assert_eq!(&setup.there(), setup.commit(3));
}

#[tokio::test]
async fn a_race_with_a_newer_commit_is_given_up() {
    let setup = Setup::new();
    setup.somebody_puts(setup.commit(1));
    let hub = setup.raced_by(setup.commit(4));
    let left = setup.publish(&hub, 3, Some(1)).await.unwrap();
    assert_eq!(left, Publication::Newer(setup.commit(4).clone()));
    assert_eq!(&setup.there(), setup.commit(4));
}

#[tokio::test]
async fn a_server_that_lets_nobody_write_the_name_is_told_from_a_race() {
    let setup = Setup::new();
    let hooks = setup.world.path().join("hooks");
    std::fs::create_dir(&hooks).unwrap();
    write_program(&hooks.join("pre-receive"), "#!/bin/sh\nexit 1\n");
    let origin = &setup.world.origin;
    origin.git(["config", "core.hooksPath", hooks.to_str().unwrap()]);
    let error = setup
        .publish(&setup.world.hub(), 2, None)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "Refused", "{error}");
    assert!(
        error.to_string().contains("pre-receive hook declined"),
        "{error}"
    );
}
