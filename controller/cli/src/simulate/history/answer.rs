//! Reading what `/api/v1/query_range` answers.

use std::borrow::Cow;

use belay_engine::analysis::latency::Observed;
use serde::Deserialize;
use thiserror::Error;

use super::{Collector, Labels};

/// Longest text of Prometheus that is passed on.
const MESSAGE_BYTES: usize = 300;

/// What `/api/v1/query_range` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow)]
    result: Vec<One<'a>>,
}

#[derive(Deserialize)]
struct One<'a> {
    #[serde(default)]
    metric: Labels,
    #[serde(borrow, default)]
    values: Vec<(f64, Cow<'a, str>)>,
    #[serde(borrow, default)]
    histograms: Vec<(f64, Histogram<'a>)>,
}

/// A native histogram.
#[derive(Deserialize)]
struct Histogram<'a> {
    #[serde(borrow)]
    count: Cow<'a, str>,
    /// Its buckets that are not empty.
    #[serde(borrow, default)]
    buckets: Vec<NativeBucket<'a>>,
}

/// Which ends belong to it, lower end, upper end, and requests.
type NativeBucket<'a> = (u8, Cow<'a, str>, Cow<'a, str>, Cow<'a, str>);

/// Value of the label `le` of the series that has no bucket, but how wide the widest bucket of a native histogram is.
pub(in crate::simulate) const WIDEST: &str = "widest";

/// Enough of any answer to say what is wrong with it.
#[derive(Deserialize)]
struct Gist<'a> {
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Kind<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind<'a> {
    #[serde(borrow)]
    result_type: Cow<'a, str>,
}

/// What is wrong with an answer.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum Unusable {
    /// A native histogram whose numbers can't be read.
    #[error("a native histogram in the answer can't be read")]
    Native,
    /// Anything else, in one sentence.
    #[error("{0}")]
    Other(String),
}

/// Puts what an answer gives into `collector`; gives its warnings, or what is wrong with it.
pub(super) fn read(body: &[u8], collector: &mut Collector) -> Result<Vec<String>, Unusable> {
    let parsed: Body<'_> = serde_json::from_slice(body).map_err(|_| Unusable::Other(gist(body)))?;
    take(parsed, collector)
}

/// The same for an answer that is parsed already.
pub(super) fn take(body: Body<'_>, collector: &mut Collector) -> Result<Vec<String>, Unusable> {
    if body.status != "success" {
        let why = shortened(body.error.as_deref().unwrap_or("no reason given"));
        return Err(Unusable::Other(why));
    }
    let data = body
        .data
        .ok_or_else(|| Unusable::Other("the answer has no data".to_owned()))?;
    for one in data.result {
        if one.values.is_empty() && one.histograms.is_empty() {
            let why =
                "the answer has series without values: it is no history, take /api/v1/query_range";
            return Err(Unusable::Other(why.to_owned()));
        }
        let values = one.values.iter().filter_map(|(seconds, value)| {
            let value: f64 = value.parse().ok()?;
            Some((milliseconds(*seconds), value))
        });
        if !one.values.is_empty() {
            collector.add(one.metric.clone(), values);
        }
        for (seconds, histogram) in &one.histograms {
            let observed = histogram.observed().ok_or(Unusable::Native)?;
            add_buckets(collector, &one.metric, milliseconds(*seconds), &observed);
        }
    }
    Ok(body.warnings.iter().map(|text| shortened(text)).collect())
}

impl Histogram<'_> {
    fn observed(&self) -> Option<Observed> {
        let buckets = self.buckets.iter().map(|(_, lower, upper, count)| {
            Some((
                lower.parse().ok()?,
                upper.parse().ok()?,
                count.parse().ok()?,
            ))
        });
        Some(Observed {
            count: self.count.parse().ok()?,
            buckets: buckets.collect::<Option<_>>()?,
        })
    }
}

/// A native histogram as the buckets of a classic one. Those that it does not have at this time have no value then.
fn add_buckets(collector: &mut Collector, labels: &Labels, at: i64, observed: &Observed) {
    let mut add = |le: String, value: f64| {
        let mut labels = labels.clone();
        labels.insert("le".to_owned(), le);
        collector.add(labels, std::iter::once((at, value)));
    };
    let mut buckets = observed.cumulative();
    // One bucket's end is the next one's begin.
    buckets.dedup_by(|next, before| next.bound.total_cmp(&before.bound).is_eq());
    for bucket in buckets {
        add(bucket.bound.to_string(), bucket.cumulative);
    }
    add(WIDEST.to_owned(), observed.widest());
}

/// What is wrong with an answer that has no numbers over time.
fn gist(body: &[u8]) -> String {
    match serde_json::from_slice::<Gist<'_>>(body) {
        Ok(Gist {
            data: Some(Kind { result_type }),
            ..
        }) => format!(
            "the answer is a {result_type} where numbers over time are meant: take /api/v1/query_range"
        ),
        Ok(Gist {
            error: Some(error), ..
        }) => shortened(&error),
        _ => "the answer is not from Prometheus".to_owned(),
    }
}

/// First and last time of an answer and the shortest time between two of its values, in milliseconds.
pub(super) fn extent(body: &Body<'_>) -> Option<(i64, i64, Option<i64>)> {
    let mut extent: Option<(i64, i64, Option<i64>)> = None;
    for one in &body.data.as_ref()?.result {
        let numbers = one.values.iter().map(|(at, _)| milliseconds(*at));
        let histograms = one.histograms.iter().map(|(at, _)| milliseconds(*at));
        let times: Vec<i64> = numbers.chain(histograms).collect();
        let (Some(first), Some(last)) = (times.first().copied(), times.last().copied()) else {
            continue;
        };
        let gaps = times.iter().zip(times.iter().skip(1)).map(|(a, b)| b - a);
        let gap = gaps.filter(|gap| *gap > 0).min();
        let (begin, end, step) = extent.unwrap_or((first, last, None));
        let step = match (step, gap) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        extent = Some((begin.min(first), end.max(last), step));
    }
    extent
}

fn milliseconds(seconds: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of a number that is too large stays at the end of the range"
    )]
    let milliseconds = (seconds * 1000.0).round() as i64;
    milliseconds
}

/// The reason in the body of an answer with an error, shortened.
pub(super) fn reason(body: &[u8]) -> Option<String> {
    let gist: Gist<'_> = serde_json::from_slice(body).ok()?;
    gist.error.as_deref().map(shortened)
}

fn shortened(text: &str) -> String {
    let cut = text
        .get(..text.floor_char_boundary(MESSAGE_BYTES))
        .unwrap_or(text);
    cut.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::{super::Grid, *};

    const ANSWER: &str = r#"{"status":"success","warnings":["partial"],"data":{"resultType":"matrix","result":[
        {"metric":{"pod":"a"},"values":[[10,"1"],[20,"NaN"],[30.001,"+Inf"]]},
        {"metric":{"pod":"b"},"values":[[40,"2"]]}]}}"#;

    #[test]
    fn series_are_read_with_their_labels() {
        let mut collector = Collector::new(Grid::new(0, 60_000, 10_000).unwrap());
        assert_eq!(
            read(ANSWER.as_bytes(), &mut collector).unwrap(),
            ["partial"]
        );
        let series = collector.finish();
        assert_eq!(series[0].label("pod"), "a");
        assert_eq!(series[0].get(1), Some(1.0));
        assert_eq!(series[0].get(2), None);
        assert_eq!(series[1].get(4), Some(2.0));
    }

    #[test]
    fn native_histograms_become_buckets_at_their_own_bounds() {
        let answer = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"pod":"a"},"histograms":[
            [10,{"count":"3","sum":"1","buckets":[[0,"0.5","1","3"]]}],
            [20,{"count":"7","sum":"9","buckets":[[0,"0.5","1","3"],[0,"1","2","1"],[0,"4","8","3"]]}]]}]}}"#;
        let mut collector = Collector::new(Grid::new(0, 60_000, 10_000).unwrap());
        read(answer.as_bytes(), &mut collector).unwrap();
        let series = collector.finish();
        let at = |le: &str, index: usize| {
            let mut found = series.iter().filter(|one| one.label("le") == le);
            found.next().and_then(|one| one.get(index))
        };
        assert_eq!(
            [at("0.5", 1), at("1", 1), at("2", 1), at("inf", 1)],
            [Some(0.0), Some(3.0), None, Some(3.0)]
        );
        assert_eq!(
            [at("1", 2), at("2", 2), at("4", 2), at("8", 2)],
            [Some(3.0), Some(4.0), Some(4.0), Some(7.0)]
        );
        assert_eq!(at(WIDEST, 2), Some(2.0));
    }

    #[test]
    fn the_extent_of_saved_answers_is_known() {
        let body: Body<'_> = serde_json::from_str(ANSWER).unwrap();
        assert_eq!(extent(&body), Some((10_000, 40_000, Some(10_000))));
    }

    #[test]
    fn what_is_no_history_is_refused() {
        let mut collector = Collector::new(Grid::new(0, 60_000, 10_000).unwrap());
        for (body, word) in [
            ("<html>", "not from Prometheus"),
            (r#"{"status":"error","error":"parse error"}"#, "parse error"),
            (
                r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#,
                "no history",
            ),
            (
                r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#,
                "query_range",
            ),
            (
                r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{"count":"many"}]]}]}}"#,
                "native",
            ),
        ] {
            let why = read(body.as_bytes(), &mut collector)
                .unwrap_err()
                .to_string();
            assert!(why.contains(word), "{why}");
        }
    }
}
