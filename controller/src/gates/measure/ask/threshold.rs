//! One number against its bounds.

use belay_api::analysis::arguments;
use belay_engine::{analysis::threshold, gate::Result as GateResult};
use jiff::Timestamp;

use super::{Asker, Measured};
use crate::{
    gates::{Gated, measure::Task, question::ThresholdQuestion},
    prometheus::{About, Question},
};

impl Asker {
    pub(super) async fn threshold<K: Gated>(
        &self,
        task: &Task<K>,
        question: &ThresholdQuestion,
        due_at: Timestamp,
    ) -> Result<Measured, String> {
        let values = self.values(task).await?;
        let (server, access) = self.server(task, &question.server).await?;
        let reply = self
            .prometheus
            .ask(Question {
                server,
                access,
                query: arguments::fill(&question.query, &values)
                    .map_err(|error| error.to_string())?,
                timeout: question.server.timeout,
                words: task.question.arguments.words(),
                about: About::Now { not_before: due_at },
            })
            .await;
        let result = match &reply.outcome {
            Ok(answer) => with_warnings(
                threshold::judge(&answer.numbers(), question.bounds),
                &reply.warnings,
            ),
            Err(why) => GateResult::Error { why: why.clone() },
        };
        Ok((reply.at, result))
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
        counted @ (GateResult::Counted(_) | GateResult::Unchanged | GateResult::NoBaseline) => {
            counted
        }
        GateResult::NoData { why } => GateResult::NoData { why: add(why) },
        GateResult::Error { why } => GateResult::Error { why: add(why) },
    }
}
