//! Windows without any change, in which some stable pods play the canary.
//!
//! Invariant: the same seed and the same history give the same windows and the same pods.

use std::collections::BTreeSet;

use rand::{SeedableRng as _, rngs::StdRng, seq::index};

use super::{history::Grid, past::Past, pods::Pods};

/// A part of the history in which nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quiet {
    /// Number of the window, which its random numbers begin with.
    pub(super) number: u64,
    /// First point: what is counted from.
    pub(super) start: usize,
    /// Last point.
    pub(super) end: usize,
    /// Names of the pods that play the canary; empty for gates that don't tell pods apart.
    pub(super) canary: BTreeSet<String>,
}

/// How windows are laid over a history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) grid: Grid,
    /// Looks from the start of one window to that of the next.
    pub(super) every: usize,
    /// Looks in one window.
    pub(super) length: usize,
    /// Share of the pods that play the canary, in percent.
    pub(super) canary_share: f64,
    pub(super) seed: u64,
}

/// The windows of a history, and why others are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows {
    pub(super) quiet: Vec<Quiet>,
    /// Windows in which there was a rollout.
    pub(super) with_rollout: usize,
    /// Windows with fewer than two pods.
    pub(super) too_few_pods: usize,
}

impl Windows {
    /// Lays windows over a history; `pods` are of gates that tell them apart, if there is one.
    pub(super) fn new(layout: Layout, pods: Option<&Pods>, past: &[Past]) -> Self {
        let mut windows = Self::default();
        let mut start = 0;
        let mut number = 0;
        while start + layout.length < layout.grid.points() {
            let end = start + layout.length;
            let busy = past
                .iter()
                .any(|past| past.start <= end && past.end.max(past.start + 1) > start);
            let mixed = pods.is_some_and(|pods| {
                pods.revisions(start).len() > 1 || pods.revisions(end).len() > 1
            });
            if busy || mixed {
                windows.with_rollout += 1;
            } else {
                let random = StdRng::seed_from_u64(mix(layout.seed, number));
                match choose(layout, pods, start, random) {
                    Some(canary) => windows.quiet.push(Quiet {
                        number,
                        start,
                        end,
                        canary,
                    }),
                    None => windows.too_few_pods += 1,
                }
            }
            start += layout.every;
            number += 1;
        }
        windows
    }

    /// Which points lie in a window: after its first one, from which on is counted.
    pub(super) fn points(&self, grid: Grid) -> Vec<bool> {
        let mut within = vec![false; grid.points()];
        for window in &self.quiet {
            let part = within.get_mut(window.start + 1..=window.end);
            part.unwrap_or_default().fill(true);
        }
        within
    }

    /// Number of windows that see requests of their own: windows that overlap tell the same story twice.
    pub(super) fn effective(&self) -> f64 {
        let mut covered = 0;
        let mut until = 0;
        for window in &self.quiet {
            covered += window.end.saturating_sub(window.start.max(until));
            until = until.max(window.end);
        }
        let length = self
            .quiet
            .first()
            .map_or(1, |window| window.end - window.start);
        #[expect(
            clippy::cast_precision_loss,
            reason = "numbers of points are far below 2^52"
        )]
        let effective = covered as f64 / length.max(1) as f64;
        effective
    }
}

fn choose(
    layout: Layout,
    pods: Option<&Pods>,
    start: usize,
    mut random: StdRng,
) -> Option<BTreeSet<String>> {
    let Some(pods) = pods else {
        return Some(BTreeSet::new());
    };
    let serving = pods.serving(start);
    if serving.len() < 2 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a number of pods"
    )]
    let wanted = (serving.len() as f64 * layout.canary_share / 100.0).round() as usize;
    let number = wanted.clamp(1, serving.len() - 1);
    let chosen = index::sample(&mut random, serving.len(), number);
    let names = chosen
        .into_iter()
        .filter_map(|place| Some(pods.pods.get(*serving.get(place)?)?.name.clone()));
    Some(names.collect())
}

/// One seed from several numbers, each change of which changes everything (the finaliser of `SplitMix64`).
pub(super) fn mix(seed: u64, number: u64) -> u64 {
    let mut mixed = seed
        ^ number
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            past::{Happened, Past},
            pods::tests::pods,
        },
        *,
    };

    fn layout(seed: u64) -> Layout {
        Layout {
            grid: Grid::new(0, 990_000, 10_000).unwrap(),
            every: 5,
            length: 10,
            canary_share: 10.0,
            seed,
        }
    }

    fn ten_pods() -> Pods {
        let names: Vec<String> = (0..10).map(|n| format!("web-b-aaaa{n}")).collect();
        let values: Vec<(f64, f64)> = (0..100).map(|n| (0.0, f64::from(n))).collect();
        let list: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), 0, values.clone()))
            .collect();
        pods(layout(1).grid, &list)
    }

    #[test]
    fn one_seed_gives_one_choice() {
        let pods = ten_pods();
        let chosen = |seed| Windows::new(layout(seed), Some(&pods), &[]).quiet;
        assert_eq!(chosen(7), chosen(7));
        assert_ne!(chosen(7), chosen(8));
        assert!(chosen(7).iter().all(|window| window.canary.len() == 1));
        let names: BTreeSet<_> = chosen(7)
            .into_iter()
            .flat_map(|window| window.canary)
            .collect();
        assert!(names.len() > 3, "always the same pods: {names:?}");
    }

    #[test]
    fn windows_that_overlap_count_once() {
        let windows = Windows::new(layout(1), Some(&ten_pods()), &[]);
        assert_eq!(windows.quiet.len(), 18);
        assert!((windows.effective() - 9.5).abs() < 1e-9);
    }

    #[test]
    fn times_with_a_rollout_are_left_out() {
        let past = Past {
            canary: "c".into(),
            version: "c".into(),
            start: 30,
            end: 40,
            happened: Happened::Replaced,
            judged: None,
        };
        let windows = Windows::new(layout(1), Some(&ten_pods()), &[past]);
        assert_eq!(windows.quiet.len() + windows.with_rollout, 18);
        assert!(
            windows
                .quiet
                .iter()
                .all(|window| window.end < 30 || window.start >= 40)
        );
        assert!(windows.with_rollout >= 3);
    }

    #[test]
    fn one_pod_alone_has_nothing_to_be_compared_with() {
        let lonely = pods(layout(1).grid, &[("web-b-aaaaa", 0, vec![(0.0, 1.0); 100])]);
        let windows = Windows::new(layout(1), Some(&lonely), &[]);
        assert!(windows.quiet.is_empty() && windows.too_few_pods == 18);
    }
}
