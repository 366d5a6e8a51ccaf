//! Charts that were fetched. Losing them costs requests, nothing else.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use belay_source::ChartArchive;

/// Memory for packed charts.
const BYTES: usize = 64 << 20;

#[derive(Default)]
pub(super) struct Kept {
    /// By who asks, and for which version or range.
    charts: HashMap<String, Entry>,
}

struct Entry {
    chart: ChartArchive,
    fetched: Instant,
    used: Instant,
}

impl Kept {
    /// What was fetched for this question, if that is not too long ago.
    pub(super) fn chart(&mut self, question: &str, fresh: Duration) -> Option<ChartArchive> {
        let entry = self.charts.get_mut(question)?;
        if entry.fetched.elapsed() >= fresh {
            return None;
        }
        entry.used = Instant::now();
        Some(entry.chart.clone())
    }

    /// A chart with this digest that the same visitor has fetched before.
    pub(super) fn by_digest(&self, visitor: &str, digest: &str) -> Option<ChartArchive> {
        let mut known = self.charts.iter();
        let found = known.find(|(question, entry)| {
            question.starts_with(visitor) && entry.chart.digest() == digest
        });
        found.map(|(_, entry)| entry.chart.clone())
    }

    pub(super) fn keep(&mut self, question: String, chart: &ChartArchive) {
        let now = Instant::now();
        let entry = Entry {
            chart: chart.clone(),
            fetched: now,
            used: now,
        };
        self.charts.insert(question, entry);
        while self
            .charts
            .values()
            .map(|entry| entry.chart.len())
            .sum::<usize>()
            > BYTES
        {
            let oldest = self.charts.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(question, _)| question.clone()) else {
                return;
            };
            self.charts.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_are_kept_within_bounds_and_the_least_used_goes_first() {
        let mut kept = Kept::default();
        let chart = |index: u8| ChartArchive::new("a", "1.0.0", &vec![index; 16 << 20]);
        for index in 0..4 {
            kept.keep(format!("v {index}"), &chart(index));
        }
        assert!(kept.chart("v 0", Duration::MAX).is_some());
        assert!(kept.chart("v 0", Duration::ZERO).is_none());
        kept.keep("v 4".to_owned(), &chart(4));
        assert!(kept.chart("v 1", Duration::MAX).is_none());
        assert_eq!(kept.by_digest("v", chart(0).digest()), Some(chart(0)));
        assert_eq!(kept.by_digest("w", chart(0).digest()), None);
    }
}
