//! The Release behind an object, the version of it that has the object, and the commit.

use std::{path::Path, process::Stdio, time::Duration};

use belay_api::{
    Release,
    names::{RELEASE_LABEL, RELEASE_UID_ANNOTATION},
};
use belay_engine::release::{
    observed::ObjectKey,
    status::{Content, ReleaseStatus},
};
use jiff::Timestamp;
use kube::{
    ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use serde::Serialize;
use tokio::process::Command;

use super::TraceArgs;
use crate::{
    Error,
    cluster::Cluster,
    gitops::{content::commit_of, inventory::Inventory},
};

/// Longest time for Git to read one commit of a checkout.
const LIMIT: Duration = Duration::from_secs(20);

/// The version of a Release that has the object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    pub(super) revision: String,
    pub(super) content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) applied_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verified_at: Option<Timestamp>,
}

/// A commit.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Commit {
    pub(super) id: String,
    pub(super) author: String,
    pub(super) email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) committed_at: Option<Timestamp>,
    pub(super) subject: String,
}

/// Name and UID of the Release that an object says it belongs to.
pub(super) fn marks(object: &DynamicObject) -> Option<(String, String)> {
    let name = object.labels().get(RELEASE_LABEL)?.clone();
    let uid = object.annotations().get(RELEASE_UID_ANNOTATION)?.clone();
    Some((name, uid))
}

/// The Release that applied `object`, if it is there: in the object's namespace, else wherever the user may look.
pub(super) async fn release_of(
    object: &DynamicObject,
    cluster: &Cluster,
) -> Result<Option<Release>, Error> {
    let Some((name, uid)) = marks(object) else {
        return Ok(None);
    };
    let is_it = |release: &Release| release.uid().as_ref() == Some(&uid);
    let client = &cluster.client;
    let near = object
        .namespace()
        .unwrap_or_else(|| cluster.namespace.clone());
    let api = kube::Api::<Release>::namespaced(client.clone(), &near);
    if let Some(found) = api.get_opt(&name).await?.filter(is_it) {
        return Ok(Some(found));
    }
    let by_name = ListParams::default().fields(&format!("metadata.name={name}"));
    let listed = kube::Api::<Release>::all(client.clone())
        .list(&by_name)
        .await;
    let listed = listed.map_err(|error| {
        let why = Error::from(error);
        Error::Source(format!(
            "its Release {name} is not in namespace {near}, and other namespaces can't be looked at: {why}"
        ))
    })?;
    Ok(listed.into_iter().find(is_it))
}

/// The newest version that has the object: the one that runs or is brought in, else a verified one.
pub(super) fn version(
    status: &ReleaseStatus,
    inventory: Option<&Inventory>,
    key: &ObjectKey,
) -> Option<Version> {
    let has = |content: &Content| {
        inventory.is_none_or(|inventory| {
            let items = inventory.objects.iter().filter(|item| item.key == *key);
            items
                .into_iter()
                .any(|item| inventory.is_of(item, &content.digest))
        })
    };
    let verified_at = |content: &Content| {
        let known = status.history.iter().chain(status.verified.iter());
        let same = known.filter(|verified| verified.content.digest == content.digest);
        same.map(|verified| verified.at).max()
    };
    let of = |content: &Content| Version {
        revision: content.revision.clone(),
        content: content.digest.short(),
        subject: content.subject.clone(),
        started_at: None,
        applied_at: None,
        verified_at: verified_at(content),
    };
    if let Some(target) = status.target.as_ref().filter(|target| has(&target.content)) {
        return Some(Version {
            started_at: Some(target.started_at),
            applied_at: target.applied_at,
            ..of(&target.content)
        });
    }
    let earlier = status
        .history
        .iter()
        .rev()
        .map(|verified| &verified.content);
    earlier.into_iter().find(|content| has(content)).map(of)
}

/// Who made the commit of `version`.
pub(super) async fn commit(
    release: &Release,
    version: &Version,
    args: &TraceArgs,
    cluster: &Cluster,
) -> Result<Commit, Error> {
    if release.spec.source.oci.is_some() {
        return Err(Error::Source(
            "an OCI artifact names none; its revision and subject tell what it was made from, where whoever pushed it said so"
                .to_owned(),
        ));
    }
    let id = version.revision.rsplit(':').next().unwrap_or_default();
    if args.no_fetch {
        return Err(Error::Source(
            "the commit is not fetched (--no-fetch)".to_owned(),
        ));
    }
    if let Some(folder) = &args.path {
        return in_checkout(folder, id).await;
    }
    let info = commit_of(release, id, cluster).await?;
    Ok(Commit {
        id: info.id.to_string(),
        author: info.author_name,
        email: info.author_email,
        committed_at: Timestamp::from_second(info.committed_at_seconds).ok(),
        subject: info.subject,
    })
}

async fn in_checkout(folder: &Path, id: &str) -> Result<Commit, Error> {
    let failed = |why: &str| Error::Source(format!("git in {}: {why}", folder.display()));
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(failed("the revision names no commit"));
    }
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args([
            "show",
            "--no-patch",
            "--no-show-signature",
            "--format=%H%n%an%n%ae%n%ct%n%s",
            id,
            "--",
        ])
        .env("LC_ALL", "C")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(LIMIT, command.output())
        .await
        .map_err(|_| failed("no answer in time"))?
        .map_err(|error| failed(&error.to_string()))?;
    if !ended.status.success() {
        return Err(failed("it has no such commit; fetch it first"));
    }
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    let mut lines = text.lines().map(plain);
    let mut next = || lines.next().unwrap_or_default();
    let (id, author, email, seconds, subject) = (next(), next(), next(), next(), next());
    Ok(Commit {
        id,
        author,
        email,
        committed_at: seconds
            .parse()
            .ok()
            .and_then(|at| Timestamp::from_second(at).ok()),
        subject,
    })
}

/// Foreign text on one line, without control characters.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(256)
        .collect()
}

#[cfg(test)]
mod tests {
    use belay_engine::digest::Digest;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_is_dated_by_when_it_was_applied_and_verified() {
        // given a status with a version on trial and one verified before
        let status: ReleaseStatus = serde_json::from_value(json!({
            "target": {"digest": Digest::of(&json!("b")), "revision": "main@sha1:bbb", "startedAt": "2026-01-02T00:00:00Z"},
            "history": [{"digest": Digest::of(&json!("a")), "revision": "main@sha1:aaa", "at": "2026-01-01T00:00:00Z"}],
        }))
        .unwrap();
        let key = ObjectKey {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "a".to_owned(),
        };

        // then, without an inventory, the version on trial is taken
        let found = version(&status, None, &key).unwrap();
        assert_eq!(found.revision, "main@sha1:bbb");
        assert_eq!(found.verified_at, None);

        // and with an inventory the version that has the object
        let inventory: Inventory = serde_json::from_value(json!({
            "contents": [Digest::of(&json!("a")), Digest::of(&json!("b"))],
            "objects": [{"kind": "ConfigMap", "namespace": "shop", "name": "a", "apiVersion": "v1", "of": [0]}],
        }))
        .unwrap();
        let found = version(&status, Some(&inventory), &key).unwrap();
        assert_eq!(found.revision, "main@sha1:aaa");
        assert!(found.verified_at.is_some());
    }
}
