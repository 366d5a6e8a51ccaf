//! Asks for a look at a Release's source, waits for it, and tells what it showed.
//!
//! The request is an annotation, so that programs can ask as well (`kubectl annotate`). It needs the right to patch the Release.

use std::{io::Write, time::Duration};

use belay_api::{Release, names::RECONCILE_ANNOTATION};
use belay_engine::release::{
    Phase, ReleaseStatus,
    status::{Content, short_revision},
};
use clap::{Args as ClapArgs, ValueEnum};
use jiff::Timestamp;
use kube::{
    api::{Patch, PatchParams},
    runtime::wait::await_condition,
};
use serde_json::json;

use crate::{
    Error, Style,
    args::{Format, duration},
    cluster::Cluster,
    fetch,
    gitops::release_name,
    list,
    output::Tone,
    subject::Subject as _,
};

/// Which Release, and how long to wait.
#[derive(Clone, Debug, ClapArgs)]
pub struct ReconcileArgs {
    /// `NAME` or `release/NAME` of the Release.
    #[arg(value_parser = release_name)]
    pub name: String,
    /// What to wait for.
    #[arg(long, value_enum, default_value_t)]
    pub wait: Until,
    /// How long to wait, for example 30s or 20m.
    #[arg(long, default_value = "1m", value_parser = duration)]
    pub timeout: belay_api::Duration,
    /// Sentences for people, or the Release as JSON.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// What a call waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// Nothing: the request is made, and that is all.
    None,
    /// The look is over, and what it showed is in the status.
    #[default]
    Looked,
    /// What it showed is verified, or will not be.
    Settled,
}

/// Asks for a look and tells what came of it.
pub(crate) async fn run(
    args: &ReconcileArgs,
    cluster: &Cluster,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let before: Release = fetch::one(cluster, &args.name).await?;
    if before.spec.suspend {
        return Err(Error::Refused(format!(
            "Release {} is suspended, so its source is not looked at until spec.suspend is taken away",
            args.name
        )));
    }
    let request = Timestamp::now().to_string();
    let patch = json!({"metadata": {"annotations": {RECONCILE_ANNOTATION: request}}});
    cluster
        .api::<Release>()
        .patch(&args.name, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    if args.wait == Until::None {
        writeln!(out, "release/{}: a look is asked for", args.name)?;
        return Ok(());
    }
    let after = awaited(args, cluster, &request).await?;
    if args.output == Format::Json {
        list::json_object(&after, out)?;
    } else {
        tell(&before, &after, style, out)?;
    }
    judged(&after, args.wait)
}

async fn awaited(args: &ReconcileArgs, cluster: &Cluster, request: &str) -> Result<Release, Error> {
    let done = |release: Option<&Release>| {
        release.is_none_or(|release| is_handled(release, request) && is_over(release, args.wait))
    };
    let limit = args.timeout.get();
    let waited = await_condition(cluster.api::<Release>(), &args.name, done);
    match tokio::time::timeout(limit, waited).await {
        Ok(Ok(Some(release))) => Ok(release),
        Ok(Ok(None)) => Err(Error::NotFound {
            kind: Release::KIND,
            name: args.name.clone(),
            namespace: cluster.namespace.clone(),
        }),
        Ok(Err(kube::runtime::wait::Error::ProbeFailed(error))) => {
            Err(Error::Watch(Box::new(error)))
        }
        Err(_) => Err(not_in_time(args, cluster, request, limit).await),
    }
}

/// Whether the request, or one that took its place, is handled.
fn is_handled(release: &Release, request: &str) -> bool {
    let status = release.status.as_ref();
    let Some(handled) = status.and_then(|status| status.reconciled.as_ref()) else {
        return false;
    };
    let annotations = release.metadata.annotations.as_ref();
    let asked = annotations.and_then(|all| all.get(RECONCILE_ANNOTATION));
    handled.request == request || asked == Some(&handled.request)
}

fn is_over(release: &Release, until: Until) -> bool {
    let status = release.status.as_ref();
    until != Until::Settled
        || status.is_some_and(|status| {
            status.source.is_some()
                || status.paused.is_some()
                || matches!(
                    status.phase,
                    Phase::Verified | Phase::Rejected | Phase::Refused | Phase::Failed
                )
        })
}

async fn not_in_time(
    args: &ReconcileArgs,
    cluster: &Cluster,
    request: &str,
    limit: Duration,
) -> Error {
    let release = fetch::one::<Release>(cluster, &args.name).await.ok();
    let state = release
        .filter(|release| is_handled(release, request))
        .map(|release| release.headline());
    Error::NotReconciled {
        name: args.name.clone(),
        seconds: limit.as_secs(),
        state: state.map_or_else(
            || "the look is not over; is the controller running?".to_owned(),
            |state| format!("it was looked at: {state}"),
        ),
    }
}

fn tell(before: &Release, after: &Release, style: Style, out: &mut dyn Write) -> Result<(), Error> {
    let empty = ReleaseStatus::default();
    let (old, new) = (
        before.status.as_ref().unwrap_or(&empty),
        after.status.as_ref().unwrap_or(&empty),
    );
    let name = after.metadata.name.as_deref().unwrap_or_default();
    let found = match (&old.asked, &new.asked) {
        _ if new.source.is_some() => "the source can't be had".to_owned(),
        (_, None) => "the source asks for nothing that could be applied yet".to_owned(),
        (Some(old), Some(new)) if old.revision == new.revision => {
            format!("nothing new, {} is asked for", named(new))
        }
        (Some(old), Some(new)) if old.digest == new.digest => format!(
            "{} is asked for, with the same objects as {}",
            named(new),
            short_revision(&old.revision)
        ),
        (_, Some(new)) => format!("{} is asked for now", named(new)),
    };
    let word = style.paint(Tone::Good, "looked");
    writeln!(out, "release/{name}: {word}. {found}")?;
    writeln!(out, "  {}", after.headline())?;
    Ok(())
}

fn named(content: &Content) -> String {
    let short = short_revision(&content.revision);
    match &content.subject {
        Some(subject) => format!("{short} ({subject})"),
        None => short,
    }
}

/// Whether what was waited for ended well.
fn judged(release: &Release, until: Until) -> Result<(), Error> {
    let Some(status) = &release.status else {
        return Ok(());
    };
    if let Some(trouble) = &status.source {
        return Err(Error::Source(trouble.message.clone()));
    }
    if let Some(refused) = &status.refused {
        return Err(Error::Source(format!(
            "{} can't be applied: {}",
            short_revision(&refused.revision),
            refused.message
        )));
    }
    if until == Until::Settled && status.phase != Phase::Verified && status.paused.is_none() {
        return Err(Error::Source(release.headline()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn release(asked: &str, status: &Value) -> Release {
        serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release",
            "metadata": {"name": "shop", "annotations": {RECONCILE_ANNOTATION: asked}},
            "spec": {"source": {"git": {"url": "https://g/s.git", "ref": {"branch": "main"}}}, "serviceAccountName": "d"},
            "status": status,
        }))
        .unwrap()
    }

    fn handled(request: &str, phase: &str) -> Value {
        json!({"phase": phase, "reconciled": {"request": request, "at": "2026-01-01T00:00:00Z"}})
    }

    #[test]
    fn a_request_that_another_one_replaced_ends_with_that_one() {
        assert!(!is_handled(
            &release("mine", &handled("old", "Verified")),
            "mine"
        ));
        assert!(is_handled(
            &release("mine", &handled("mine", "Verified")),
            "mine"
        ));
        assert!(!is_handled(
            &release("theirs", &handled("old", "Verified")),
            "mine"
        ));
        assert!(is_handled(
            &release("theirs", &handled("theirs", "Verified")),
            "mine"
        ));
    }

    #[test]
    fn what_is_on_its_way_is_waited_for_when_that_is_asked() {
        let on_its_way = release("r", &handled("r", "Verifying"));
        assert!(is_over(&on_its_way, Until::Looked));
        assert!(!is_over(&on_its_way, Until::Settled));
        assert!(is_over(
            &release("r", &handled("r", "Rejected")),
            Until::Settled
        ));
        assert!(judged(&release("r", &handled("r", "Rejected")), Until::Settled).is_err());
        assert!(judged(&release("r", &handled("r", "Verified")), Until::Settled).is_ok());
    }
}
