//! One pass over one Release: gather, decide, write, act.

use std::{sync::Arc, time::Duration};

use belay_api::{
    Release,
    names::{FIELD_MANAGER, FINALIZER},
};
use belay_engine::release::{Decision, Effect, ReleaseStatus, decide};
use jiff::Timestamp;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{Shell, gather::Gathered, memory::Memory};
use crate::{Result, client::bounded, gates::resolve::resolve};

/// Longest time between two looks that are waited for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What comes after a pass.
pub(super) enum Next {
    /// Nothing, until something changes or this much time is over.
    Wait(Option<Duration>),
    /// Another pass at once, for something was changed.
    Again(Arc<Release>),
}

impl Shell {
    pub(super) async fn pass(&self, release: Arc<Release>, memory: &mut Memory) -> Result<Next> {
        let ours = release.finalizers().iter().any(|name| name == FINALIZER);
        let deleting = release.metadata.deletion_timestamp.is_some();
        let mut release = match (ours, deleting) {
            (true, _) => release,
            (false, false) => self.add_finalizer(&release).await?,
            (false, true) => return Ok(Next::Wait(None)),
        };
        let Some(cluster) = self.locate(&release, memory)? else {
            // Whoever finds it out has the Release looked at again.
            return Ok(Next::Wait(None));
        };
        let Gathered {
            observed,
            look_again,
            locked_out,
        } = match self.gather(&release, memory, cluster).await {
            Ok(gathered) => gathered,
            Err(error) => {
                memory.doubt();
                return Err(error);
            }
        };
        let mut resolved = resolve(
            release.as_ref(),
            &self.world.templates,
            &self.world.cluster_templates,
        );
        if let Ok(plan) = &mut resolved.plan {
            let uid = release.uid().unwrap_or_default();
            plan.doubts.extend(self.measurements.doubts(&uid));
        }
        if let Some(why) = locked_out {
            resolved.plan = Err(why);
        }
        let before = release.status.clone().unwrap_or_default();
        let now = Timestamp::now();
        let decision = decide(
            resolved.plan.as_ref().map_err(String::as_str),
            &before,
            &observed,
            now,
        );
        if decision.status != before {
            release = self.write_status(&release, &decision.status).await?;
            self.tell(&release, &before, &decision, now);
        }
        let finished = decision.effects.contains(&Effect::Finish);
        let acted = !decision.effects.is_empty();
        for effect in decision.effects {
            tracing::debug!(
                namespace = release.namespace(),
                name = release.name_any(),
                ?effect,
                "acting"
            );
            if !self.act(&release, memory, effect).await? {
                break;
            }
        }
        if finished {
            return Ok(Next::Wait(None));
        }
        self.measurements
            .plan(&release, &decision.measures, &resolved.questions);
        if acted {
            return Ok(Next::Again(release));
        }
        let wake = decision.wake_at.map(until);
        Ok(Next::Wait(match (wake, look_again) {
            (Some(wake), Some(look)) => Some(wake.min(look)),
            (one, other) => one.or(other),
        }))
    }

    async fn add_finalizer(&self, release: &Release) -> Result<Arc<Release>> {
        let mut finalizers = release.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        let patch = finalizers_patch(release, &finalizers);
        self.patch(release, "adding the finalizer", &patch).await
    }

    pub(super) async fn remove_finalizer(&self, release: &Release) -> Result<()> {
        let others = release
            .finalizers()
            .iter()
            .filter(|name| *name != FINALIZER);
        let finalizers: Vec<String> = others.cloned().collect();
        let patch = finalizers_patch(release, &finalizers);
        match self.patch(release, "removing the finalizer", &patch).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn patch(
        &self,
        release: &Release,
        what: &'static str,
        patch: &Value,
    ) -> Result<Arc<Release>> {
        self.context.term.check()?;
        let api = self.api(release);
        let (name, parameters, patch) = (release.name_any(), parameters(), Patch::Merge(patch));
        let written = Arc::new(bounded(what, api.patch(&name, &parameters, &patch)).await?);
        self.keep(&written);
        Ok(written)
    }

    /// Writes the whole status, provided the Release is still the one that the decision was about.
    async fn write_status(
        &self,
        release: &Release,
        status: &ReleaseStatus,
    ) -> Result<Arc<Release>> {
        self.context.term.check()?;
        // A JSON patch replaces the status as a whole: a merge patch would keep fields that are gone from it. Setting the
        // resource version (instead of testing it) makes the API server answer a stale one with a conflict.
        let patch: json_patch::Patch = serde_json::from_value(json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": release.resource_version()},
            {"op": "add", "path": "/status", "value": status},
        ]))?;
        let api = self.api(release);
        let (name, parameters, patch) =
            (release.name_any(), parameters(), Patch::Json::<()>(patch));
        let write = api.patch_status(&name, &parameters, &patch);
        let written = Arc::new(bounded("writing the status", write).await?);
        self.keep(&written);
        Ok(written)
    }

    fn api(&self, release: &Release) -> Api<Release> {
        let namespace = release.namespace().unwrap_or_default();
        Api::namespaced(self.context.client.clone(), &namespace)
    }

    /// Tells people and counters what the written status changed.
    fn tell(&self, release: &Release, before: &ReleaseStatus, decision: &Decision, now: Timestamp) {
        let after = &decision.status;
        self.context.metrics.releases.count(before, after, now);
        if before.phase != after.phase {
            tracing::info!(
                namespace = release.namespace(),
                name = release.name_any(),
                from = ?before.phase,
                to = ?after.phase,
                revision = after.asked.as_ref().map(|asked| asked.revision.as_str()),
                waiting_for = after.waiting_for.as_ref().map(|waiting| waiting.message.as_str()),
                "phase"
            );
        }
        let regarding = release.object_ref(&());
        for event in &decision.events {
            self.context
                .events
                .publish(&regarding, &format!("{:?}", after.phase), event);
        }
    }
}

/// Time until `at`, and a moment more: by then it is surely over. A time far away is looked at in between, which costs nothing.
fn until(at: Timestamp) -> Duration {
    let left = at.duration_since(Timestamp::now());
    let left = Duration::try_from(left)
        .unwrap_or_default()
        .min(LONGEST_WAIT);
    left + Duration::from_millis(1)
}

fn finalizers_patch(release: &Release, finalizers: &[String]) -> Value {
    json!({"metadata": {
        "resourceVersion": release.resource_version(),
        "finalizers": finalizers,
    }})
}

pub(super) fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}
