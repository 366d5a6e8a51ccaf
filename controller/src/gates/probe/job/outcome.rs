//! What a Job's conditions mean.

use std::time::Duration;

use belay_engine::gate::Result as GateResult;
use k8s_openapi::api::batch::v1::{Job, JobCondition};

use super::log::Tail;

/// How long a Job may run when its template does not say.
pub(super) const DEADLINE: Duration = Duration::from_mins(10);

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It succeeded.
    Succeeded {
        /// How long it ran, in seconds.
        seconds: Option<i64>,
    },
    /// It failed, or did not end within its deadline.
    Failed {
        /// The cluster's word for why.
        reason: String,
    },
}

/// How `job` ended, if it did.
pub(super) fn of(job: &Job) -> Option<Outcome> {
    let status = job.status.as_ref()?;
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let met = |kind: &str| -> Option<&JobCondition> {
        let is_met = |c: &&JobCondition| c.type_ == kind && c.status == "True";
        conditions.iter().find(is_met)
    };
    if met("Complete").is_some() {
        let seconds = status
            .start_time
            .as_ref()
            .zip(status.completion_time.as_ref())
            .map(|(start, end)| end.0.duration_since(start.0).as_secs());
        return Some(Outcome::Succeeded { seconds });
    }
    let failed = met("Failed")?;
    let reason = failed.reason.clone().filter(|reason| !reason.is_empty());
    Some(Outcome::Failed {
        reason: reason.unwrap_or_else(|| "no reason given".to_owned()),
    })
}

/// How long `job` may run.
pub(super) fn deadline(job: &Job) -> Duration {
    let spec = job.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.active_deadline_seconds);
    seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(DEADLINE, Duration::from_secs)
}

impl Outcome {
    /// Whether it failed because it did not end within its deadline.
    pub(super) fn is_late(&self) -> bool {
        matches!(self, Self::Failed { reason } if reason == "DeadlineExceeded")
    }

    /// What it says about the version, with what the pod left behind.
    pub(super) fn result(self, name: &str, tail: &Tail) -> GateResult {
        let reason = match self {
            Self::Succeeded { seconds } => {
                let value = seconds.map_or_else(
                    || "succeeded".to_owned(),
                    |seconds| format!("succeeded in {seconds} s"),
                );
                return GateResult::Pass { value };
            }
            Self::Failed { reason } => reason,
        };
        let (value, how) = match tail.exit_code {
            Some(code) => (
                format!("exit code {code}"),
                format!("{reason}, exit code {code}"),
            ),
            None => (reason.clone(), reason),
        };
        GateResult::Fail {
            value,
            why: format!("Job {name} failed ({how}); {}", tail.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ended(status: &Value) -> Option<Outcome> {
        let job = json!({"metadata": {"name": "smoke"}, "status": status});
        of(&serde_json::from_value(job).unwrap())
    }

    #[test]
    fn only_the_final_conditions_end_a_job() {
        for running in [
            json!({}),
            json!({"active": 1}),
            json!({"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}]}),
            json!({"conditions": [{"type": "FailureTarget", "status": "True", "reason": "PodFailurePolicy"}]}),
            json!({"conditions": [{"type": "Complete", "status": "False"}]}),
            json!({"failed": 1}),
        ] {
            assert_eq!(ended(&running), None, "{running}");
        }
        let done = json!({"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:12Z", "conditions": [{"type": "Complete", "status": "True"}]});
        assert_eq!(ended(&done), Some(Outcome::Succeeded { seconds: Some(12) }));
        let failed = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]});
        let reason = "DeadlineExceeded".to_owned();
        assert_eq!(ended(&failed), Some(Outcome::Failed { reason }));
    }

    #[test]
    fn a_failure_says_how_and_what_the_pod_said() {
        let failed = Outcome::Failed {
            reason: "BackoffLimitExceeded".into(),
        };
        let tail = Tail {
            exit_code: Some(3),
            text: "its log ends: no answer".into(),
        };
        assert_eq!(
            failed.result("smoke-1", &tail),
            GateResult::Fail {
                value: "exit code 3".into(),
                why: "Job smoke-1 failed (BackoffLimitExceeded, exit code 3); its log ends: no answer".into(),
            }
        );
    }
}
