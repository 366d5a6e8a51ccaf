//! Ranges too short for what is scraped: with one sample in it a rate has no answer, with two it jumps.

use std::time::Duration;

use promql_parser::parser::Expr;

use crate::{
    Code, Finding, ScrapeInterval,
    expression::{all, bare},
};

/// Scrapes that a range should hold: two for a rate, one may be late, one may be lost.
const ENOUGH: u32 = 4;

/// Scrapes without which there is no rate at all.
const LEAST: u32 = 2;

/// Functions that need two samples.
const OF_DIFFERENCES: [&str; 10] = [
    "rate",
    "increase",
    "irate",
    "delta",
    "idelta",
    "deriv",
    "resets",
    "changes",
    "predict_linear",
    "double_exponential_smoothing",
];

pub(super) fn check(expression: &Expr, interval: ScrapeInterval, findings: &mut Vec<Finding>) {
    let Some(scrape) = interval.get() else { return };
    for one in all(expression) {
        let Expr::Call(call) = one else { continue };
        if !OF_DIFFERENCES.contains(&call.func.name) {
            continue;
        }
        let ranges = call
            .args
            .args
            .iter()
            .filter_map(|argument| match bare(argument) {
                Expr::MatrixSelector(range) => Some(range.range),
                _ => None,
            });
        for range in ranges.filter(|range| *range < scrape * ENOUGH) {
            findings.push(judge(call.func.name, range, scrape, interval));
        }
    }
}

fn judge(function: &str, range: Duration, scrape: Duration, interval: ScrapeInterval) -> Finding {
    let what = format!("{function}(…[{}])", seconds(range));
    let write = format!("write [{}] or longer", seconds(scrape * ENOUGH));
    match interval {
        ScrapeInterval::Known(_) if range < scrape * LEAST => Finding::error(
            Code::ShortRange,
            format!(
                "{what} never holds the two samples that it needs, for Prometheus scrapes every {}: {write}",
                seconds(scrape)
            ),
        ),
        ScrapeInterval::Known(_) => Finding::warning(
            Code::ShortRange,
            format!(
                "{what} holds fewer than four scrapes of {}, so that one lost scrape leaves nothing: {write}",
                seconds(scrape)
            ),
        ),
        ScrapeInterval::Assumed(_) | ScrapeInterval::Unknown => Finding::warning(
            Code::ShortRange,
            format!(
                "{what} holds fewer than four scrapes if Prometheus scrapes every {}, so that one lost scrape leaves nothing: {write}",
                seconds(scrape)
            ),
        ),
    }
}

fn seconds(span: Duration) -> String {
    let seconds = span.as_secs();
    if span.subsec_millis() != 0 {
        format!("{}ms", span.as_millis())
    } else if seconds >= 60 && seconds.is_multiple_of(60) {
        format!("{}m", seconds / 60)
    } else {
        format!("{seconds}s")
    }
}
