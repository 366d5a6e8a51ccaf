//! What a Release's source holds: at what it follows, at another revision, or in a folder of this machine.
//!
//! Invariant: it is fetched and rendered by `belay-source`, as the controller does it, in a temporary directory that is gone when
//! the plugin ends. Nothing of a private repository stays on this machine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use belay_api::Release;
use belay_engine::{digest::Digest, release::status::Content as Known};
use belay_source::{
    Checkout, CommitInfo, Credential, GitRef, LocalRepositories, Oid, Rendered, Renderer,
    RendererSettings, Repository, RepositoryUrl, SourceError, SourceHub, SourceSettings,
    SubmoduleMode,
};
use clap::Args as ClapArgs;
use k8s_openapi::api::core::v1::Secret;
use tempfile::TempDir;

use super::{local, request};
use crate::{Error, cluster::Cluster};

/// Which state of the source is meant; what the Release follows when nothing is said.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct StateArgs {
    /// A branch, a tag, a full reference (refs/…) or a full commit id of the Release's repository.
    #[arg(long, value_name = "REVISION", conflicts_with = "path")]
    pub revision: Option<String>,
    /// The root of a checkout on this machine, with what is not committed yet. Nothing is fetched then, so submodules are not read.
    #[arg(long, value_name = "FOLDER")]
    pub path: Option<PathBuf>,
    /// Kubernetes' version as charts see it, where the Release names none; the cluster's when absent.
    #[arg(long, value_name = "VERSION")]
    pub kube_version: Option<String>,
}

/// A state of a source, rendered.
pub(crate) struct Content {
    pub(crate) rendered: Arc<Rendered>,
    /// For people: `main@1f0c9ab`, or the folder.
    pub(crate) name: String,
    /// The commit; none for a folder.
    pub(crate) commit: Option<CommitInfo>,
    /// What people should know.
    pub(crate) warnings: Vec<String>,
}

impl Content {
    /// The digest under which Belay knows it.
    pub(crate) fn digest(&self) -> Digest {
        let text = self.rendered.digest.to_string();
        Digest::from_text(text.strip_prefix("sha256:").unwrap_or(&text))
    }
}

/// Renders the state of the source of `release` that `args` mean.
pub(crate) async fn content(
    release: &Release,
    namespace: &str,
    args: &StateArgs,
    cluster: Option<&Cluster>,
) -> Result<Content, Error> {
    let mut warnings = request::understood(release)?;
    let work = work_directory()?;
    let found = match &args.path {
        Some(folder) => of_folder(folder, &work).await?,
        None => of_repository(release, args, cluster, &work).await?,
    };
    let version = match (&args.kube_version, cluster) {
        (Some(version), _) => Some(version.clone()),
        (None, Some(cluster)) => Some(minor_version(cluster).await?),
        (None, None) => None,
    };
    let request = request::rendering(release, namespace, version)?;
    let build = Renderer::new(RendererSettings {
        work_directory: work.path().to_owned(),
        ..RendererSettings::default()
    });
    let rendered = build
        .render(&found.checkout, &request)
        .await
        .and_then(|rendered| request::with_images(release, rendered))
        .map_err(|error| {
            let hint = submodule_hint(release, args);
            Error::Source(format!("{}: {error}{hint}", found.name))
        })?;
    warnings.extend(rendered.warnings.iter().cloned());
    let content = Content {
        rendered,
        name: found.name,
        commit: found.commit,
        warnings,
    };
    Ok(compared(content, release))
}

/// What may be behind a failure to render a folder.
fn submodule_hint(release: &Release, args: &StateArgs) -> &'static str {
    let fetches = request::submodules(release) == SubmoduleMode::Fetch;
    if fetches && args.path.is_some() {
        "; submodules of a folder are not read, --revision fetches them"
    } else {
        ""
    }
}

/// A commit on this machine.
struct Found {
    checkout: Checkout,
    name: String,
    commit: Option<CommitInfo>,
}

async fn of_folder(folder: &Path, work: &TempDir) -> Result<Found, Error> {
    let id = local::commit(folder, work.path()).await?;
    let path = work.path().join("repository").display().to_string();
    let url = RepositoryUrl::parse(&path).map_err(failed)?;
    let repository = Repository::anonymous(url);
    let commit = Oid::parse(&id).map_err(failed)?;
    // The branch's name is not known, and a commit needs none.
    let reference = GitRef::commit(&id).map_err(failed)?;
    let hub = hub(work, LocalRepositories::Allowed)?;
    let checkout = hub.checkout(&repository, &reference, &commit).await;
    Ok(Found {
        checkout: checkout.map_err(failed)?,
        name: folder.display().to_string(),
        commit: None,
    })
}

async fn of_repository(
    release: &Release,
    args: &StateArgs,
    cluster: Option<&Cluster>,
    work: &TempDir,
) -> Result<Found, Error> {
    let repository = repository(release, cluster).await?;
    let hub = hub(work, LocalRepositories::Refused)?;
    let references = match &args.revision {
        Some(text) => request::revisions(text),
        None => request::reference(&request::git(release)?.reference).map(|one| vec![one]),
    };
    let (reference, commit) = resolved(&hub, &repository, &references.map_err(failed)?).await?;
    let checkout = hub
        .checkout(&repository, &reference, &commit)
        .await
        .map_err(failed)?
        .through_submodules(request::submodules(release), &hub)
        .through_lfs(request::lfs(release));
    let short: String = commit.as_str().chars().take(7).collect();
    let name = match reference.label() {
        Some(label) => format!("{label}@{short}"),
        None => short,
    };
    let commit = checkout.describe().await.map_err(failed)?;
    Ok(Found {
        checkout,
        name,
        commit: Some(commit),
    })
}

/// Author, time and subject of one commit of the Release's repository.
pub(crate) async fn commit_of(
    release: &Release,
    commit: &str,
    cluster: &Cluster,
) -> Result<CommitInfo, Error> {
    let work = work_directory()?;
    let repository = repository(release, Some(cluster)).await?;
    let hub = hub(&work, LocalRepositories::Refused)?;
    let reference = GitRef::commit(commit).map_err(failed)?;
    let commit = Oid::parse(commit).map_err(failed)?;
    let checkout = hub.checkout(&repository, &reference, &commit).await;
    checkout.map_err(failed)?.describe().await.map_err(failed)
}

/// The first of these references that the repository has, with its commit.
async fn resolved(
    hub: &SourceHub,
    repository: &Repository,
    references: &[GitRef],
) -> Result<(GitRef, Oid), Error> {
    let mut refused = None;
    let mut listing = None;
    for reference in references {
        if let Some(commit) = reference.fixed_commit() {
            return Ok((reference.clone(), commit.clone()));
        }
        let seen = match listing.take() {
            Some(seen) => seen,
            None => look(hub, repository, reference).await?,
        };
        match seen.candidates(reference) {
            Ok(candidates) => {
                let newest = hub.newest(repository, &candidates).await.map_err(failed)?;
                return Ok((newest.reference, newest.commit));
            }
            Err(error) => {
                refused.get_or_insert(error);
            }
        }
        listing = Some(seen);
    }
    let why = refused.map_or_else(|| "no revision".to_owned(), |error| error.to_string());
    Err(Error::Source(format!(
        "{why}. Write a branch, a tag, refs/… in full, or all digits of a commit id"
    )))
}

/// One look at the repository that covers `reference`.
async fn look(
    hub: &SourceHub,
    repository: &Repository,
    reference: &GitRef,
) -> Result<Arc<belay_source::RefListing>, Error> {
    const LONG: std::time::Duration = std::time::Duration::from_hours(24);
    let mut looks = hub.subscribe(repository, LONG).map_err(failed)?;
    looks.want(reference);
    loop {
        let seen = looks.changed().await;
        if let Some(error) = seen.error {
            return Err(failed(error));
        }
        if let Some(listing) = seen.listing.filter(|listing| listing.covers(reference)) {
            return Ok(listing);
        }
    }
}

async fn repository(release: &Release, cluster: Option<&Cluster>) -> Result<Repository, Error> {
    let git = request::git(release)?;
    let url = RepositoryUrl::parse(&git.url).map_err(failed)?;
    let Some(reference) = &git.secret_ref else {
        return Ok(Repository::anonymous(url));
    };
    let name = &reference.name;
    let instead = "give --path with a checkout of the repository instead";
    let Some(cluster) = cluster else {
        return Err(Error::Source(format!(
            "the repository needs the credential of Secret {name}; {instead}"
        )));
    };
    let secret = cluster.api::<Secret>().get(name).await.map_err(|error| {
        let why = Error::from(error);
        Error::Source(format!("the repository's credential: {why}; {instead}"))
    })?;
    let identity = format!("{}/{name}", cluster.namespace);
    let credential = credential(&identity, &secret)
        .ok_or_else(|| {
            Error::Source(format!(
                "Secret {identity} has neither username and password nor bearerToken; {instead}"
            ))
        })?
        .map_err(failed)?;
    Repository::with_credential(url, credential).map_err(failed)
}

fn credential(identity: &str, secret: &Secret) -> Option<Result<Credential, SourceError>> {
    let value = |key: &str| {
        let bytes = secret.data.as_ref()?.get(key)?;
        let text = std::str::from_utf8(&bytes.0).ok()?;
        Some(text.trim_end_matches(['\n', '\r']).to_owned())
    };
    match (value("bearerToken"), value("username"), value("password")) {
        (Some(token), ..) => Some(Credential::bearer(identity, &token)),
        (None, Some(user), Some(password)) => Some(Credential::basic(identity, &user, &password)),
        _ => None,
    }
}

/// Says so when the very commit that Belay has rendered comes out otherwise here.
fn compared(mut content: Content, release: &Release) -> Content {
    let asked: Option<&Known> = release.status.as_ref().and_then(|s| s.asked.as_ref());
    let same_commit = |known: &&Known| {
        let commit = known.revision.rsplit(':').next();
        content
            .commit
            .as_ref()
            .is_some_and(|info| Some(info.id.as_str()) == commit)
    };
    let differs = asked
        .filter(same_commit)
        .is_some_and(|known| known.digest != content.digest());
    if differs {
        content.warnings.push(format!(
            "Belay rendered other objects from {}: its spec was another one then, or its kustomize or helm is another version than {}",
            content.name,
            content.rendered.tool.as_deref().unwrap_or("here")
        ));
    }
    content
}

async fn minor_version(cluster: &Cluster) -> Result<String, Error> {
    let info = cluster.client.apiserver_version().await?;
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    Ok(format!("{}.{}.0", digits(&info.major), digits(&info.minor)))
}

fn work_directory() -> Result<TempDir, Error> {
    Ok(tempfile::Builder::new()
        .prefix("kubectl-belay-")
        .tempdir()?)
}

fn hub(work: &TempDir, local: LocalRepositories) -> Result<SourceHub, Error> {
    let mut settings = SourceSettings::new(work.path().join("git"));
    settings.local_repositories = local;
    SourceHub::new(settings).map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn failed(error: SourceError) -> Error {
    Error::Source(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn git(folder: &Path, args: &[&str]) {
        let mut command = Command::new("git");
        command.current_dir(folder).args(args);
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(variable);
        }
        assert!(command.status().unwrap().success(), "git {args:?}");
    }

    #[tokio::test]
    async fn of_a_folder_with_a_submodule_it_is_said_that_only_a_revision_has_it() {
        // given a folder with another repository in it
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("lib");
        std::fs::create_dir(&inner).unwrap();
        git(&inner, &["init", "--quiet"]);
        let commit = [
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.com",
            "commit",
            "--quiet",
            "--allow-empty",
            "--message=x",
        ];
        git(&inner, &commit);
        // when a Release is rendered from it that fetches submodules, then the refusal says what reads them.
        let release: Release = serde_json::from_value(serde_json::json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"},
            "spec": {
                "source": {"git": {"url": "https://g/s.git", "ref": {"branch": "main"}, "submodules": "Fetch"}},
                "serviceAccountName": "d",
            },
        }))
        .unwrap();
        let args = StateArgs {
            path: Some(folder.path().to_owned()),
            ..StateArgs::default()
        };
        let error = content(&release, "shop", &args, None).await.err().unwrap();
        let text = error.to_string();
        assert!(text.contains("lib: a Git submodule"), "{text}");
        assert!(text.contains("--revision fetches them"), "{text}");
    }
}
