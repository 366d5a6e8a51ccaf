//! How fast an error budget is spent, what this rollout has spent of it, and whether enough is left to go forward.
//!
//! Invariant: only spending fails a change. A budget that is used up holds it, and a rollback does not ask.

use std::{collections::HashMap, sync::Arc, time::Duration};

use belay_api::analysis::budget::{Budget as Watched, CLASS, Ratios, name, name_of_all};
use belay_engine::{
    analysis::burn_rate::{Objective, Ratio},
    gate::Result as GateResult,
};
use belay_promql::Role;
use jiff::Timestamp;

use super::{Asker, Measured, access::Whom};
use crate::{
    gates::{
        Gated,
        measure::{Task, memory::Budget},
        question::BurnRateQuestion,
    },
    prometheus::{About, Data, data::Sample},
};

/// How long the answer about the whole period holds where it is not recorded: the query is costly, and its answer moves slowly.
const PERIOD_AGE: Duration = Duration::from_mins(5);

/// Whom to ask, and for what.
struct Asking<'a> {
    whom: Whom,
    watched: &'a Watched,
    ratios: Ratios,
}

impl Asker {
    pub(super) async fn burn_rate<K: Gated>(
        &self,
        task: &Task<K>,
        question: &BurnRateQuestion,
        due_at: Timestamp,
    ) -> Result<Measured, String> {
        let whom = self.whom(task, &question.server).await?;
        let watched = &question.budget;
        let values = self.values_for(task, &whom, &watched.texts()).await?;
        let ratios = watched.ratios(&values)?;
        let asking = Asking {
            whom,
            watched,
            ratios,
        };
        let Asking { whom, ratios, .. } = &asking;
        let now = Timestamp::now();
        let elapsed =
            Duration::try_from(now.duration_since(task.trial.started_at)).unwrap_or_default();
        let elapsed = Duration::from_secs(elapsed.as_secs());
        let pairs = watched.pairs();
        let query = ratios.query(&pairs, elapsed)?;
        let about = About::Now { not_before: due_at };
        let (at, data) = self.answer(whom, query, about).await?;
        // The shortest of them, in which a range that is too short shows first.
        let short = ratios.over(watched.windows().short)?;
        if data.is_empty() {
            let why = self.why_empty(whom, &short, about, &task.memory).await;
            return Ok((at, GateResult::NoData { why }));
        }
        self.doubt_ranges(whom, &short, Role::ErrorRatio, &task.memory)
            .await;
        let shares = by_window(&data)?;
        let ratio = |window: Duration| Ratio {
            bad_share: shares.get(&name(window)).copied(),
            total: shares.get(&name_of_all(window)).copied(),
        };
        let measured: Vec<_> = pairs
            .into_iter()
            .map(|pair| (pair, ratio(pair.long), ratio(pair.short)))
            .collect();
        let burning = watched.objective.judge(&measured);
        if !matches!(burning, GateResult::Pass { .. }) {
            return Ok((at, burning));
        }
        let rollout = shares.get("rollout").map(|share| (*share, elapsed));
        let spending = self.spending(task, &asking, rollout).await?;
        Ok((at, spending.unwrap_or(burning)))
    }

    /// What is to say about the budget as a whole, of which this rollout has spent a share of bad events over some time; nothing if
    /// that is all right.
    async fn spending<K: Gated>(
        &self,
        task: &Task<K>,
        asking: &Asking<'_>,
        rollout: Option<(f64, Duration)>,
    ) -> Result<Option<GateResult>, String> {
        let mut budget = task.memory.budget.lock().await;
        let watched = asking.watched;
        if let Some((bad_share, elapsed)) = rollout {
            let ordinary = self.ordinary(task, asking, &mut budget).await?;
            let spent = watched.objective.spent(bad_share, ordinary, elapsed);
            let judged = Objective::judge_spent(spent, watched.most_spent);
            if matches!(judged, GateResult::Fail { .. }) {
                return Ok(Some(judged));
            }
        }
        let Some(least) = watched.least_remaining else {
            return Ok(None);
        };
        let Some(remaining) = self.remaining(asking, &mut budget).await? else {
            let why = "there is no error ratio over the whole period, so it is not known how much of the budget is left";
            return Ok(Some(GateResult::NoData {
                why: why.to_owned(),
            }));
        };
        let before = *budget.admission.get_or_insert(task.admission);
        let admission = before.next(remaining, least);
        budget.admission = Some(admission);
        Ok(Some(admission.judge(remaining, least)))
    }

    /// The share of bad events in the hour before the trial; none counts as no bad events.
    async fn ordinary<K: Gated>(
        &self,
        task: &Task<K>,
        asking: &Asking<'_>,
        budget: &mut Budget,
    ) -> Result<f64, String> {
        if let Some(ordinary) = budget.ordinary {
            return Ok(ordinary);
        }
        let about = About::Time(task.trial.started_at);
        let query = asking.ratios.over(asking.watched.windows().long)?;
        let (_, data) = self.answer(&asking.whom, query, about).await?;
        let ordinary = only(&data)?.unwrap_or_default();
        budget.ordinary = Some(ordinary);
        Ok(ordinary)
    }

    /// The share of the budget that is left, as it was at most a few minutes ago where it is costly to know.
    async fn remaining(
        &self,
        asking: &Asking<'_>,
        budget: &mut Budget,
    ) -> Result<Option<f64>, String> {
        let now = Timestamp::now();
        if let Some((at, remaining)) = budget.remaining
            && !asking.watched.is_recorded()
            && Duration::try_from(now.duration_since(at)).is_ok_and(|age| age < PERIOD_AGE)
        {
            return Ok(Some(remaining));
        }
        let about = About::Now { not_before: now };
        let query = asking.ratios.whole_period()?;
        let (at, data) = self.answer(&asking.whom, query, about).await?;
        let objective = asking.watched.objective;
        let remaining = only(&data)?.and_then(|share| objective.remaining(share));
        budget.remaining = remaining.map(|remaining| (at, remaining));
        Ok(remaining)
    }

    async fn answer(
        &self,
        whom: &Whom,
        query: String,
        about: About,
    ) -> Result<(Timestamp, Arc<Data>), String> {
        let reply = self.put(whom, query, about).await;
        Ok((reply.at, Arc::clone(reply.whole()?)))
    }
}

/// Shares of bad events by window. What is no number is absent.
fn by_window(data: &Data) -> Result<HashMap<String, f64>, String> {
    let Data::Vector(series) = data else {
        return Err(
            "the error ratio is not a series; give a query such as sum(…) / sum(…)".to_owned(),
        );
    };
    let mut shares = HashMap::new();
    for one in series {
        let window = one.metric.get(CLASS).cloned().unwrap_or_default();
        let Some(Sample(_, share)) = one.value.filter(|sample| sample.1.is_finite()) else {
            continue;
        };
        if shares.insert(window, share).is_some() {
            return Err("the error ratio gives several series where one is meant; aggregate both of its parts, for example with sum(…)".to_owned());
        }
    }
    Ok(shares)
}

/// The only number of an answer.
fn only(data: &Data) -> Result<Option<f64>, String> {
    Ok(by_window(data)?.into_values().next())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vector(rows: &[(&str, &str)]) -> Data {
        let rows: Vec<_> = rows
            .iter()
            .map(|(window, value)| json!({"metric": {CLASS: window}, "value": [1, value]}))
            .collect();
        serde_json::from_value(json!({"resultType": "vector", "result": rows})).unwrap()
    }

    #[test]
    fn shares_are_told_apart_by_window_and_what_is_no_number_is_absent() {
        let shares = by_window(&vector(&[("1h", "0.01"), ("5m", "NaN")])).unwrap();
        assert_eq!(shares.len(), 1);
        assert!((shares["1h"] - 0.01).abs() < 1e-12);
    }

    #[test]
    fn several_series_for_a_window_are_refused() {
        let why = by_window(&vector(&[("1h", "0.01"), ("1h", "0.02")])).unwrap_err();
        assert!(why.contains("several series"), "{why}");
    }
}
