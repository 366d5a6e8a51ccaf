//! Acts: one `Action` object each, and its outcome.
//!
//! Who acts is not for the client to say: the API server's admission writes it down from the credentials of the request, or, in
//! clusters that can't change objects by policy, refuses a wrong name. For those the name is sent, as the API server told it.

use std::io::Write;

use belay_api::{
    Action, ActionSpec,
    action::{Target as ActionTarget, TargetKind},
};
use belay_engine::action::{Outcome, Verb};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{api::PostParams, runtime::wait::await_condition};

use crate::{
    Error, Style,
    args::{ActArgs, Format, Target},
    cluster::Cluster,
    fetch, list,
    output::Tone,
    subject::Subject,
};

/// Asks for `verb` on `target` and waits for its outcome.
pub(crate) async fn run<K: Subject>(
    cluster: &Cluster,
    verb: Verb,
    target: &Target,
    args: &ActArgs,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let object: K = fetch::one(cluster, &target.name).await?;
    let for_version = args
        .for_version
        .clone()
        .or_else(|| object.version_for(verb));
    let asked = Action {
        metadata: kube::core::ObjectMeta {
            generate_name: Some(format!("{}-{}-", target.name, verb.rbac_verb())),
            ..kube::core::ObjectMeta::default()
        },
        spec: ActionSpec {
            target: ActionTarget {
                kind: target.kind,
                name: target.name.clone(),
            },
            verb,
            actor: own_name(cluster).await,
            for_version,
            reason: args.reason.clone(),
        },
        status: None,
    };
    let api = cluster.api::<Action>();
    let created = api.create(&PostParams::default(), &asked).await?;
    let name = created.metadata.name.unwrap_or_default();
    let decided = outcome(cluster, &name, args).await?;
    if args.output == Format::Json {
        list::json_object(&decided, out)?;
    }
    report(&decided, target, args.output, style, out)
}

/// The name under which the API server knows the caller.
async fn own_name(cluster: &Cluster) -> Option<String> {
    let api: kube::Api<SelfSubjectReview> = kube::Api::all(cluster.client.clone());
    let review = api
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .ok()?;
    review.status?.user_info?.username
}

async fn outcome(cluster: &Cluster, name: &str, args: &ActArgs) -> Result<Action, Error> {
    let decided = |action: Option<&Action>| {
        action.is_some_and(|action| action.status.as_ref().is_some_and(|s| s.outcome.is_some()))
    };
    let timeout = args.timeout.get();
    let waited = tokio::time::timeout(
        timeout,
        await_condition(cluster.api::<Action>(), name, decided),
    )
    .await;
    match waited {
        Ok(Ok(Some(action))) => Ok(action),
        Ok(Err(kube::runtime::wait::Error::ProbeFailed(error))) => {
            Err(Error::Watch(Box::new(error)))
        }
        Ok(Ok(None)) | Err(_) => Err(Error::NoOutcome {
            namespace: cluster.namespace.clone(),
            name: name.to_owned(),
            seconds: timeout.as_secs(),
        }),
    }
}

fn report(
    action: &Action,
    target: &Target,
    format: Format,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let status = action.status.clone().unwrap_or_default();
    let message = status.message.unwrap_or_default();
    if status.outcome == Some(Outcome::Refused) {
        return Err(Error::Refused(message));
    }
    if format == Format::Table {
        let kind = match target.kind {
            TargetKind::Rollout => "rollout",
            TargetKind::Release => "release",
        };
        let word = style.paint(Tone::Good, action.spec.verb.rbac_verb());
        writeln!(out, "{kind}/{}: {word} accepted. {message}", target.name)?;
    }
    Ok(())
}
