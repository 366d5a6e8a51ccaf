//! The story: a good version, a bad one, and the one that mends it.

use std::{collections::BTreeSet, sync::Arc};

use belay_engine::{release::status::Phase as ReleasePhase, rollout::status::Phase};

use super::{
    callers::{Callers, Requests},
    report::Report,
    stage::{Stage, image},
};
use crate::{Error, check};

const REPLICAS: i32 = 6;

/// Tells the whole story and leaves nothing behind.
pub async fn run(requests: Requests) -> Result<(), Error> {
    let report = Arc::new(Report::default());
    let stage = Stage::set(&report, requests).await?;
    first_version(&stage, &report).await?;
    let callers = stage.callers().await?;
    let lost_nothing = || callers.as_ref().map_or(Ok(()), Callers::lost_nothing);
    good_version(&stage, &report).await?;
    lost_nothing()?;
    bad_version(&stage, &report).await?;
    lost_nothing()?;
    fixing_version(&stage, &report).await?;
    report.chapter("Good night");
    if let Some(callers) = callers {
        callers.end(&report).await?;
    }
    stage.controller.terminate().await?;
    stage.lab.down().await?;
    report.say(
        "the controller has released its lease and ended; the control plane is gone with its files",
    );
    report.close();
    Ok(())
}

async fn first_version(stage: &Stage, report: &Report) -> Result<(), Error> {
    report.chapter("The first version");
    stage.open_shop("v1").await?;
    stage.healthy("v1").await?;
    stage.release(ReleasePhase::Verified, "").await?;
    report.say("the Release is verified: there is something to go back to");
    stage.show().await
}

async fn good_version(stage: &Stage, report: &Report) -> Result<(), Error> {
    report.chapter("A good version");
    stage.observer.forget();
    let stable_before = stage.pods("v1");
    let commit = stage.merge("v2", "Faster checkout").await?;
    stage.candidate(Phase::Progressing, "v2").await?;
    check(stable_before.is_subset(&stage.pods("v1")), || {
        "a stable pod went away when the canary came".to_owned()
    })?;
    let promoting = stage
        .rollout(|status| matches!(status.phase, Phase::Promoting | Phase::Baking))
        .await?;
    check(promoting.verdict.is_some(), || {
        "promoted without a verdict".to_owned()
    })?;
    let canaries = stage.pods("v2");
    stage.healthy("v2").await?;
    let after = stage.pods("v2");
    check(canaries.is_subset(&after), || {
        format!("of the canary's pods {canaries:?} only {after:?} are left")
    })?;
    report.say(&format!(
        "promoted; all {} pods of the canary serve on as pods of the Deployment (same UIDs)",
        canaries.len()
    ));
    stage.release(ReleasePhase::Verified, &commit).await?;
    report.say("the Release is verified at the new commit");
    stage.show().await
}

async fn bad_version(stage: &Stage, report: &Report) -> Result<(), Error> {
    report.chapter("A bad version");
    stage.observer.forget();
    let stable_before = stage.pods("v2");
    let commit = stage.merge("v3-err20", "Cheaper checkout").await?;
    stage.candidate(Phase::Progressing, "v3-err20").await?;
    let rolled_back = stage.rollout(|status| status.rollback.is_some()).await?;
    if let Some(rollback) = &rolled_back.rollback {
        report.say(&format!(
            "rolled back by itself: {:?}: {}",
            rollback.reason, rollback.message
        ));
    }
    let release = stage.release(ReleasePhase::Rejected, &commit).await?;
    stage.healthy("v2").await?;
    check(!release.quarantine.is_empty(), || {
        "the content is not quarantined".to_owned()
    })?;
    untouched(stage, &stable_before)?;
    report.say(
        "no stable pod was restarted, and the stable version never had fewer pods than asked for",
    );
    report.say("Git still asks for the bad version; its content is quarantined:");
    stage.show().await?;
    let again = stage
        .merge(
            "v3-err20 # once more",
            "Cheaper checkout, second try: the same content",
        )
        .await?;
    stage.release(ReleasePhase::Rejected, &again).await?;
    check(stage.pods("v3-err20").is_empty(), || {
        "the quarantined content runs again".to_owned()
    })?;
    untouched(stage, &stable_before)?;
    report.say("a second commit with the same content changes nothing");
    Ok(())
}

fn untouched(stage: &Stage, before: &BTreeSet<String>) -> Result<(), Error> {
    let now = stage.pods("v2");
    check(*before == now, || {
        format!("stable pods before {before:?}, now {now:?}")
    })?;
    let least = stage.observer.least_desired(&image("v2"));
    check(least.is_none_or(|least| least >= REPLICAS), || {
        format!("the stable version was down to {least:?} desired pods")
    })
}

async fn fixing_version(stage: &Stage, report: &Report) -> Result<(), Error> {
    report.chapter("The fix");
    let commit = stage.merge("v4", "Cheaper checkout, mended").await?;
    stage.healthy("v4").await?;
    stage.release(ReleasePhase::Verified, &commit).await?;
    report.say("the fixing commit went through, step by step, by itself");
    stage.show().await
}
