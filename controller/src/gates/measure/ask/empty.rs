//! Why a query gives no series: because of a name that never existed, or because there is nothing at present.
//!
//! Invariant: what is said of a metric or label is what this Prometheus answered about it. Of a query that holds a Secret's value
//! nothing is quoted.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use belay_promql::selector::{Place, Selector, selectors};

use super::{Asker, access::Whom};
use crate::{
    gates::measure::memory::Memory,
    prometheus::{About, Data, Words},
};

/// Label that tells the answers about several selectors apart.
const CLASS: &str = "belay_selector";

/// Selectors of one query that are asked about, and matchers of one selector.
const MOST: usize = 24;

/// How long an explanation is told before Prometheus is asked for it anew.
const TOLD_FOR: Duration = Duration::from_mins(1);

/// What is said when nothing can be found out.
const UNKNOWN: &str =
    "the query gave no series; check its metric names and labels, and that these pods are scraped";

impl Asker {
    /// Why `query`, whose holes are filled, gives no series at `about`, in one sentence.
    pub(super) async fn why_empty(
        &self,
        whom: &Whom,
        query: &str,
        about: About,
        memory: &Memory,
    ) -> String {
        if let Some((since, why)) = memory.empty().as_ref()
            && since.elapsed() < TOLD_FOR
        {
            return why.clone();
        }
        let why = self.explained(whom, query, about).await;
        let why = why.unwrap_or_else(|| UNKNOWN.to_owned());
        *memory.empty() = Some((Instant::now(), why.clone()));
        why
    }

    async fn explained(&self, whom: &Whom, query: &str, about: About) -> Option<String> {
        let mut all = selectors(query);
        all.truncate(MOST);
        let of_last_hour = all
            .iter()
            .map(|one| format!("last_over_time({}[1h])", one.text));
        let there = self.there(whom, of_last_hour, about).await?;
        let absent = |place: &usize| !there.contains(place);
        let needed = |place: &usize| {
            all.get(*place)
                .is_some_and(|one| one.place != Place::Replaceable)
        };
        let culprit = (0..all.len()).filter(absent).find(needed);
        let culprit = culprit.or_else(|| there.is_empty().then_some(0));
        let Some(culprit) = culprit.and_then(|place| all.get(place)) else {
            return Some("the query gives no series any more, though there were some in the last hour; check that these pods are still scraped, and that both sides of each operator have the same labels".to_owned());
        };
        if whom.words() == Words::Withheld {
            return Some("the query gave no series, and for a part of it there was none in the last hour: a metric or label in it is most likely misspelt, or never existed".to_owned());
        }
        let what = self.misspelt(whom, culprit, about).await;
        Some(what.unwrap_or_else(|| {
            format!(
                "the query gave no series, and there was none of `{}` in the last hour: its name or a label is most likely misspelt, or never existed",
                culprit.text
            )
        }))
    }

    /// Which part of a selector that has no series selects nothing by itself.
    async fn misspelt(&self, whom: &Whom, culprit: &Selector, about: About) -> Option<String> {
        let metric = culprit.metric.as_deref()?;
        let with = |matcher: &str| format!("{{__name__=\"{metric}\",{matcher}}}");
        let matchers = culprit.matchers.iter().take(MOST);
        let alone = [format!("{{__name__=\"{metric}\"}}")];
        let parts = alone
            .into_iter()
            .chain(matchers.clone().map(|one| with(one)));
        let there = self.there(whom, parts, about).await?;
        if !there.contains(&0) {
            return Some(format!(
                "the query gave no series: this Prometheus has no metric `{metric}`; its name is most likely misspelt, or it never existed: compare it with what the pods expose, and check that they are scraped"
            ));
        }
        let absent = matchers
            .enumerate()
            .find(|(place, _)| !there.contains(&(place + 1)));
        let Some((_, matcher)) = absent else {
            return Some(format!(
                "the query gave no series: there are some of `{metric}`, and none that fits all of {} at once, now or in the last hour; compare it with the labels of one of them, and check that these pods are scraped",
                culprit.matchers.join(", ")
            ));
        };
        let counted = if culprit.place == Place::Counted {
            ". If such a thing just never happened, write (… or vector(0)) above the fraction line, so that it counts as none"
        } else {
            ""
        };
        Some(format!(
            "the query gave no series: there are some of `{metric}`, and none with `{matcher}`, now or in the last hour; the label or its value is most likely misspelt, or never existed: compare it with the labels of one of them{counted}"
        ))
    }

    /// Places of those of `parts` that have series; nothing if that can't be found out.
    async fn there(
        &self,
        whom: &Whom,
        parts: impl Iterator<Item = String>,
        about: About,
    ) -> Option<BTreeSet<usize>> {
        let counted = parts.enumerate().map(|(place, part)| {
            format!("label_replace(count({part}), \"{CLASS}\", \"{place}\", \"\", \"\")")
        });
        let counted: Vec<String> = counted.collect();
        if counted.is_empty() {
            return None;
        }
        let reply = self.put(whom, counted.join(" or "), about).await;
        let Ok(Data::Vector(series)) = reply.whole().map(AsRef::as_ref) else {
            return None;
        };
        let places = series
            .iter()
            .filter_map(|one| one.metric.get(CLASS)?.parse().ok());
        Some(places.collect())
    }
}
