//! One number against its bounds.

use belay_api::analysis::arguments;
use belay_engine::{analysis::threshold, gate::Result as GateResult};
use belay_promql::Role;
use jiff::Timestamp;

use super::{Asker, Measured};
use crate::{
    gates::{Gated, measure::Task, question::ThresholdQuestion},
    prometheus::About,
};

impl Asker {
    pub(super) async fn threshold<K: Gated>(
        &self,
        task: &Task<K>,
        question: &ThresholdQuestion,
        due_at: Timestamp,
    ) -> Result<Measured, String> {
        let whom = self.whom(task, &question.server).await?;
        let values = self.values_for(task, &whom, &[&question.query]).await?;
        let query = arguments::fill(&question.query, &values).map_err(|error| error.to_string())?;
        let about = About::Now { not_before: due_at };
        let reply = self.put(&whom, query.clone(), about).await;
        let answer = match &reply.outcome {
            Ok(answer) => answer,
            Err(why) => return Ok((reply.at, GateResult::Error { why: why.clone() })),
        };
        let memory = &task.memory;
        let result = if answer.is_empty() {
            let why = self.why_empty(&whom, &query, about, memory).await;
            GateResult::NoData { why }
        } else {
            self.doubt_ranges(&whom, &query, Role::Threshold, memory)
                .await;
            threshold::judge(&answer.numbers(), question.bounds)
        };
        Ok((reply.at, with_warnings(result, &reply.warnings)))
    }
}

/// Warnings (such as a partial answer) stand beside the number, so that nobody takes it for more than it is.
fn with_warnings(result: GateResult, warnings: &[String]) -> GateResult {
    let Some(warning) = warnings.first() else {
        return result;
    };
    let add = |text: String| format!("{text} (Prometheus warns: {warning})");
    match result {
        GateResult::Pass { value } => GateResult::Pass { value: add(value) },
        GateResult::Fail { value, why } => GateResult::Fail {
            value,
            why: add(why),
        },
        GateResult::Continue { why } => GateResult::Continue { why: add(why) },
        GateResult::Frozen { why } => GateResult::Frozen { why: add(why) },
        counted @ (GateResult::Counted(_) | GateResult::Unchanged | GateResult::NoBaseline) => {
            counted
        }
        GateResult::NoData { why } => GateResult::NoData { why: add(why) },
        GateResult::Error { why } => GateResult::Error { why: add(why) },
    }
}
