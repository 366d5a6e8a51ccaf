//! Gates that run a Job.
//!
//! A Job is made for each measurement that counts: its name follows from the trial, the gate, the step and the round, so whoever
//! asks again (after a restart, say) finds the same one. Everything is done in the name of the service account that the gate names.
//!
//! Invariant: a Job that is not ours, by its owner's UID and its trial, is never taken for an answer and never deleted. Values of
//! Secrets that its pods refer to are not shown, and when they can't be read, neither is the log.

mod build;
mod log;
mod outcome;
mod start;
pub(crate) mod sweep;

use std::{pin::pin, sync::Arc, time::Duration};

use belay_api::{
    analysis::JobGate,
    names::{PROBE_LABEL, TRIAL_LABEL},
};
use belay_engine::gate::Result as GateResult;
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, PostParams, Preconditions, PropagationPolicy},
    core::Status,
    runtime::wait::await_condition,
};

use super::http::Values;
use crate::{
    Error,
    apply::{Failure, Identities, Identity, failure::Secrecy},
    client::bounded,
    lease::Term,
};

/// How much longer than the Job's own deadline its end is waited for.
const DEADLINE_SLACK: Duration = Duration::from_mins(2);

/// Wait after a watch that broke; it doubles up to [`WATCH_RETRY_MAX`].
const WATCH_RETRY: Duration = Duration::from_millis(500);

/// Longest wait after a watch that broke.
const WATCH_RETRY_MAX: Duration = Duration::from_secs(15);

/// A Job that one gate runs. Its holes are filled when it is created.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobQuestion {
    gate: JobGate,
}

/// For whom, and for which measurement, a Job runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ticket {
    /// Namespace of the Rollout or Release.
    pub(crate) namespace: String,
    /// The Rollout or Release.
    pub(crate) owner: OwnerReference,
    /// Its trial.
    pub(crate) trial: String,
    /// The gate, with the name of its template.
    pub(crate) gate: String,
    /// The step, the promotion or the bake.
    pub(crate) segment: String,
    /// Which of the segment's measurements.
    pub(crate) round: u32,
}

impl JobQuestion {
    pub(crate) fn new(gate: &JobGate) -> Self {
        Self { gate: gate.clone() }
    }

    /// The service account in whose name it runs.
    pub(crate) fn account(&self) -> &str {
        &self.gate.service_account_name
    }

    /// Whether it can be run with these values. `secret` are the names of arguments that come from Secrets.
    pub(crate) fn check(&self, values: &Values, secret: &[&str]) -> Result<(), String> {
        build::spec(&self.gate, values, secret).map(drop)
    }
}

/// Runs Jobs.
pub(crate) struct Jobs {
    own: Client,
    identities: Arc<Identities>,
    term: Term,
}

impl Jobs {
    /// `own` is the client with Belay's own identity.
    pub(crate) fn new(own: Client, identities: Arc<Identities>, term: Term) -> Self {
        Self {
            own,
            identities,
            term,
        }
    }

    /// Sees to it that the Job of `ticket` exists, waits for its end and says what it means.
    pub(crate) async fn run(
        &self,
        question: &JobQuestion,
        ticket: &Ticket,
        values: &Values,
        secret: &[&str],
    ) -> Result<GateResult, String> {
        let identity = Identity {
            namespace: ticket.namespace.clone(),
            name: question.gate.service_account_name.clone(),
        };
        let client = self.identities.client(&identity);
        let account = Account {
            client: client.map_err(|failure| failure.to_string())?,
            identity,
        };
        let name = build::name(ticket);
        let job = if let Some(job) = account.find(&name).await? {
            job
        } else {
            let spec = build::spec(&question.gate, values, secret)?;
            self.create(&account, ticket, &name, &spec).await?
        };
        ours(&job, ticket)?;
        let (job, hindrance) = Box::pin(account.ended(job)).await?;
        let Some(job) = job else {
            return Ok(GateResult::Error {
                why: format!("Job {name} was deleted before it ended; it is created anew"),
            });
        };
        let outcome = outcome::of(&job).ok_or_else(|| {
            format!("Job {name} did not end in time; see whether it is suspended")
        })?;
        if let Some(why) = hindrance.filter(|_| outcome.is_late()) {
            self.delete(&account, &job).await?;
            return Ok(GateResult::Error {
                why: format!(
                    "Job {name} could not start before its deadline, so it is created anew: {why}"
                ),
            });
        }
        let tail = match outcome {
            outcome::Outcome::Succeeded { .. } => log::Tail::default(),
            outcome::Outcome::Failed { .. } => {
                log::tail(&account, &self.own, &job, question.gate.log_lines).await
            }
        };
        Ok(outcome.result(&name, &tail))
    }

    async fn create(
        &self,
        account: &Account,
        ticket: &Ticket,
        name: &str,
        spec: &serde_json::Value,
    ) -> Result<Job, String> {
        self.term.check().map_err(|error| error.to_string())?;
        let job: DynamicObject = serde_json::from_value(build::job(ticket, name, spec))
            .map_err(|_| "the spec is not that of a Job".to_owned())?;
        // Raw JSON: a typed Job would drop fields that it does not know.
        let api: Api<DynamicObject> = Api::namespaced_with(
            account.client.clone(),
            &account.identity.namespace,
            &ApiResource::erase::<Job>(&()),
        );
        let created = bounded("creating a Job", api.create(&PostParams::default(), &job)).await;
        match created {
            Ok(_) => {
                let Ticket {
                    namespace, gate, ..
                } = ticket;
                tracing::info!(namespace, job = name, gate, "started a Job");
            }
            // Somebody was faster: most likely an earlier self whose answer got lost.
            Err(Error::Kube(kube::Error::Api(status))) if status.is_already_exists() => {}
            Err(error) => return Err(account.refusal("create", "jobs.batch", &error)),
        }
        account
            .find(name)
            .await?
            .ok_or_else(|| format!("Job {name} was deleted as soon as it was created"))
    }

    /// Deletes a Job of ours that was never carried out.
    async fn delete(&self, account: &Account, job: &Job) -> Result<(), String> {
        self.term.check().map_err(|error| error.to_string())?;
        let deleted = delete(&account.jobs(), job).await;
        deleted.map_err(|error| account.refusal("delete", "jobs.batch", &error))
    }
}

/// Deletes exactly this Job with its pods, if it is still there.
async fn delete(api: &Api<Job>, job: &Job) -> crate::Result<()> {
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions {
            uid: job.uid(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match bounded("deleting a Job", api.delete(&job.name_any(), &parameters)).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}

/// A service account, and a client that acts in its name.
struct Account {
    client: Client,
    identity: Identity,
}

impl Account {
    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.identity.namespace)
    }

    fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.client.clone(), &self.identity.namespace)
    }

    async fn find(&self, name: &str) -> Result<Option<Job>, String> {
        let api = self.jobs();
        bounded("looking for a Job", api.get_opt(name))
            .await
            .map_err(|error| self.refusal("get", "jobs.batch", &error))
    }

    /// The Job once it has ended, or as it is when that takes too long; nothing if it is deleted. And what kept its pods from
    /// starting, if that was seen.
    async fn ended(&self, job: Job) -> Result<(Option<Job>, Option<String>), String> {
        if outcome::of(&job).is_some() {
            return Ok((Some(job), None));
        }
        let name = job.name_any();
        let limit = outcome::deadline(&job).saturating_add(DEADLINE_SLACK);
        let mut ended = pin!(tokio::time::timeout(limit, self.watched(&name)));
        let mut looked = pin!(self.hindrance(&job));
        let mut hindrance = None;
        let ended = tokio::select! {
            ended = &mut ended => ended,
            seen = &mut looked => {
                hindrance = seen;
                ended.await
            }
        };
        match ended {
            Ok(ended) => Ok((ended?, hindrance)),
            Err(_) => Ok((self.find(&name).await?, hindrance)),
        }
    }

    /// Follows the Job until it ends or is deleted; a broken watch begins again.
    async fn watched(&self, name: &str) -> Result<Option<Job>, String> {
        let mut wait = WATCH_RETRY;
        loop {
            let is_over = |job: Option<&Job>| job.is_none_or(|job| outcome::of(job).is_some());
            let error = match await_condition(self.jobs(), name, is_over).await {
                Ok(job) => return Ok(job),
                Err(error) => error,
            };
            if let Some(status) = answered(&error)
                && matches!(status.code, 401 | 403)
            {
                return Err(self.forbidden("watch", "jobs.batch", status));
            }
            tracing::debug!(job = name, %error, "a watch broke; it begins again");
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(WATCH_RETRY_MAX);
        }
    }

    /// Why the API server did not do it. There are no values of Secrets in what it was sent, so its words may be repeated.
    fn refusal(&self, verb: &str, what: &str, error: &Error) -> String {
        match error {
            Error::Kube(kube::Error::Api(status)) if status.is_forbidden() => {
                self.forbidden(verb, what, status)
            }
            Error::Kube(error) => {
                let failure = Failure::of(error, Secrecy::Open);
                format!("can't {verb} {what}: {failure}")
            }
            other => other.to_string(),
        }
    }

    fn forbidden(&self, verb: &str, what: &str, status: &Status) -> String {
        let Identity { namespace, name } = &self.identity;
        if status.message.contains("cannot impersonate") {
            return format!(
                "this namespace does not let Belay act for ServiceAccount {namespace}/{name}: bind the chart's tenant role to Belay's service account in it"
            );
        }
        format!(
            "ServiceAccount {namespace}/{name} must be allowed to {verb} {what}: {}",
            status.message
        )
    }
}

/// The API server's answer that ended a watch, if that is what ended it.
fn answered(error: &kube::runtime::wait::Error) -> Option<&Status> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(kube::Error::Api(status)) = error.downcast_ref::<kube::Error>() {
            return Some(status);
        }
        if let Some(status) = error.downcast_ref::<Status>() {
            return Some(status);
        }
        cause = error.source();
    }
    None
}

/// Whether `job` is the one of this ticket.
fn ours(job: &Job, ticket: &Ticket) -> Result<(), String> {
    let name = job.name_any();
    let owned = job
        .owner_references()
        .iter()
        .any(|owner| owner.uid == ticket.owner.uid);
    let labels = job.labels();
    let labelled = labels.get(PROBE_LABEL) == Some(&ticket.owner.uid)
        && labels.get(TRIAL_LABEL) == Some(&ticket.trial);
    if !(owned && labelled) {
        return Err(format!(
            "there is a Job {name} that this gate has not created; delete it"
        ));
    }
    if job.metadata.deletion_timestamp.is_some() {
        return Err(format!("Job {name} is being deleted"));
    }
    Ok(())
}
