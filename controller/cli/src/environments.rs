//! What runs where, and what waits for what: Releases in the order in which commits go on from one to the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use belay_api::{Release, release::Origin};
use belay_engine::release::{
    composition::PeerKey,
    status::{Phase, ReleaseStatus, short_revision},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::{
    Error, Style,
    args::{Format, ListArgs},
    cluster::Cluster,
    fetch, list,
    output::{Entry, Tone, table},
    span,
};

const TITLES: [&str; 8] = [
    "ENVIRONMENT",
    "AFTER",
    "RUNS",
    "FOR",
    "PHASE",
    "NEWEST",
    "REPOSITORY",
    "WAITING FOR",
];

/// Prints what `args` ask for.
pub(crate) async fn print(
    cluster: &Cluster,
    args: &ListArgs,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let releases: Vec<Release> = fetch::all(cluster, args).await?;
    let ordered = ordered(&releases);
    if args.output == Format::Json {
        let items: Vec<Value> = ordered.into_iter().map(described).collect();
        return list::json_object(&json!({ "environments": items }), out);
    }
    if ordered.is_empty() {
        writeln!(out, "No Releases; -A looks in all namespaces.")?;
        return Ok(());
    }
    for line in lines(&ordered, Timestamp::now(), style) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// By repository, and within it those first that others come after.
fn ordered(releases: &[Release]) -> Vec<&Release> {
    let before: BTreeMap<PeerKey, BTreeSet<PeerKey>> = releases
        .iter()
        .map(|release| (release.key(), release.references()))
        .collect();
    let mut ordered: Vec<(&Release, usize)> = releases
        .iter()
        .map(|release| (release, depth(&release.key(), &before)))
        .collect();
    ordered.sort_by(|(one, one_depth), (other, other_depth)| {
        let one = (one.spec.source.url(), one_depth, one.key());
        one.cmp(&(other.spec.source.url(), other_depth, other.key()))
    });
    ordered.into_iter().map(|(release, _)| release).collect()
}

/// How many Releases come before one, at most. Rings end where they meet themselves.
fn depth(key: &PeerKey, before: &BTreeMap<PeerKey, BTreeSet<PeerKey>>) -> usize {
    let mut level = BTreeSet::from([key]);
    let mut depth = 0;
    while depth < before.len() {
        level = level
            .into_iter()
            .filter_map(|key| before.get(key))
            .flatten()
            .collect();
        if level.is_empty() {
            break;
        }
        depth += 1;
    }
    depth
}

fn lines(releases: &[&Release], now: Timestamp, style: Style) -> Vec<String> {
    let repositories: BTreeSet<&str> = releases
        .iter()
        .map(|release| release.spec.source.url())
        .collect();
    let several = repositories.len() > 1;
    let rows = releases
        .iter()
        .map(|release| row(release, several, now))
        .collect();
    table(&TITLES, rows, style)
}

fn row(release: &Release, several: bool, now: Timestamp) -> Vec<Entry> {
    let status = release.status.clone().unwrap_or_default();
    let verified = status.verified.as_ref();
    let waiting = status.waiting_for.as_ref();
    vec![
        release.key().to_string().into(),
        after(release).join(", ").into(),
        verified
            .map(|verified| verified.content.short.clone())
            .unwrap_or_default()
            .into(),
        verified
            .map(|verified| span::between(verified.at, now))
            .unwrap_or_default()
            .into(),
        Entry::toned(format!("{:?}", status.phase), tone(status.phase)),
        newest(&status)
            .map(short_revision)
            .unwrap_or_default()
            .into(),
        if several {
            release.spec.source.url()
        } else {
            ""
        }
        .into(),
        waiting
            .map(|waiting| waiting.message.clone())
            .unwrap_or_default()
            .into(),
    ]
}

/// The Releases before, as `shop-staging/shop 1h`, and those that it depends on, as `shop/database`.
fn after(release: &Release) -> Vec<String> {
    let composition = release.composition();
    let specified = &release.spec.promotion.after;
    let promoted = composition
        .after
        .iter()
        .zip(specified)
        .map(|(upstream, one)| format!("{} {}", upstream.release, one.verified_for));
    let depends = composition.depends_on.iter().map(ToString::to_string);
    promoted.chain(depends).collect()
}

/// The newest revision that the source shows.
fn newest(status: &ReleaseStatus) -> Option<&str> {
    let promotion = status.promotion.as_ref();
    let asked = status.asked.as_ref().map(|asked| asked.revision.as_str());
    promotion
        .and_then(|promotion| promotion.newest.as_deref())
        .or(asked)
}

const fn tone(phase: Phase) -> Tone {
    match phase {
        Phase::Verified => Tone::Good,
        Phase::RollingBack | Phase::Rejected | Phase::Refused | Phase::Failed => Tone::Bad,
        Phase::Pending
        | Phase::Waiting
        | Phase::Rehearsing
        | Phase::Applying
        | Phase::Verifying
        | Phase::Terminating => Tone::Busy,
    }
}

fn reference(release: &Release) -> Value {
    match release.spec.source.origin() {
        Some(Origin::Git(git)) => json!(git.reference),
        Some(Origin::Oci(oci)) => json!(oci.reference),
        None => Value::Null,
    }
}

fn described(release: &Release) -> Value {
    let status = release.status.clone().unwrap_or_default();
    json!({
        "namespace": release.namespace(),
        "name": release.name_any(),
        "repository": release.spec.source.url(),
        "ref": reference(release),
        "promotion": release.spec.promotion,
        "dependsOn": release.composition().depends_on,
        "phase": status.phase,
        "newest": newest(&status),
        "target": status.target,
        "verified": status.verified,
        "chosen": status.promotion.and_then(|promotion| promotion.chosen),
        "published": status.published,
        "waitingFor": status.waiting_for,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(namespace: &str, after: &[&str], status: &Value) -> Release {
        let after: Vec<Value> = after
            .iter()
            .map(|other| json!({"release": "shop", "namespace": other, "verifiedFor": "1h"}))
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release",
            "metadata": {"name": "shop", "namespace": namespace},
            "spec": {
                "source": {"git": {"url": "https://git.example.com/shop.git", "ref": {"branch": "main"}}},
                "serviceAccountName": "deployer", "promotion": {"after": after},
            },
            "status": status,
        }))
        .unwrap()
    }

    fn verified(commit: &str, newest: &str) -> Value {
        let content = json!({
            "digest": "d", "revision": format!("main@sha1:{commit}"), "short": format!("main@{commit}"),
            "at": "2026-01-01T00:00:00Z",
        });
        json!({
            "phase": "Verified", "verified": content,
            "promotion": {"newest": format!("main@sha1:{newest}")},
        })
    }

    #[test]
    fn environments_stand_in_the_order_in_which_commits_go_on() {
        let mut prod = verified("1111111", "2222222");
        prod["waitingFor"] = json!({
            "reason": "Promotion", "message": "main@2222222 waits until Release staging/shop has verified it for 1h",
            "since": "2026-01-01T00:00:00Z",
        });
        let releases = [
            release("a-prod", &["staging"], &prod),
            release("staging", &["test"], &verified("1111111", "2222222")),
            release("test", &[], &verified("2222222", "2222222")),
        ];
        let now = "2026-01-01T02:00:00Z".parse().unwrap();
        let lines = lines(&ordered(&releases), now, Style::default());
        assert_eq!(
            lines,
            [
                "ENVIRONMENT    AFTER             RUNS           FOR   PHASE      NEWEST         WAITING FOR",
                "test/shop                        main@2222222   2h    Verified   main@2222222",
                "staging/shop   test/shop 1h      main@1111111   2h    Verified   main@2222222",
                "a-prod/shop    staging/shop 1h   main@1111111   2h    Verified   main@2222222   main@2222222 waits until Release staging/shop has verified it for 1h",
            ]
        );
    }

    #[test]
    fn a_ring_ends_somewhere() {
        let releases = [
            release("a", &["b"], &json!({})),
            release("b", &["a"], &json!({})),
        ];
        assert_eq!(ordered(&releases).len(), 2);
    }

    #[test]
    fn programs_get_the_same_with_all_revisions() {
        let described = described(&release(
            "prod",
            &["staging"],
            &verified("1111111", "2222222"),
        ));
        assert_eq!(described["newest"], "main@sha1:2222222");
        assert_eq!(described["promotion"]["after"][0]["verifiedFor"], "1h");
    }
}
