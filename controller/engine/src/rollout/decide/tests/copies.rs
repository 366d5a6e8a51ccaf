use super::{config::stamp, *};
use crate::{
    config::ConfigKind,
    rollout::{copies::LostCopy, reason},
};

fn lost(hash: &str, held_by: Option<&str>) -> LostCopy {
    LostCopy {
        kind: ConfigKind::ConfigMap,
        name: "settings".to_owned(),
        hash: hash.to_owned(),
        held_by: held_by.map(str::to_owned),
    }
}

impl Bench {
    /// Somebody deletes a copy.
    fn lose(&mut self, copy: LostCopy) -> &mut Self {
        let Config::Live(live) = &mut self.seen.config else {
            panic!("no configuration");
        };
        live.lost.push(copy);
        self
    }

    /// The effect of making it again.
    pub(super) fn remade(&mut self, name: &str, hash: &str) {
        if let Config::Live(live) = &mut self.seen.config {
            live.lost
                .retain(|lost| lost.name != name || lost.hash != hash);
        }
    }

    fn lost_told(&self) -> Option<String> {
        let mut conditions = self.status.conditions.iter();
        let lost = conditions.find(|condition| condition.kind == reason::CONFIG_LOST);
        lost.map(|lost| lost.message.clone())
    }
}

fn on_trial() -> Bench {
    let mut bench = Bench::healthy();
    bench.configure(Some("one")).settle();
    bench.configure(Some("two")).after(3).settle();
    assert_eq!(bench.status.phase, Phase::Progressing);
    bench
}

#[test]
fn a_lost_copy_whose_content_is_held_is_made_again_and_told_once() {
    let mut bench = on_trial();
    let trial = bench.status.candidate.clone();
    bench.lose(lost("two", Some("settings"))).settle();
    assert_eq!(bench.status.candidate, trial);
    assert_eq!(bench.lost_told(), None);
    let Config::Live(live) = &bench.seen.config else {
        panic!("no configuration");
    };
    assert!(live.lost.is_empty(), "it was not made");
    let told = |reason: &str| bench.events.iter().filter(|event| *event == reason).count();
    assert_eq!(
        (told(reason::CONFIG_LOST), told(reason::CONFIG_RESTORED)),
        (1, 1)
    );
}

#[test]
fn content_that_nobody_holds_is_told_with_what_to_do_and_stops_nothing() {
    let mut bench = on_trial();
    bench.lose(lost("one", None)).settle();
    let message = bench.lost_told().unwrap();
    assert!(
        message.contains("settings-one") && message.contains("Apply ConfigMap settings"),
        "{message}"
    );
    // The trial goes on, and is taken back when its gate fails.
    bench.after(10).fail().settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
    assert!(bench.lost_told().is_some());
    let told = bench
        .events
        .iter()
        .filter(|event| *event == reason::CONFIG_LOST);
    assert_eq!(told.count(), 1);
}

#[test]
fn pods_that_run_and_versions_on_record_are_living_and_old_revisions_are_not() {
    let bench = on_trial();
    let mut sets = bench.seen.sets.clone();
    let mut old = sets[0].clone();
    (old.hash, old.desired, old.total) = ("old".to_owned(), 0, 0);
    old.template.stamp = Some(stamp("zero"));
    for set in &mut sets {
        (set.desired, set.total) = (0, 0);
    }
    sets.push(old);
    let living = crate::rollout::copies::living(sets.iter(), &bench.status);
    let living: Vec<&str> = living.map(Stamp::as_str).collect();
    assert_eq!(living, ["c/settings=one", "c/settings=two"]);
    let record = RolloutStatus::default();
    assert_eq!(
        crate::rollout::copies::living(sets.iter(), &record).count(),
        0
    );
}
