//! Git repositories and the manifests rendered from them, as bounded subprocesses.
//!
//! Purpose: from a URL, a reference and a path to a checked list of Kubernetes objects with a digest of their content.
//! Invariants: repositories are hostile until proven otherwise (no hook, no plugin, no link out of the repository, no
//! network while rendering); every run has limits on time, memory and output; no text of this crate holds a credential
//! or a value from a file. Left out on purpose: anything of Kubernetes' API (no kube), and asking OCI registries and Helm
//! repositories: what comes from there is handed in.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use belay_source::{
//!     GitRef, RenderRequest, Renderer, RendererSettings, RepoPath, Repository, RepositoryUrl, SourceHub, SourceSettings,
//! };
//!
//! let hub = SourceHub::new(SourceSettings::new("/var/cache/belay"))?;
//! let renderer = Renderer::new(RendererSettings::default());
//! let repository = Repository::anonymous(RepositoryUrl::parse("https://git.example.com/shop.git")?);
//!
//! // One look at the server per interval, however many subscribers.
//! let mut watch = hub.subscribe(&repository, Duration::from_secs(60))?;
//! let main = GitRef::branch("main")?;
//! if let Some(listing) = watch.changed().await.listing {
//!     let commit = listing.resolve(&main)?;
//!     let checkout = hub.checkout(&repository, &main, &commit).await?;
//!     let rendered = renderer.render(&checkout, &RenderRequest::detect(RepoPath::parse("deploy/prod")?)).await?;
//!     for object in &rendered.objects {
//!         println!("{} from {}", object.key, object.source);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod access;
mod artifact;
mod checkout;
mod credential;
mod error;
mod files;
mod git;
mod hub;
mod lfs;
mod mirror;
mod pack;
mod path;
mod process;
mod range;
mod reference;
mod render;
mod repository;
mod settings;
mod signature;
mod ssh;
mod submodule;
mod text;
mod tls;
mod url;
mod versions;
mod yaml;

pub use crate::artifact::Artifact;
pub use crate::checkout::{Checkout, CommitInfo};
pub use crate::credential::Credential;
pub use crate::error::{CredentialUse, Permanence, SourceError};
pub use crate::hub::{Observation, Publication, RequestCounts, SourceHub, Subscription};
pub use crate::lfs::LfsMode;
pub use crate::pack::{PackError, SECRET_CHUNK_BYTES, chunks, pack, unpack};
pub use crate::path::RepoPath;
pub use crate::reference::{Candidate, GitRef, Oid, RefListing};
pub use crate::render::{
    ChartArchive, ContentDigest, Decryption, HelmOptions, HelmValues, ImageOverride, ObjectKey,
    ObjectSource, RenderCounts, RenderError, RenderKind, RenderRequest, Rendered, RenderedObject,
    Renderer, RendererSettings, Secrecy, Substitution,
};
pub use crate::repository::Repository;
pub use crate::settings::{FileLimits, LocalRepositories, SourceSettings};
pub use crate::signature::{
    KeyKind, Signature, SignatureMode, SignaturePolicy, SignedObject, TrustedKeys,
};
pub use crate::submodule::SubmoduleMode;
pub use crate::tls::{Proxy, Tls};
pub use crate::url::{RepositoryUrl, Transport};
pub use crate::versions::{hidden_prerelease, highest_version, is_exact_version};
