//! How fast an error budget is spent, what this rollout has spent of it, and whether enough is left to go forward.
//!
//! Invariant: only spending fails a change. A budget that is used up holds it, and a rollback does not ask.

use std::{collections::HashMap, time::Duration};

use belay_engine::{
    analysis::burn_rate::{Admission, Objective, Ratio},
    gate::Result as GateResult,
};
use jiff::Timestamp;

use super::{Asker, Measured};
use crate::{
    gates::{
        Gated,
        measure::{Task, memory::Budget},
        question::burn_rate::{BurnRateQuestion, CLASS, Ratios, name},
    },
    prometheus::{About, Data, Question, data::Sample},
};

/// How long the answer about the whole period holds where it is not recorded: the query is costly, and its answer moves slowly.
const PERIOD_AGE: Duration = Duration::from_mins(5);

/// Into how many parts the time of a trial is divided to learn what was said before a restart.
const PARTS_LEARNT: u32 = 12;

/// Shortest of these parts.
const SHORTEST_PART: Duration = Duration::from_secs(15);

/// Window before the rollout that shows the ordinary share of bad events.
const ORDINARY: Duration = Duration::from_hours(1);

impl Asker {
    pub(super) async fn burn_rate<K: Gated>(
        &self,
        task: &Task<K>,
        question: &BurnRateQuestion,
        due_at: Timestamp,
    ) -> Result<Measured, String> {
        let ratios = question.ratios(&self.values(task).await?)?;
        let now = Timestamp::now();
        let elapsed =
            Duration::try_from(now.duration_since(task.trial.started_at)).unwrap_or_default();
        let elapsed = Duration::from_secs(elapsed.as_secs());
        let pairs = question.pairs();
        let query = ratios.query(&pairs, elapsed)?;
        let about = About::Now { not_before: due_at };
        let (at, data) = self.ratio_of(task, question, query, about).await?;
        let shares = by_window(&data)?;
        let ratio = |window: &str| Ratio {
            bad_share: shares.get(window).copied(),
            total: None,
        };
        let measured: Vec<_> = pairs
            .into_iter()
            .map(|pair| (pair, ratio(&name(pair.long)), ratio(&name(pair.short))))
            .collect();
        let burning = question.objective.judge(&measured);
        if !matches!(burning, GateResult::Pass { .. }) {
            return Ok((at, burning));
        }
        let mut budget = task.memory.budget.lock().await;
        if let Some(bad_share) = shares.get("rollout") {
            let ordinary = self.ordinary(task, question, &ratios, &mut budget).await?;
            let spent = question.objective.spent(*bad_share, ordinary, elapsed);
            let judged = Objective::judge_spent(spent, question.most_spent);
            if matches!(judged, GateResult::Fail { .. }) {
                return Ok((at, judged));
            }
        }
        let Some(least) = question.least_remaining else {
            return Ok((at, burning));
        };
        let Some(remaining) = self.remaining(task, question, &ratios, &mut budget).await? else {
            let why = "there is no error ratio over the whole period, so it is not known how much of the budget is left";
            return Ok((
                at,
                GateResult::NoData {
                    why: why.to_owned(),
                },
            ));
        };
        let before = match budget.admission {
            Some(admission) => admission,
            None => {
                self.admission_before(task, question, &ratios, least)
                    .await?
            }
        };
        let admission = before.next(remaining, least);
        budget.admission = Some(admission);
        Ok((at, admission.judge(remaining, least)))
    }

    /// What a gate that knows nothing of before would have said at the end of the trial's time so far. Else a restart would let a
    /// change through that waits for the budget to recover.
    async fn admission_before<K: Gated>(
        &self,
        task: &Task<K>,
        question: &BurnRateQuestion,
        ratios: &Ratios,
        least: f64,
    ) -> Result<Admission, String> {
        let (from, to) = (task.trial.started_at, Timestamp::now());
        let elapsed = Duration::try_from(to.duration_since(from)).unwrap_or_default();
        let step = (elapsed / PARTS_LEARNT).max(SHORTEST_PART);
        let about = About::Range { from, to, step };
        let query = ratios.whole_period()?;
        let (_, data) = self.ratio_of(task, question, query, about).await?;
        let mut admission = Admission::default();
        for (_, data) in data.vectors() {
            let share = only(&data)?;
            if let Some(remaining) = share.and_then(|share| question.objective.remaining(share)) {
                admission = admission.next(remaining, least);
            }
        }
        Ok(admission)
    }

    /// The share of bad events in the hour before the trial; none counts as no bad events.
    async fn ordinary<K: Gated>(
        &self,
        task: &Task<K>,
        question: &BurnRateQuestion,
        ratios: &Ratios,
        budget: &mut Budget,
    ) -> Result<f64, String> {
        if let Some(ordinary) = budget.ordinary {
            return Ok(ordinary);
        }
        let about = About::Time(task.trial.started_at);
        let (_, data) = self
            .ratio_of(task, question, ratios.over(ORDINARY)?, about)
            .await?;
        let ordinary = only(&data)?.unwrap_or_default();
        budget.ordinary = Some(ordinary);
        Ok(ordinary)
    }

    /// The share of the budget that is left, as it was at most a few minutes ago where it is costly to know.
    async fn remaining<K: Gated>(
        &self,
        task: &Task<K>,
        question: &BurnRateQuestion,
        ratios: &Ratios,
        budget: &mut Budget,
    ) -> Result<Option<f64>, String> {
        let now = Timestamp::now();
        if let Some((at, remaining)) = budget.remaining
            && !question.is_recorded()
            && Duration::try_from(now.duration_since(at)).is_ok_and(|age| age < PERIOD_AGE)
        {
            return Ok(Some(remaining));
        }
        let about = About::Now { not_before: now };
        let query = ratios.whole_period()?;
        let (at, data) = self.ratio_of(task, question, query, about).await?;
        let remaining = only(&data)?.and_then(|share| question.objective.remaining(share));
        budget.remaining = remaining.map(|remaining| (at, remaining));
        Ok(remaining)
    }

    async fn ratio_of<K: Gated>(
        &self,
        task: &Task<K>,
        question: &BurnRateQuestion,
        query: String,
        about: About,
    ) -> Result<(Timestamp, Data), String> {
        let (server, access) = self.server(task, &question.server).await?;
        let reply = self
            .prometheus
            .ask(Question {
                server,
                access,
                query,
                about,
                timeout: question.server.timeout,
                words: task.question.arguments.words(),
            })
            .await;
        reply.whole().map(|data| (reply.at, data.clone()))
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
