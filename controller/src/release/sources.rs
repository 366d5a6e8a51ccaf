//! What the sources of all Releases ask for.
//!
//! One task follows the source of one Release; the hub below sees to it that all who follow one repository with one credential
//! share its copy and its looks. The newest finding is kept here and read without waiting.
//!
//! Invariant: "could not look" is never mistaken for "nothing there", and an old finding stays until a newer one replaces it.

mod access;
mod app;
#[cfg(test)]
mod app_tests;
mod artifacts;
mod bring;
mod charts;
mod cluster;
mod finding;
mod follow;
mod images;
mod inputs;
mod keys;
mod pinned;
mod publish;
mod registry;
mod rendering;
mod request;
mod secrets;
#[cfg(test)]
mod served;
mod trouble;
mod wanted;
mod web;

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use belay_api::Release;
use belay_engine::{digest::Digest, release::status::Content};
use belay_source::{
    LocalRepositories, Rendered, Renderer, RendererSettings, SourceHub, SourceSettings,
};
use kube::{Client, ResourceExt as _, runtime::reflector::ObjectRef};
use tokio::{
    sync::{OnceCell, watch},
    task::AbortHandle,
};

use crate::{
    Context,
    apply::{Failure, Manifest, failure::Secrecy},
    runtime::GitSettings,
    watch::Triggers,
};
use app::Apps;
use artifacts::Artifacts;
use charts::Charts;
use cluster::Cluster;
pub(super) use finding::{Finding, look_request};
pub(super) use inputs::{Followed as FollowedInputs, Inputs, Wanted};
use request::Request;
use secrets::Secrets;
pub(super) use trouble::Trouble;

/// The sources of all Releases.
pub(super) struct Sources {
    tools: Arc<Tools>,
    triggers: Triggers<Release>,
    /// By UID of the Release.
    followed: Mutex<HashMap<String, Followed>>,
}

/// What is needed to look at a source.
struct Tools {
    client: Client,
    secrets: Secrets,
    charts: Charts,
    artifacts: Artifacts,
    cluster: Cluster,
    apps: Apps,
    inputs: Arc<Inputs>,
    settings: GitSettings,
    hub: OnceCell<SourceHub>,
    renderer: Renderer,
}

struct Followed {
    request: Request,
    finding: Arc<Mutex<Finding>>,
    /// The look that a person asked for.
    wanted: watch::Sender<Option<String>>,
    task: AbortHandle,
}

impl Sources {
    pub(super) fn new(context: &Context, inputs: Arc<Inputs>, triggers: Triggers<Release>) -> Self {
        let (client, settings) = (context.client.clone(), context.settings.git.clone());
        let renderer = Renderer::new(RendererSettings {
            kustomize_program: settings.kustomize_program.clone(),
            helm_program: settings.helm_program.clone(),
            sops_program: settings.sops_program.clone(),
            ..RendererSettings::default()
        });
        let tools = Tools {
            charts: Charts::new(context.settings.reach),
            artifacts: Artifacts::new(context.settings.reach),
            cluster: Cluster::new(client.clone()),
            apps: Apps::new(context.settings.reach),
            secrets: Secrets::new(client.clone(), context.server, Arc::clone(&context.metrics)),
            client,
            inputs,
            settings,
            hub: OnceCell::new(),
            renderer,
        };
        Self {
            tools: Arc::new(tools),
            triggers,
            followed: Mutex::default(),
        }
    }

    /// What the source of `release` asks for, as far as it is known. Begins to follow it if need be, and looks at it at once if the
    /// Release asks for that.
    pub(super) fn finding(&self, release: &Release) -> Finding {
        match release.uid() {
            Some(uid) => self.followed(uid, Request::of(release), release),
            None => Finding::default(),
        }
    }

    fn followed(&self, key: String, request: Request, release: &Release) -> Finding {
        let wanted = finding::wanted(release);
        let mut followed = self.lock();
        if let Some(known) = followed.get(&key)
            && known.request == request
        {
            known.want(wanted);
            return lock(&known.finding).clone();
        }
        let finding = Arc::new(Mutex::new(Finding::default()));
        let (sender, receiver) = watch::channel(None);
        let task = tokio::spawn(follow::follow(
            Arc::clone(&self.tools),
            request.clone(),
            (Arc::clone(&finding), receiver),
            self.triggers.clone(),
            ObjectRef::from_obj(release),
        ));
        let next = Followed {
            request,
            finding,
            wanted: sender,
            task: task.abort_handle(),
        };
        next.want(wanted);
        if let Some(old) = followed.insert(key, next) {
            old.task.abort();
        }
        Finding::default()
    }

    /// The Release is gone or suspended: its source is not looked at any more.
    pub(super) fn forget(&self, uid: &str) {
        self.forget_pinned(uid);
        self.forget_one(uid);
    }

    fn forget_one(&self, key: &str) {
        if let Some(old) = self.lock().remove(key) {
            old.task.abort();
        }
    }

    /// Renders `content` from its commit.
    pub(super) async fn manifests(
        &self,
        release: &Release,
        content: &Content,
    ) -> Result<Vec<Manifest>, Failure> {
        let request = Request::of(release);
        let candidate = self
            .tools
            .candidate(&request, &content.revision)
            .await
            .map_err(Trouble::into_failure)?;
        let rendered = self
            .tools
            .render(&request, &candidate)
            .await
            .map_err(Trouble::into_failure)?
            .rendered;
        if digest(&rendered) != content.digest {
            return Err(Failure::environment(format!(
                "{} does not render to the same objects any more; waits for the source",
                content.revision
            )));
        }
        let manifests = rendered.objects.iter().map(|object| Manifest {
            source: object.source.to_string(),
            value: object.value.clone(),
            secrecy: match object.secrecy {
                belay_source::Secrecy::Open => Secrecy::Open,
                belay_source::Secrecy::Secret => Secrecy::Secret,
            },
        });
        Ok(manifests.collect())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Followed>> {
        lock(&self.followed)
    }
}

impl Followed {
    /// Asks the task for a look, once for each request.
    fn want(&self, request: Option<String>) {
        self.wanted.send_if_modified(|known| {
            let news = request.is_some() && *known != request;
            if news {
                *known = request;
            }
            news
        });
    }
}

impl Tools {
    /// The hub, made when it is first needed: a folder that can't be used is a trouble of Releases, not of the process.
    async fn hub(&self) -> Result<&SourceHub, belay_source::SourceError> {
        self.hub
            .get_or_try_init(|| async {
                let mut settings = SourceSettings::new(&self.settings.cache_directory);
                settings.git_program.clone_from(&self.settings.git_program);
                settings
                    .git_lfs_program
                    .clone_from(&self.settings.git_lfs_program);
                if self.settings.allow_local {
                    settings.local_repositories = LocalRepositories::Allowed;
                }
                SourceHub::new(settings)
            })
            .await
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        for followed in self.lock().values() {
            followed.task.abort();
        }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A digest as hexadecimal digits.
fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string can't fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// Digest of a source without any object.
pub(super) fn nothing() -> Digest {
    digest(&Rendered::nothing())
}

/// The engine's digest of rendered objects.
fn digest(rendered: &Rendered) -> Digest {
    let text = rendered.digest.to_string();
    Digest::from_text(text.strip_prefix("sha256:").unwrap_or(&text))
}
