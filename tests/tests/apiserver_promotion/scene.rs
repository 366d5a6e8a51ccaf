//! Several Releases of one repository, in one namespace or more.

use belay_api::{AnalysisTemplate, Release};
use belay_engine::release::{Phase, ReleaseStatus};
use belay_lab::wait_for_object;
use belay_tests::{
    tenant::{ACCOUNT, Tenant},
    told::condition,
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::SOON;

/// A query without any answer: who waits for it, waits.
pub(crate) const NO_ANSWER: &str = "nothing_is_called_like_this";

/// A query whose answer passes.
pub(crate) const PASSES: &str = "vector(0)";

/// A Release, by the tenant whose namespace it is in and its name.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a>(pub(crate) &'a Tenant, pub(crate) &'a str);

impl Named<'_> {
    fn api(self) -> Api<Release> {
        self.0.api()
    }

    /// Creates it: it follows `path` on `main` of the repository at `url`. `more` goes into its spec.
    pub(crate) async fn create(self, url: &str, path: &str, more: Value) {
        let mut spec = json!({
            "source": {"git": {"url": url, "ref": {"branch": "main"}, "path": path, "interval": "1s"}},
            "serviceAccountName": ACCOUNT,
        });
        let (Some(spec_fields), Value::Object(more)) = (spec.as_object_mut(), more) else {
            panic!("a spec is an object");
        };
        spec_fields.extend(more);
        let release = json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": self.1}, "spec": spec,
        });
        self.0.make::<Release>(release).await.expect("a Release");
    }

    /// Changes its spec.
    pub(crate) async fn change(self, spec: Value) {
        let patch = json!({ "spec": spec });
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
        self.api()
            .patch(self.1, &parameters, &patch)
            .await
            .expect("the patch");
    }

    /// Waits until its status is as wanted.
    pub(crate) async fn wait(
        self,
        what: &str,
        wanted: impl Fn(&ReleaseStatus) -> bool,
    ) -> ReleaseStatus {
        let probe = |release: Option<&Release>| {
            let status = release.and_then(|release| release.status.clone());
            let status = status.ok_or_else(|| "no status".to_owned())?;
            if wanted(&status) {
                return Ok(status);
            }
            let ready = condition(&status.conditions, "Ready");
            Err(format!(
                "{} is not yet {what}: {:?}, asked {:?}, {:?}, {ready:?}",
                self.1, status.phase, status.asked, status.waiting_for
            ))
        };
        wait_for_object(&self.api(), self.1, SOON, probe)
            .await
            .expect(what)
    }

    /// Waits until it is in `phase` at `commit`.
    pub(crate) async fn is(self, phase: Phase, commit: &str) -> ReleaseStatus {
        self.wait(&format!("{phase:?} at {commit}"), |status| {
            let asked = status.asked.as_ref();
            status.phase == phase && asked.is_some_and(|asked| asked.revision.ends_with(commit))
        })
        .await
    }

    /// Waits until it says that it waits for `reason`, and gives the sentence.
    pub(crate) async fn waits_for(self, reason: &str) -> String {
        let status = self
            .wait(&format!("waiting for {reason}"), |status| {
                let waiting = status.waiting_for.as_ref();
                waiting.is_some_and(|waiting| waiting.reason == reason)
            })
            .await;
        status.waiting_for.expect("it waits").message
    }
}

/// A template of one gate, `slo`, that asks `query`.
pub(crate) async fn make_gate(tenant: &Tenant, query: &str) {
    let template = json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "slo"},
        "spec": gate(query),
    });
    tenant
        .make::<AnalysisTemplate>(template)
        .await
        .expect("a template");
}

/// Has the gate ask something else.
pub(crate) async fn ask(tenant: &Tenant, query: &str) {
    let patch = json!({ "spec": gate(query) });
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    tenant
        .api::<AnalysisTemplate>()
        .patch("slo", &parameters, &patch)
        .await
        .expect("the patch");
}

fn gate(query: &str) -> Value {
    json!({"gates": [{"name": "value", "interval": "1s", "successCount": 1,
        "prometheus": {"query": query, "threshold": {"max": 0.5}}}]})
}
