//! One pass over one Rollout: gather, decide, write, act.

use std::{sync::Arc, time::Duration};

use belay_api::{
    Rollout,
    names::{FIELD_MANAGER, FINALIZER},
};
use belay_engine::rollout::{
    Decision, Effect, Event, EventKind, RolloutStatus, decide, observed::Workload as Seen,
};
use jiff::Timestamp;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::Shell;
use crate::{
    Error, Result,
    client::bounded,
    gates::{outlook, resolve::resolve},
};

/// What comes after a pass.
pub(super) enum Next {
    /// Nothing, until something changes or this much time is over.
    Wait(Option<Duration>),
    /// Another pass at once, for something was changed.
    Again(Arc<Rollout>),
}

impl Shell {
    pub(super) async fn pass(&self, rollout: Arc<Rollout>) -> Result<Next> {
        let ours = rollout.finalizers().iter().any(|name| name == FINALIZER);
        let deleting = rollout.metadata.deletion_timestamp.is_some();
        let rollout = match (ours, deleting) {
            (true, _) => rollout,
            (false, false) => self.add_finalizer(&rollout).await?,
            (false, true) => return Ok(Next::Wait(None)),
        };
        let templates = &self.world.templates;
        let mut resolved = resolve(rollout.as_ref(), templates, &self.world.cluster_templates);
        let on_record = rollout.status.clone().unwrap_or_default();
        let uid = rollout.uid().unwrap_or_default();
        self.measurements.on_record(&uid, &on_record.gates);
        if let Ok(plan) = &mut resolved.plan {
            let known = |gate: &str| self.measurements.known(&uid, gate);
            let doubts = outlook::doubts(plan, &on_record, known);
            plan.doubts.extend(doubts);
            plan.doubts.extend(self.measurements.doubts(&uid));
        }
        let recorded = Arc::clone(&rollout);
        let mut rollout = self.deferred.carry_on(&rollout);
        let routing = resolved
            .plan
            .as_ref()
            .ok()
            .and_then(|plan| plan.routing.as_ref());
        let observed = self.gather(&rollout, routing).await?;
        if let (Ok(plan), Seen::Deployment(workload)) = (&mut resolved.plan, &observed.workload) {
            plan.doubts
                .extend(self.world.first_nodes.doubt(&workload.uid));
        }
        let before = rollout.status.clone().unwrap_or_default();
        let now = Timestamp::now();
        let plan = resolved.plan.as_ref().map_err(String::as_str);
        let decision = decide(plan, &before, &observed, now);
        let mut kept = false;
        if decision.status == on_record {
            self.deferred.settle(&uid);
        } else if let Some(left) = self.deferred.keep(&rollout, &on_record, &decision) {
            if decision.effects.is_empty() {
                self.measurements
                    .plan(&rollout, &decision.measures, &resolved.questions);
                let delay = self.delay(&rollout, decision.wake_at);
                return Ok(Next::Wait(Some(
                    delay.map_or(left, |delay| delay.min(left)),
                )));
            }
            kept = true;
        } else {
            self.deferred.settle(&uid);
            rollout = self.write_status(&rollout, &decision.status).await?;
            self.tell(&rollout, &on_record, &decision, now);
        }
        let finished = decision.effects.contains(&Effect::Finish);
        let acted = !decision.effects.is_empty();
        for effect in decision.effects {
            tracing::debug!(
                namespace = rollout.namespace(),
                name = rollout.name_any(),
                ?effect,
                "acting"
            );
            if let Err(error) = self.act(&rollout, effect).await {
                self.complain(&rollout, &error);
                return Err(error);
            }
        }
        self.complaints.settle(&uid);
        if finished {
            return Ok(Next::Wait(None));
        }
        self.measurements
            .plan(&rollout, &decision.measures, &resolved.questions);
        if acted {
            // The next pass must know what is on record and what is not.
            return Ok(Next::Again(if kept { recorded } else { rollout }));
        }
        Ok(Next::Wait(self.delay(&rollout, decision.wake_at)))
    }

    /// Time until the engine or the look at unready pods wants another pass.
    fn delay(&self, rollout: &Rollout, wake_at: Option<Timestamp>) -> Option<Duration> {
        let wake = wake_at.map(|at| {
            // A moment later than asked for: by then the time asked for is surely over.
            let left = at.duration_since(Timestamp::now());
            Duration::try_from(left).unwrap_or_default() + Duration::from_millis(1)
        });
        let uid = rollout.uid().unwrap_or_default();
        match (wake, self.problems.next_look(&uid)) {
            (Some(wake), Some(look)) => Some(wake.min(look)),
            (one, other) => one.or(other),
        }
    }

    /// Tells people once what the API server refuses: what a rollout waits for then is not to be seen in its status.
    fn complain(&self, rollout: &Rollout, error: &Error) {
        let expected =
            error.is_stale() || matches!(error, Error::NotLeading | Error::Timeout { .. });
        let uid = rollout.uid().unwrap_or_default();
        if expected || !self.complaints.is_new(&uid, error.to_string()) {
            return;
        }
        let event = Event {
            kind: EventKind::Warning,
            reason: "ActFailed".to_owned(),
            message: format!("What was decided can't be done: {error}. It is tried again."),
        };
        let regarding = rollout.object_ref(&());
        self.context.events.publish(&regarding, "Act", &event);
    }

    async fn add_finalizer(&self, rollout: &Rollout) -> Result<Arc<Rollout>> {
        let mut finalizers = rollout.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        self.patch(
            rollout,
            "adding the finalizer",
            &finalizers_patch(rollout, &finalizers),
        )
        .await
    }

    pub(super) async fn remove_finalizer(&self, rollout: &Rollout) -> Result<()> {
        let others = rollout
            .finalizers()
            .iter()
            .filter(|name| *name != FINALIZER);
        let finalizers: Vec<String> = others.cloned().collect();
        let patch = finalizers_patch(rollout, &finalizers);
        match self.patch(rollout, "removing the finalizer", &patch).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn patch(
        &self,
        rollout: &Rollout,
        what: &'static str,
        patch: &Value,
    ) -> Result<Arc<Rollout>> {
        self.context.term.check()?;
        let api = self.rollouts(rollout);
        let (name, parameters, patch) = (rollout.name_any(), parameters(), Patch::Merge(patch));
        let written = bounded(what, api.patch(&name, &parameters, &patch)).await?;
        let written = Arc::new(written);
        self.keep(&written);
        Ok(written)
    }

    /// Writes the whole status, provided the Rollout is still the one that the decision was about.
    async fn write_status(
        &self,
        rollout: &Rollout,
        status: &RolloutStatus,
    ) -> Result<Arc<Rollout>> {
        self.context.term.check()?;
        // A JSON patch replaces the status as a whole: a merge patch would keep fields that are gone from it. Setting the
        // resource version (instead of testing it) makes the API server answer a stale one with a conflict.
        let patch: json_patch::Patch = serde_json::from_value(json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": rollout.resource_version()},
            {"op": "add", "path": "/status", "value": status},
        ]))?;
        let api = self.rollouts(rollout);
        let (name, parameters, patch) =
            (rollout.name_any(), parameters(), Patch::Json::<()>(patch));
        let write = api.patch_status(&name, &parameters, &patch);
        let written = Arc::new(bounded("writing the status", write).await?);
        self.keep(&written);
        Ok(written)
    }

    fn rollouts(&self, rollout: &Rollout) -> Api<Rollout> {
        let namespace = rollout.namespace().unwrap_or_default();
        Api::namespaced(self.context.client.clone(), &namespace)
    }

    /// Tells people and counters what the written status changed.
    fn tell(&self, rollout: &Rollout, before: &RolloutStatus, decision: &Decision, now: Timestamp) {
        let after = &decision.status;
        self.context.metrics.rollouts.count(before, after, now);
        if before.phase != after.phase {
            tracing::info!(
                namespace = rollout.namespace(),
                name = rollout.name_any(),
                from = ?before.phase,
                to = ?after.phase,
                step = after.step_text,
                waiting_for = after.waiting_for.as_ref().map(|waiting| waiting.message.as_str()),
                "phase"
            );
        }
        let regarding = rollout.object_ref(&());
        for event in &decision.events {
            self.context
                .events
                .publish(&regarding, &format!("{:?}", after.phase), event);
        }
    }
}

fn finalizers_patch(rollout: &Rollout, finalizers: &[String]) -> Value {
    json!({"metadata": {
        "resourceVersion": rollout.resource_version(),
        "finalizers": finalizers,
    }})
}

pub(super) fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}
