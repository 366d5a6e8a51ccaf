//! One object: what is there, and what the API server would make of the new state.

use std::collections::HashSet;

use belay_api::{
    Release,
    names::{FIELD_MANAGER, RELEASE_LABEL, RELEASE_UID_ANNOTATION},
};
use kube::{
    Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams, ValidationDirective},
    core::Status,
};
use serde_json::Value;

use crate::{
    Error,
    gitops::{
        kinds, mask, noise,
        prepared::{Movers, Prepared},
    },
};

/// What became of one object.
pub(super) enum Outcome {
    /// Nothing would change.
    Same,
    /// It would be created.
    Created(Value),
    /// It would be changed.
    Changed {
        /// What is there.
        before: Value,
        /// What would be there.
        after: Value,
    },
    /// It could not be tried out, or would be refused.
    Failed(String),
}

/// What goes with every object.
pub(super) struct Attempt<'a> {
    client: &'a Client,
    release: &'a Release,
    movers: &'a Movers,
    /// Namespaces that come with the set.
    namespaces: &'a HashSet<String>,
}

impl<'a> Attempt<'a> {
    pub(super) const fn new(
        client: &'a Client,
        release: &'a Release,
        movers: &'a Movers,
        namespaces: &'a HashSet<String>,
    ) -> Self {
        Self {
            client,
            release,
            movers,
            namespaces,
        }
    }

    pub(super) async fn of(&self, object: &Prepared) -> Outcome {
        match self.tried(object).await {
            Ok(outcome) => outcome,
            Err(why) => Outcome::Failed(why),
        }
    }

    async fn tried(&self, object: &Prepared) -> Result<Outcome, String> {
        let live = kinds::live(self.client, &object.kind, &object.key)
            .await
            .map_err(|error| said(error, object))?;
        if let Some(live) = &live {
            self.ours(live)?;
        }
        let body = self.movers.body(object, live.as_ref());
        let answer = match self.dry_run(object, &body).await {
            Ok(answer) => answer,
            Err(error) if live.is_none() && self.comes_with_namespace(object, &error) => {
                return Ok(Outcome::Created(hidden(body)));
            }
            Err(error) => return Err(said(error, object)),
        };
        let after = plain(answer, object)?;
        let Some(live) = live else {
            return Ok(Outcome::Created(hidden(after)));
        };
        let before = plain(live, object)?;
        if before == after {
            return Ok(Outcome::Same);
        }
        let (mut before, mut after) = (before, after);
        mask::hide_pair(&mut before, &mut after);
        Ok(Outcome::Changed { before, after })
    }

    /// What Belay would refuse, it can't change.
    fn ours(&self, live: &DynamicObject) -> Result<(), String> {
        let own = self.release.metadata.uid.as_ref();
        let owner = live.annotations().get(RELEASE_UID_ANNOTATION);
        if owner.is_none() || owner == own {
            return Ok(());
        }
        let name = live
            .labels()
            .get(RELEASE_LABEL)
            .cloned()
            .unwrap_or_default();
        Err(format!(
            "the object carries the marks of Release {name}; Belay refuses it while that one lives"
        ))
    }

    async fn dry_run(&self, object: &Prepared, body: &Value) -> Result<DynamicObject, kube::Error> {
        let api = object
            .kind
            .api(self.client, object.key.namespace.as_deref());
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            dry_run: true,
            force: false,
        };
        let patch = Patch::Apply(body);
        match api.patch(&object.key.name, &parameters, &patch).await {
            Err(kube::Error::Api(status)) if is_overruled(&status) => {
                api.patch(&object.key.name, &parameters.force(), &patch)
                    .await
            }
            answer => answer,
        }
    }

    fn comes_with_namespace(&self, object: &Prepared, error: &kube::Error) -> bool {
        let namespace = object.key.namespace.as_ref();
        let comes = namespace.is_some_and(|name| self.namespaces.contains(name));
        comes && matches!(error, kube::Error::Api(status) if status.is_not_found())
    }
}

/// Whether a conflict is one that Belay overrules: nobody but people and controllers that update is in the way.
fn is_overruled(status: &Status) -> bool {
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice());
    let mut conflicts = causes
        .unwrap_or_default()
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .peekable();
    status.code == 409
        && conflicts.peek().is_some()
        && conflicts.all(|cause| !is_applier(&cause.message))
}

/// Whether the manager in `conflict with "manager" using v1` applies; updates are told by the API version that they used.
fn is_applier(message: &str) -> bool {
    let mut parts = message.splitn(3, '"').skip(1);
    let (manager, rest) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let is_person = manager.starts_with("kubectl") || manager == "before-first-apply";
    !rest.contains(" using ") && !is_person
}

/// The API server's words. About a Secret they may repeat a value.
fn said(error: kube::Error, object: &Prepared) -> String {
    let is_secret = mask::is_secret(&object.body);
    match &error {
        kube::Error::Api(status) if is_secret => {
            format!(
                "refused ({}); the API server's words may repeat a value and are not shown",
                status.reason
            )
        }
        _ => Error::from(error).to_string(),
    }
}

fn plain(object: DynamicObject, of: &Prepared) -> Result<Value, String> {
    let mut value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    if let Some(fields) = value.as_object_mut() {
        // Answers about built-in kinds may leave these out.
        let resource = &of.kind.resource;
        fields.insert("apiVersion".to_owned(), resource.api_version.clone().into());
        fields.insert("kind".to_owned(), resource.kind.clone().into());
    }
    noise::strip(&mut value);
    Ok(value)
}

fn hidden(mut value: Value) -> Value {
    noise::strip(&mut value);
    mask::hide(&mut value);
    value
}

#[cfg(test)]
mod tests {
    use super::is_applier;

    #[test]
    fn people_and_updates_are_overruled_and_appliers_are_not() {
        assert!(!is_applier(r#"conflict with "kubectl-edit" using apps/v1"#));
        assert!(!is_applier(r#"conflict with "kubectl""#));
        assert!(!is_applier(
            r#"conflict with "controller" with subresource "scale" using apps/v1"#
        ));
        assert!(is_applier(r#"conflict with "argocd-controller""#));
    }
}
