//! The past of counters and numbers, at regular points in time.
//!
//! Invariant: a value is either what the source gave for exactly that point, or absent; nothing is interpolated.

pub(super) mod answer;
pub(super) mod cache;
pub(super) mod chunks;
pub(super) mod saved;
pub(super) mod server;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::error::SimulateError;

/// Labels of a series.
pub(super) type Labels = BTreeMap<String, String>;

/// Most points of one simulation; a year at one look in three seconds.
const MOST_POINTS: i64 = 10_000_000;

/// Points in time, equally far apart; in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    start: i64,
    step: i64,
    points: usize,
}

impl Grid {
    /// From the first multiple of `step` that is not before `from` to the last that is not after `to`: so that another simulation of the same history asks for
    /// the same points.
    pub(super) fn new(from: i64, to: i64, step: i64) -> Result<Self, SimulateError> {
        let step = step.max(1);
        let first = from.div_euclid(step) + i64::from(from.rem_euclid(step) != 0);
        let count = to.div_euclid(step) - first + 1;
        if count < 4 {
            return Err(SimulateError::NoTime);
        }
        if count > MOST_POINTS {
            return Err(SimulateError::TooLong(count));
        }
        let points = usize::try_from(count).map_err(|_| SimulateError::TooLong(count))?;
        Ok(Self {
            start: first * step,
            step,
            points,
        })
    }

    /// Number of points.
    pub(super) const fn points(&self) -> usize {
        self.points
    }

    /// Milliseconds from one point to the next.
    pub(super) const fn step(&self) -> i64 {
        self.step
    }

    /// The first point.
    pub(super) const fn start(&self) -> i64 {
        self.start
    }

    /// The last point.
    pub(super) fn end(&self) -> i64 {
        self.at(self.points.saturating_sub(1))
    }

    /// When point `index` is.
    pub(super) fn at(&self, index: usize) -> i64 {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.start.saturating_add(self.step.saturating_mul(index))
    }

    /// When point `index` is, for the engine.
    pub(super) fn time(&self, index: usize) -> Timestamp {
        Timestamp::from_millisecond(self.at(index)).unwrap_or(Timestamp::MAX)
    }

    /// The first point that is not before `time`; nothing outside of the grid.
    pub(super) fn index_from(&self, time: i64) -> Option<usize> {
        let offset = time.saturating_sub(self.start);
        let index = offset.div_euclid(self.step) + i64::from(offset.rem_euclid(self.step) != 0);
        usize::try_from(index)
            .ok()
            .filter(|index| *index < self.points)
    }

    /// How many steps a span of milliseconds has, at least one.
    pub(super) fn steps(&self, milliseconds: i64) -> usize {
        usize::try_from(milliseconds.div_euclid(self.step).max(1)).unwrap_or(usize::MAX)
    }
}

/// One series on a grid.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    /// Its labels.
    pub(super) labels: Labels,
    first: usize,
    values: Vec<f64>,
}

impl Series {
    fn new(labels: Labels) -> Self {
        Self {
            labels,
            first: 0,
            values: Vec::new(),
        }
    }

    /// A label's value; empty when absent, as in PromQL.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The value at a point of the grid.
    pub(super) fn get(&self, index: usize) -> Option<f64> {
        let value = *self.values.get(index.checked_sub(self.first)?)?;
        (!value.is_nan()).then_some(value)
    }

    /// The points from the first value to the last.
    pub(super) fn present(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.values.len()
    }

    /// Values come in the order of time; one that does not is left out.
    fn push(&mut self, index: usize, value: f64) {
        if self.values.is_empty() {
            self.first = index;
        }
        let Some(place) = index.checked_sub(self.first) else {
            return;
        };
        if place >= self.values.len() {
            self.values.resize(place, f64::NAN);
            self.values.push(value);
        }
    }
}

/// Collects series from answers that come in the order of time.
#[derive(Debug)]
pub(super) struct Collector {
    grid: Grid,
    series: HashMap<Labels, Series>,
}

impl Collector {
    pub(super) fn new(grid: Grid) -> Self {
        Self {
            grid,
            series: HashMap::new(),
        }
    }

    /// Takes up the values of one series; times in milliseconds.
    pub(super) fn add(&mut self, labels: Labels, values: impl Iterator<Item = (i64, f64)>) {
        let grid = self.grid;
        let series = self
            .series
            .entry(labels)
            .or_insert_with_key(|labels| Series::new(labels.clone()));
        for (time, value) in values {
            if let Some(index) = grid.index_from(time) {
                series.push(index, value);
            }
        }
    }

    /// The series, ordered by their labels.
    pub(super) fn finish(self) -> Vec<Series> {
        let mut series: Vec<Series> = self
            .series
            .into_values()
            .filter(|series| !series.values.is_empty())
            .collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_multiples_of_the_step() {
        let grid = Grid::new(10_001, 50_000, 10_000).unwrap();
        assert_eq!(
            (grid.start(), grid.end(), grid.points()),
            (20_000, 50_000, 4)
        );
        assert_eq!(grid.index_from(20_001), Some(1));
        assert_eq!(grid.index_from(50_001), None);
        assert!(Grid::new(0, 20_000, 10_000).is_err());
    }

    #[test]
    fn what_was_not_given_is_absent() {
        let grid = Grid::new(0, 100_000, 10_000).unwrap();
        let mut collector = Collector::new(grid);
        collector.add(Labels::new(), [(20_000, 1.0), (40_000, 2.0)].into_iter());
        collector.add(
            Labels::new(),
            [(50_000, f64::NAN), (60_000, 3.0)].into_iter(),
        );
        let [series] = collector.finish().try_into().unwrap();
        let values: Vec<_> = (0..8).map(|index| series.get(index)).collect();
        assert_eq!(
            values,
            [
                None,
                None,
                Some(1.0),
                None,
                Some(2.0),
                None,
                Some(3.0),
                None
            ]
        );
        assert_eq!(series.present(), 2..7);
    }
}
