//! Artifacts of OCI registries.
//!
//! All Releases that follow one tag or range with one login share its looks: whoever asks while an answer is young enough gets that
//! answer. What is fetched has the digest that it was asked for by, and goes into a local copy, from which it is rendered as a commit is.
//!
//! Invariant: a digest that is on this machine is never asked for again; a registry that can't be had is never mistaken for one that
//! has nothing.

mod login;
mod pull;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use belay_api::release::Oci;
use belay_source::{
    Candidate, Checkout, GitRef, Oid, Repository, RepositoryUrl, hidden_prerelease, highest_version,
};
use reqwest::Url;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    Request, Tools, access, hex, registry,
    registry::{Session, Visit},
    trouble::Trouble,
    web::{Login, Web},
};
use crate::gates::probe::address::Reach;

/// Where a login for artifacts is named.
const FIELD: &str = "source.oci.secretRef";
/// Artifacts that are fetched and unpacked at the same time: each takes memory.
const PULLS: usize = 2;
/// How long the first of several failures is the answer; doubles up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// How long an answer stays after the last one who asked.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// All artifacts.
pub(super) struct Artifacts {
    reach: Reach,
    web: Arc<Web>,
    /// By who asks for what.
    looks: Mutex<HashMap<String, Arc<Shared>>>,
    pulls: Semaphore,
}

/// A repository of artifacts as one login sees it.
pub(super) struct Place {
    web: Arc<Web>,
    registry: Url,
    path: String,
    login: Option<Login>,
    what: String,
    /// The same for the same repository, login and authorities.
    visitor: String,
}

/// Looks at one tag or range.
pub(super) struct Looks {
    place: Place,
    wanted: Wanted,
    interval: Duration,
    shared: Arc<Shared>,
}

enum Wanted {
    Tag(String),
    Range(String),
}

/// The newest look of all who ask the same; whoever looks, holds it.
type Shared = tokio::sync::Mutex<Option<Seen>>;

/// What a look showed.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) found: Result<Candidate, Trouble>,
    at: Instant,
    /// How long it is the answer.
    lasts: Duration,
    failures: u32,
}

impl Artifacts {
    pub(super) fn new(reach: Reach) -> Self {
        Self {
            reach,
            web: Arc::new(Web::new(reach)),
            looks: Mutex::default(),
            pulls: Semaphore::new(PULLS),
        }
    }

    fn shared(&self, question: String) -> Arc<Shared> {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        // Who follows, holds it; who waits after a failure comes back.
        looks.retain(|_, shared| {
            let is_young = |seen: &Seen| seen.at.elapsed() < FORGOTTEN_AFTER;
            let known = shared.try_lock();
            Arc::strong_count(shared) > 1
                || known.is_ok_and(|seen| seen.as_ref().is_some_and(is_young))
        });
        Arc::clone(looks.entry(question).or_default())
    }
}

impl Tools {
    /// The looks at what an artifact's tag or range means.
    pub(super) async fn artifact_looks(
        &self,
        request: &Request,
        oci: &Oci,
    ) -> Result<Looks, Trouble> {
        let wanted = match (&oci.reference.tag, &oci.reference.semver) {
            (Some(tag), None) => Wanted::Tag(tag.clone()),
            (None, Some(range)) => Wanted::Range(range.clone()),
            _ => {
                return Err(Trouble::unavailable(
                    "source.oci.ref: give exactly one of tag, semver and digest",
                ));
            }
        };
        let place = self.place(request, oci).await?;
        let question = format!("{} {wanted}", place.visitor);
        Ok(Looks {
            shared: self.artifacts.shared(question),
            place,
            wanted,
            interval: oci.interval.get().max(Duration::from_secs(1)),
        })
    }

    /// The artifact with this digest; fetched if it is not on this machine.
    pub(super) async fn artifact(
        &self,
        request: &Request,
        oci: &Oci,
        digest: &Oid,
    ) -> Result<Checkout, Trouble> {
        let (repository, hub) = (repository(request, oci)?, self.hub().await?);
        if let Some(known) = hub.artifact(&repository, digest).await? {
            return Ok(known);
        }
        let place = self.place(request, oci).await?;
        let permit = self.artifacts.pulls.acquire().await;
        let _permit = permit.map_err(|error| Trouble::passing(error.to_string()))?;
        // Another Release may have fetched it in the meantime.
        if let Some(known) = hub.artifact(&repository, digest).await? {
            return Ok(known);
        }
        let selector = oci.layer_selector.as_ref();
        let artifact = pull::pull(&place, digest, selector.map(|one| &*one.media_type)).await?;
        Ok(hub.keep_artifact(&repository, &artifact).await?)
    }

    /// The repository, with what the Secret holds now.
    async fn place(&self, request: &Request, oci: &Oci) -> Result<Place, Trouble> {
        let refuse = |why: String| Trouble::unavailable(why);
        // Says what is wrong with the address, if anything.
        repository(request, oci)?;
        let address = oci.url.strip_prefix("oci://").unwrap_or(&oci.url);
        let (registry, path) = registry::place(address)
            .ok_or_else(|| refuse("source.oci.url: write oci://host/path".to_owned()))?;
        let mut place = Place {
            web: Arc::clone(&self.artifacts.web),
            what: format!("the artifact {path}"),
            registry,
            path,
            login: None,
            visitor: String::new(),
        };
        let mut authorities = None;
        if let Some(reference) = &oci.secret_ref {
            let (namespace, name) = (request.namespace(), &reference.name);
            let needs = "create it with username and password, or of the type kubernetes.io/dockerconfigjson";
            let secret = access::secret(&self.client, namespace, name, needs).await;
            let about = |why: String| refuse(format!("Secret {namespace}/{name}: {why}"));
            let held = login::held(&secret.map_err(refuse)?, &place.registry).map_err(about)?;
            place.login = held.login;
            if let Some(pem) = held.authorities {
                let web = Web::trusting(self.artifacts.reach, &pem).map_err(about)?;
                place.web = Arc::new(web);
                authorities = Some(pem);
            }
        }
        place.visitor = visitor(&oci.url, place.login.as_ref(), authorities.as_deref());
        Ok(place)
    }
}

/// The local copy. What another layer holds is another artifact.
fn repository(request: &Request, oci: &Oci) -> Result<Repository, Trouble> {
    let url = RepositoryUrl::artifacts(&oci.url)?;
    let secret = oci.secret_ref.as_ref();
    let secret = secret.map(|secret| format!("{}/{}", request.namespace(), secret.name));
    let layer = oci.layer_selector.as_ref();
    let layer = layer.map(|layer| format!("layer {}", layer.media_type));
    let parts: Vec<String> = secret.into_iter().chain(layer).collect();
    let identity = (!parts.is_empty()).then(|| parts.join(" "));
    Ok(Repository::artifacts(url, identity.as_deref())?)
}

fn visitor(url: &str, login: Option<&Login>, authorities: Option<&str>) -> String {
    let mut digest = Sha256::new();
    let (user, password) = login.map_or(("", ""), |login| (&login.username, &login.password));
    for part in [url, user, password, authorities.unwrap_or_default()] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    hex(digest.finalize().into())
}

impl Place {
    fn session(&self) -> Session<'_> {
        Session::new(Visit {
            web: &self.web,
            registry: &self.registry,
            path: &self.path,
            login: self.login.as_ref(),
            what: &self.what,
            field: FIELD,
        })
    }
}

impl Looks {
    /// What is known, if that is young enough; else what a look shows now.
    pub(super) async fn latest(&self) -> Seen {
        self.seen(|known| known.at.elapsed() < known.lasts.min(self.interval))
            .await
    }

    /// What a look shows now. All who ask while one is on its way share the next one.
    pub(super) async fn look(&self) -> Seen {
        let asked = Instant::now();
        self.seen(|known| known.at > asked).await
    }

    /// What the next look shows, when its time has come.
    pub(super) async fn next(&self, last: &Seen) -> Seen {
        tokio::time::sleep_until(last.at + self.interval).await;
        self.latest().await
    }

    /// Waits until a look shows something else.
    pub(super) async fn changed(&self, last: &Seen) -> Seen {
        let mut newer = self.next(last).await;
        while newer.found.is_err() || newer.found.as_ref().ok() == last.found.as_ref().ok() {
            newer = self.next(&newer).await;
        }
        newer
    }

    async fn seen(&self, is_young: impl Fn(&Seen) -> bool) -> Seen {
        let mut known = self.shared.lock().await;
        if let Some(known) = known.as_ref().filter(|known| is_young(known)) {
            return known.clone();
        }
        // Later than every question that this answers.
        let at = Instant::now();
        let found = self.find().await;
        let failures = match &found {
            Ok(_) => 0,
            Err(_) => known.as_ref().map_or(0, |known| known.failures) + 1,
        };
        let lasts = match failures {
            0 => self.interval,
            count => FIRST_RETRY.saturating_mul(2_u32.saturating_pow(count.min(10) - 1)),
        };
        let seen = Seen {
            found,
            at,
            lasts,
            failures,
        };
        *known = Some(seen.clone());
        seen
    }

    async fn find(&self) -> Result<Candidate, Trouble> {
        let mut session = self.place.session();
        let tag = match &self.wanted {
            Wanted::Tag(tag) => tag.clone(),
            Wanted::Range(range) => self.highest(range, &session.tags().await?)?,
        };
        let reference = GitRef::tag(&tag)?;
        Ok(Candidate {
            commit: session.digest(&tag).await?,
            reference,
            tag: None,
        })
    }

    fn highest(&self, range: &str, tags: &[String]) -> Result<String, Trouble> {
        // Tags can't have a +, and others have an underscore in its place.
        let versions: Vec<String> = tags.iter().map(|tag| tag.replace('_', "+")).collect();
        let versions = || versions.iter().map(String::as_str);
        if let Some(found) = highest_version(range, versions())? {
            return Ok(found.replace('+', "_"));
        }
        let hint = hidden_prerelease(range, versions())?.map_or_else(String::new, |hidden| {
            format!(
                " (prereleases such as {hidden:?} count when the range names one, for example >=1.0.0-0)"
            )
        });
        Err(Trouble::unavailable(format!(
            "{} has no tag with a version in {range:?}{hint}; push one, or correct the range",
            self.place.what
        )))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::Range(range) => write!(f, "range {range}"),
        }
    }
}
