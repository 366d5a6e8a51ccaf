//! Charts of Helm repositories and OCI registries.
//!
//! Invariant: what is handed on has the digest that the repository's index, or the chart's manifest, names. A login is sent to the
//! origin that it is for, and to nobody else (for a registry, to the server of its own domain that gives out tokens, too). Every answer
//! has a limit on its size, every request one on its time. Charts and indexes are kept in memory and shared between Releases with the same login.

mod index;
mod kept;
mod oci;

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use belay_source::{ChartArchive, highest_version, is_exact_version};
use reqwest::Url;
use sha2::{Digest as _, Sha256};

use super::{
    hex,
    registry::{self, is_this_machine},
    trouble::Trouble,
    web::{Login, Web},
};
use crate::gates::probe::address::Reach;
use kept::Kept;

/// Where a login for a chart is named.
const FIELD: &str = "render.helm.chart.secretRef";
/// Largest chart that is fetched.
const CHART_BYTES: usize = 16 << 20;

/// Which chart.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) repository: &'a str,
    pub(super) name: &'a str,
    /// A version or a range.
    pub(super) version: &'a str,
    pub(super) login: Option<Login>,
    /// How old the list of versions may be.
    pub(super) fresh: Duration,
}

/// Where charts come from.
enum Place {
    /// A Helm repository.
    Http(Url),
    /// Charts in a registry: its address, and the path before the chart's name.
    Oci(Url, String),
}

/// All charts from elsewhere.
pub(super) struct Charts {
    web: Web,
    kept: Mutex<Kept>,
}

impl Charts {
    pub(super) fn new(reach: Reach) -> Self {
        Self {
            web: Web::new(reach),
            kept: Mutex::default(),
        }
    }

    /// The chart that is wanted now.
    pub(super) async fn get(&self, wanted: &Wanted<'_>) -> Result<ChartArchive, Trouble> {
        let place = place(wanted)?;
        let visitor = visitor(wanted);
        let known = format!("{visitor} {}", wanted.version);
        let fresh = if is_exact_version(wanted.version) {
            Duration::MAX
        } else {
            wanted.fresh
        };
        if let Some(chart) = self.kept().chart(&known, fresh) {
            return Ok(chart);
        }
        let chart = match &place {
            Place::Http(url) => self.of_index(url, wanted, &visitor).await?,
            Place::Oci(registry, path) => self.of_registry(registry, path, wanted).await?,
        };
        self.kept().keep(known, &chart);
        Ok(chart)
    }

    async fn of_index(
        &self,
        url: &Url,
        wanted: &Wanted<'_>,
        visitor: &str,
    ) -> Result<ChartArchive, Trouble> {
        let entries = index::entries(&self.web, url, wanted).await?;
        let entry = choose(wanted, entries, |entry| &entry.version)?;
        let digest = entry.digest.as_deref().unwrap_or_default();
        let digest = digest.trim_start_matches("sha256:").to_ascii_lowercase();
        let place = format!("{} {} in {}", wanted.name, entry.version, wanted.repository);
        if digest.len() != 64 {
            return Err(Trouble::unavailable(format!(
                "the index has no SHA-256 digest for {place}; have the repository's index made anew with `helm repo index`"
            )));
        }
        if let Some(chart) = self.kept().by_digest(visitor, &digest) {
            return Ok(chart);
        }
        let address = entry
            .urls
            .first()
            .and_then(|address| url.join(address).ok());
        let address = address.filter(|address| matches!(address.scheme(), "http" | "https"));
        let address = address.ok_or_else(|| {
            Trouble::unavailable(format!("the index has no web address for {place}"))
        })?;
        // Another host than the index's gets no login.
        let login = wanted
            .login
            .as_ref()
            .filter(|_| address.origin() == url.origin());
        let answer = self.web.get(&address, login, None, CHART_BYTES).await?;
        checked(
            wanted,
            &entry.version,
            &answer.expect_success(&place, FIELD)?,
            &digest,
        )
    }

    async fn of_registry(
        &self,
        registry: &Url,
        path: &str,
        wanted: &Wanted<'_>,
    ) -> Result<ChartArchive, Trouble> {
        let path = format!("{path}/{}", wanted.name);
        let found = oci::Found::new(&self.web, registry, path.trim_start_matches('/'), wanted);
        let version = if is_exact_version(wanted.version) {
            wanted.version.trim_start_matches('v').to_owned()
        } else {
            choose(wanted, found.versions().await?, |version| version)?
        };
        let (bytes, digest) = found.chart(&version).await?;
        checked(wanted, &version, &bytes, &digest)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one with the highest version in the range.
fn choose<T>(
    wanted: &Wanted<'_>,
    all: Vec<T>,
    version: impl Fn(&T) -> &String,
) -> Result<T, Trouble> {
    let versions = all.iter().map(|one| version(one).as_str());
    let found = highest_version(wanted.version, versions)?.map(str::to_owned);
    let mut all = all.into_iter();
    let found = found.and_then(|found| all.find(|one| *version(one) == found));
    found.ok_or_else(|| {
        Trouble::unavailable(format!(
            "{} has no version of {} in {:?}; correct the name or the range, or publish one",
            wanted.repository, wanted.name, wanted.version
        ))
    })
}

fn checked(
    wanted: &Wanted<'_>,
    version: &str,
    bytes: &[u8],
    digest: &str,
) -> Result<ChartArchive, Trouble> {
    let chart = ChartArchive::new(wanted.name, version, bytes);
    if chart.digest() == digest {
        return Ok(chart);
    }
    Err(Trouble::unavailable(format!(
        "{} {version} from {} is not what its repository says it is: the digests differ",
        wanted.name, wanted.repository
    )))
}

/// Who sees what: charts are shared between those who ask the same repository for the same name with the same login.
fn visitor(wanted: &Wanted<'_>) -> String {
    let mut digest = Sha256::new();
    let login = wanted.login.as_ref();
    let (user, password) = login.map_or(("", ""), |login| (&login.username, &login.password));
    for part in [wanted.repository, wanted.name, user, password] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let bytes: [u8; 32] = digest.finalize().into();
    hex(bytes)
}

fn place(wanted: &Wanted<'_>) -> Result<Place, Trouble> {
    let refuse = |why: &str| Trouble::unavailable(format!("render.helm.chart.repository: {why}"));
    let address = wanted.repository;
    let unreadable = || refuse("write https://host/path or oci://host/path");
    let (mut url, path) = match address.strip_prefix("oci://") {
        Some(rest) => {
            let (url, path) = registry::place(rest).ok_or_else(unreadable)?;
            (url, Some(path))
        }
        None => (Url::parse(address).map_err(|_| unreadable())?, None),
    };
    let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !is_bare || !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(
            "write https://host/path or oci://host/path, and logins into the Secret of secretRef",
        ));
    }
    let is_clear = url.scheme() == "http" && !is_this_machine(url.authority());
    if is_clear && wanted.login.is_some() {
        return Err(refuse(
            "a login is not sent in clear text; use the https address",
        ));
    }
    if let Some(path) = path {
        return Ok(Place::Oci(url, path));
    }
    let path = url.path().trim_matches('/').to_owned();
    url.set_path(&format!("{path}/"));
    Ok(Place::Http(url))
}

impl fmt::Debug for Charts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
