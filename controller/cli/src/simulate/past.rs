//! Rollouts that happened: found in the history, or told by a file.
//!
//! A rollout begins when a ReplicaSet gets its first pod while another has some. It is known from kube-state-metrics where there is one, else from the pods' names.

use std::{collections::BTreeMap, ops::Range, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    error::SimulateError,
    history::{Grid, Series},
    pods::{self, Pods},
};

/// A ReplicaSet whose pods are away for less than this has not gone.
const PAUSE_MILLISECONDS: i64 = 5 * 60 * 1000;

/// A rollout that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Past {
    /// The ReplicaSet (or the beginning of the pods' names) of the new version.
    pub(super) canary: String,
    /// What people call the version.
    pub(super) version: String,
    /// First point with the new version.
    pub(super) start: usize,
    /// Point after the last at which both versions were there.
    pub(super) end: usize,
    /// What became of it.
    pub(super) happened: Happened,
    /// What people say of the version.
    pub(super) judged: Option<Judged>,
}

/// What became of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Happened {
    /// The version before it went away.
    Replaced,
    /// It went away, and the version before it stayed.
    Withdrawn,
    /// Both are there at the end of the history.
    Unfinished,
    /// The file does not say.
    Unknown,
}

/// What people say of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Judged {
    /// It should have gone through.
    Good,
    /// It should have been rolled back.
    Bad,
}

/// Times at which a ReplicaSet had pods.
#[derive(Clone, Debug, PartialEq)]
struct Episode {
    set: String,
    range: Range<usize>,
}

/// Rollouts among the pods of a history.
pub(super) fn of_pods(pods: &Pods) -> Vec<Past> {
    let mut ranges: BTreeMap<&str, Vec<Range<usize>>> = BTreeMap::new();
    for pod in pods.pods.iter().filter(|pod| !pod.revision.is_empty()) {
        ranges
            .entry(&pod.revision)
            .or_default()
            .push(pod.present.clone());
    }
    find(&episodes(ranges, pods.grid), pods.grid)
}

/// Rollouts by the number of replicas of each ReplicaSet, as kube-state-metrics tells it.
pub(super) fn of_replica_sets(series: &[Series], grid: Grid) -> Vec<Past> {
    let mut ranges: BTreeMap<&str, Vec<Range<usize>>> = BTreeMap::new();
    for one in series {
        let own = ranges.entry(one.label("replicaset")).or_default();
        let there = one
            .present()
            .filter(|index| one.get(*index).is_some_and(|replicas| replicas > 0.0));
        own.extend(there.map(|index| index..index + 1));
    }
    find(&episodes(ranges, grid), grid)
}

/// Merges what lies close together.
fn episodes(ranges: BTreeMap<&str, Vec<Range<usize>>>, grid: Grid) -> Vec<Episode> {
    let pause = grid.steps(PAUSE_MILLISECONDS);
    let mut episodes: Vec<Episode> = Vec::new();
    for (set, mut ranges) in ranges {
        ranges.sort_by_key(|range| range.start);
        let mut open: Option<Range<usize>> = None;
        for range in ranges {
            open = Some(match open {
                Some(open) if range.start <= open.end.saturating_add(pause) => {
                    open.start..open.end.max(range.end)
                }
                Some(done) => {
                    episodes.push(Episode {
                        set: set.to_owned(),
                        range: done,
                    });
                    range
                }
                None => range,
            });
        }
        episodes.extend(open.map(|range| Episode {
            set: set.to_owned(),
            range,
        }));
    }
    episodes.sort_by_key(|episode| episode.range.start);
    episodes
}

fn find(episodes: &[Episode], grid: Grid) -> Vec<Past> {
    let begun = episodes.iter().filter(|episode| episode.range.start > 0);
    begun
        .filter_map(|new| {
            let before = new.range.start - 1;
            let others = episodes
                .iter()
                .filter(|other| other.set != new.set && other.range.contains(&before));
            let stable_end = others.map(|other| other.range.end).max()?;
            let last = grid.points();
            let happened = match (new.range.end, stable_end) {
                (new, stable) if new >= last && stable >= last => Happened::Unfinished,
                (new, stable) if new < stable => Happened::Withdrawn,
                _ => Happened::Replaced,
            };
            Some(Past {
                version: pods::hash(&new.set).to_owned(),
                canary: new.set.clone(),
                start: new.range.start,
                end: new.range.end.min(stable_end),
                happened,
                judged: None,
            })
        })
        .collect()
}

/// A line of the file.
#[derive(Deserialize)]
struct Line {
    start: Timestamp,
    end: Timestamp,
    canary: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    outcome: Option<Judged>,
}

/// Rollouts that a CSV file tells of; those outside of the history are left out.
pub(super) fn of_file(path: &Path, grid: Grid) -> Result<Vec<Past>, SimulateError> {
    let wrong = |error: &csv::Error| SimulateError::Content {
        path: path.to_owned(),
        why: format!(
            "{error}; the file needs a line with the titles start,end,canary (and version,outcome), times such as 2026-11-01T00:00:00Z, and good or bad as outcome"
        ),
    };
    let file = std::fs::File::open(path).map_err(|source| SimulateError::File {
        path: path.to_owned(),
        source,
    })?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(file);
    let mut past = Vec::new();
    for line in reader.deserialize() {
        let line: Line = line.map_err(|error| wrong(&error))?;
        let Some(start) = grid.index_from(line.start.as_millisecond()) else {
            continue;
        };
        let end = grid
            .index_from(line.end.as_millisecond())
            .unwrap_or(grid.points());
        if start == 0 || end <= start {
            continue;
        }
        past.push(Past {
            version: line.version.unwrap_or_else(|| line.canary.clone()),
            canary: line.canary,
            start,
            end,
            happened: Happened::Unknown,
            judged: line.outcome,
        });
    }
    Ok(past)
}

impl Past {
    /// Whether a pod runs the new version: by its ReplicaSet, that set's hash, or the beginning of its name.
    pub(super) fn is_canary(&self, pod: &str, revision: &str) -> bool {
        revision == self.canary
            || (!revision.is_empty() && pods::hash(revision) == self.canary)
            || pod
                .strip_prefix(&self.canary)
                .is_some_and(|rest| rest.starts_with('-') || rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::history::{Collector, Labels},
        *,
    };

    fn grid() -> Grid {
        Grid::new(0, 10_000 * 999, 10_000).unwrap()
    }

    fn past(ranges: &[(&str, Range<usize>)]) -> Vec<(String, usize, usize, Happened)> {
        let mut by_set: BTreeMap<&str, Vec<Range<usize>>> = BTreeMap::new();
        for (set, range) in ranges {
            by_set.entry(set).or_default().push(range.clone());
        }
        find(&episodes(by_set, grid()), grid())
            .into_iter()
            .map(|past| (past.version, past.start, past.end, past.happened))
            .collect()
    }

    #[test]
    fn a_new_set_beside_an_old_one_is_a_rollout() {
        let found = past(&[("w-a", 0..500), ("w-a", 0..520), ("w-b", 400..1000)]);
        assert_eq!(found, [("b".into(), 400, 520, Happened::Replaced)]);
    }

    #[test]
    fn a_set_that_goes_while_the_old_one_stays_was_withdrawn() {
        let found = past(&[("w-a", 0..1000), ("w-b", 400..450), ("w-c", 900..1000)]);
        assert_eq!(
            found,
            [
                ("b".into(), 400, 450, Happened::Withdrawn),
                ("c".into(), 900, 1000, Happened::Unfinished)
            ]
        );
    }

    #[test]
    fn pods_that_come_and_go_within_one_set_are_no_rollout() {
        assert_eq!(past(&[("w-a", 0..300), ("w-a", 310..1000)]), []);
        // What comes back after a long time is one, if another version is there.
        let back = past(&[("w-a", 0..300), ("w-b", 200..700), ("w-a", 600..1000)]);
        assert_eq!(back.len(), 2);
        assert_eq!(back[1], ("a".into(), 600, 700, Happened::Replaced));
    }

    #[test]
    fn replicas_of_the_cluster_tell_of_rollouts_even_without_samples_of_pods() {
        let grid = grid();
        let mut collector = Collector::new(grid);
        let mut add = |set: &str, from: usize, replicas: &[f64]| {
            let labels = Labels::from([("replicaset".to_owned(), set.to_owned())]);
            let values = replicas.iter().enumerate();
            let timed = values.map(|(index, value)| (grid.at(from + index), *value));
            collector.add(labels, timed);
        };
        add("web-a", 0, &[vec![3.0; 120], vec![0.0; 880]].concat());
        add("web-b", 0, &[vec![0.0; 100], vec![3.0; 900]].concat());
        let past = of_replica_sets(&collector.finish(), grid);
        assert_eq!(past.len(), 1);
        assert_eq!(
            (past[0].version.as_str(), past[0].start, past[0].end),
            ("b", 100, 120)
        );
    }

    #[test]
    fn a_file_tells_of_rollouts_and_of_what_they_were() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "start,end,canary,version,outcome\n1970-01-01T00:01:40Z, 1970-01-01T00:10:00Z, bcdfg, v2, bad\n2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,late,,\n",
        )
        .unwrap();
        let past = of_file(file.path(), grid()).unwrap();
        assert_eq!(past.len(), 1);
        assert_eq!(
            (past[0].start, past[0].end, past[0].judged),
            (10, 60, Some(Judged::Bad))
        );
        assert!(past[0].is_canary("web-bcdfg-x7k2p", "web-bcdfg"));

        std::fs::write(file.path(), "from,to\n1,2\n").unwrap();
        let why = of_file(file.path(), grid()).unwrap_err().to_string();
        assert!(why.contains("start,end,canary"), "{why}");
    }
}
