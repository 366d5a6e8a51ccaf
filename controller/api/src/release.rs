//! `Release`: which version of a set of objects should run, and where it comes from.

pub mod chart;
pub mod composition;
pub mod decryption;
pub mod group;
pub mod health;
pub mod ignore;
pub mod images;
pub mod inputs;
pub mod lfs;
pub mod oci;
pub mod plan;
pub mod prune;
pub mod remote;
pub mod render;
pub mod source;
pub mod submodules;
pub mod take;
pub mod verify;
pub mod webhook;

use belay_engine::release::{
    plan::{DeletionPolicy, DriftMode, Promotion as Pace},
    status::ReleaseStatus,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use chart::ChartSource;
pub use composition::{After, Dependency, Promotion, Publish};
pub use decryption::{Decryption, Sops};
pub use health::{HealthRule, HealthRules};
pub use ignore::{IgnoreRule, ObjectSelector};
pub use images::Image;
pub use inputs::{InputKind, Substitute, ValuesFrom, VariablesFrom};
pub use lfs::Lfs;
pub use oci::{LayerSelector, Oci, OciRef};
pub use prune::PruneBudget;
pub use remote::{KubeConfig, KubeConfigSecret};
pub use render::{Helm, Kustomize, Plain, Render};
pub use source::{Origin, Source};
pub use submodules::Submodules;
pub use take::{Adopt, OnImmutable};
pub use verify::{Verify, VerifyMode};
pub use webhook::{Webhook, WebhookSender};

use crate::{Duration, analysis::GateRef};

/// Which version of a set of objects should run, and where it comes from. Belay syncs the objects from Git or an OCI registry, applies them,
/// judges the result, remembers the last verified version, and goes back to it by itself when verification fails.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "belay.dev",
    version = "v1alpha1",
    kind = "Release",
    namespaced,
    status = "ReleaseStatus",
    shortname = "brel",
    category = "belay",
    printcolumn(
        name = "Revision",
        type_ = "string",
        json_path = ".status.asked.short",
        description = "what the source asks for"
    ),
    printcolumn(
        name = "Verified",
        type_ = "string",
        json_path = ".status.verified.short",
        description = "the last verified revision"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[kube(validation = Rule::new("self.metadata.name.size() <= 63").message("the name becomes a label on everything that is applied: keep it to 63 characters"))]
#[x_kube(validation = Rule::new("!has(self.promotion) || !has(self.promotion.publish) || !has(self.source.git) || !has(self.source.git.ref.branch) || self.promotion.publish.ref != 'refs/heads/' + self.source.git.ref.branch").message("promotion.publish.ref is the branch that is followed; publish under another name"))]
#[x_kube(validation = Rule::new("!has(self.promotion) || !has(self.promotion.publish) || has(self.source.git)").message("promotion.publish pushes a Git reference, and an OCI source has none; have the other cluster follow a tag that you move, or take publish out"))]
#[x_kube(validation = Rule::new("!has(self.kubeConfig) || !has(self.render) || !has(self.render.helm) || has(self.render.helm.kubeVersion)").message("a chart for another cluster must be told that cluster's version: write render.helm.kubeVersion, for example 1.36.0"))]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSpec {
    /// Where the objects come from.
    pub source: Source,
    /// How the files become objects. Absent: with Kustomize if the directory has a kustomization file, else as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub render: Option<Render>,
    /// How encrypted files of the source are opened. Absent: a file that is encrypted with SOPS refuses the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decryption: Option<Decryption>,
    /// Images of containers to replace after rendering, each by its name. They are part of the version.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// The service account, in the namespace of the Release, in whose name everything is applied, watched and pruned, save in another
    /// cluster. The Release can do what this account can, and nothing more.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub service_account_name: String,
    /// Another cluster that the objects are brought into. Absent: the one that the Release is in. While the Release has objects in one
    /// cluster it can't be led to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<KubeConfig>,
    /// Releases that must be verified, with their newest spec, before new content is brought in here. Of those that follow the
    /// same reference of the same repository the same or a newer commit must be verified.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// What goes on from one environment to the next.
    #[serde(default)]
    pub promotion: Promotion,
    /// Other namespaces whose Releases may refer to this one and so learn how it is; `*` means all of them.
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readable_from: Vec<String>,
    /// How objects are applied.
    #[serde(default)]
    pub apply: Apply,
    /// What makes applied content a verified version.
    #[serde(default)]
    pub verification: Verification,
    /// Going back.
    #[serde(default)]
    pub rollback: RollbackSpec,
    /// Set: the source is not looked at and nothing is written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// What happens to the applied objects when the Release is deleted. With `Orphan` they stay and run on, with `Delete` they
    /// are deleted, save Namespaces, definitions of resources and volumes.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// A directory of a Git repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
// About the whole, not the address: the API server repeats the text that a rule about a text refuses.
#[x_kube(validation = Rule::new("self.url.matches('^(https?://[^/@]+/.+|ssh://[A-Za-z0-9_][-A-Za-z0-9_.]*@[^/@]+/.+|[A-Za-z0-9_][-A-Za-z0-9_.]*@[A-Za-z0-9][-A-Za-z0-9_.]*:[^-:].*|file:///.+|/.+)$')").message("url: write https://host/path without a user name or password (put those into a Secret and name it in secretRef), ssh://git@host/path, or git@host:path"))]
#[x_kube(validation = Rule::new("!has(self.secretRef) || !self.url.matches('^(file:/|/)')").message("secretRef needs an https or ssh address: other repositories take no credential"))]
#[x_kube(validation = Rule::new("has(self.secretRef) || self.url.matches('^(https?:/|file:/|/)')").message("an ssh address needs secretRef: a Secret with identity (a private key) and known_hosts"))]
#[x_kube(validation = Rule::new("!has(self.proxySecretRef) || self.url.matches('^https?:/')").message("proxySecretRef goes with an https address: nothing else is reached through a proxy"))]
#[x_kube(validation = Rule::new("!has(self.verify) || !has(self.verify.mode) || self.verify.mode == 'Head' || has(self.ref.tag) || has(self.ref.semver) || (has(self.ref.name) && self.ref.name.startsWith('refs/tags/'))").message("verify.mode Tag and TagAndHead need a tag to follow: ref.tag or ref.semver; a branch has none, write mode: Head"))]
#[serde(rename_all = "camelCase")]
pub struct Git {
    /// Address of the repository: `https://…` without user name and password (those belong into the Secret of `secretRef`),
    /// `ssh://git@host/path` or `git@host:path`.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// What to follow.
    #[serde(rename = "ref")]
    pub reference: GitRef,
    /// Directory in the repository; its root when absent.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')").message("write the path relative to the root of the repository, without a leading / and without .. in it"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Secret in the namespace of the Release with the keys `username` and `password`, or `bearerToken`; for SSH with `identity` (a
    /// private key), `password` if that is encrypted, and `known_hosts`. For HTTPS also, beside or instead of a login, `ca.crt` (the
    /// authority of the server's certificate, instead of the system's), and `tls.crt` with `tls.key` for mutual TLS. For a GitHub App:
    /// `githubAppID`, `githubAppInstallationID`, `githubAppPrivateKey`, and `githubAppBaseURL` for a server of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Secret in the namespace of the Release with the `address` of an HTTP proxy on the way to the repository (`http://host:port`), and
    /// `username` and `password` if the proxy wants them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<SecretRef>,
    /// Whether submodules in what is read refuse the version (`Refuse`) or are fetched (`Fetch`), those on the repository's own server
    /// with the same credential, others by https without one.
    #[serde(default)]
    pub submodules: Submodules,
    /// Whether pointers to Git LFS in what is read refuse the version (`Refuse`), or what they point to is fetched from the LFS server of
    /// the repository itself (`Fetch`), which goes by https.
    #[serde(default)]
    pub lfs: Lfs,
    /// Whose signatures are asked for. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
    /// Time between two looks at the repository. All Releases that follow one repository with one credential share its looks.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')").message("write a time from 1s to 24h, for example 1m"))]
    #[serde(default = "defaults::interval")]
    pub interval: Duration,
    /// Has pushes looked at when they happen. Absent: at the next `interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

/// What to follow in a Git repository. Exactly one is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.branch), has(self.tag), has(self.commit), has(self.semver), has(self.name)].filter(x, x).size() == 1").message("give exactly one of branch, tag, commit, semver and name"))]
#[x_kube(validation = Rule::new("!has(self.tagPrefix) || has(self.semver)").message("tagPrefix goes with semver"))]
#[serde(rename_all = "camelCase")]
pub struct GitRef {
    /// The tip of this branch.
    #[schemars(length(min = 1, max = 244))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit of this tag.
    #[schemars(length(min = 1, max = 244))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// This commit, by its full id.
    #[schemars(regex(pattern = "^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The highest version in this range among the tags, for example `>=1.2.0 <2.0.0`, `~1.4`, `^2` or `1.x || 3.x`. Tags may begin with `v`.
    /// Prereleases count when the range names one: `>=1.2.0-0`. Of tags that differ in build metadata the newest commit counts.
    #[schemars(length(min = 1, max = 128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// With `semver`: only tags that begin with this count, and the version is what follows, for example `shop-` for `shop-1.2.3`.
    #[schemars(length(min = 1, max = 128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_prefix: Option<String>,
    /// Any reference by its full name, for example `refs/pull/420/head`.
    #[schemars(length(min = 6, max = 244), regex(pattern = "^refs/"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How objects are applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Apply {
    /// Whether objects that left the source are deleted, once the version without them is verified. Namespaces,
    /// definitions of resources and volumes are only if they say so themselves (annotation `belay.dev/prune: Allowed`).
    pub prune: bool,
    /// How many objects that left the source are deleted at once without a person's word.
    pub prune_budget: PruneBudget,
    /// Whether a source without any object is taken at its word. Else it is refused, and everything stays.
    pub allow_empty: bool,
    /// What happens when somebody changes an applied object.
    pub drift: DriftMode,
    /// Whether objects that another tool applies (Flux, Argo CD, Helm) are taken over.
    pub adopt: Adopt,
    /// What happens when a field can't be changed.
    pub on_immutable: OnImmutable,
    /// Fields that others look after.
    #[schemars(length(max = 32))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<IgnoreRule>,
}

impl Default for Apply {
    fn default() -> Self {
        Self {
            prune: true,
            prune_budget: PruneBudget::default(),
            allow_empty: false,
            drift: DriftMode::Correct,
            adopt: Adopt::Unowned,
            on_immutable: OnImmutable::Refuse,
            ignore: Vec::new(),
        }
    }
}

/// What makes applied content a verified version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Gates that must pass after everything is healthy.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRef>,
    /// How long objects that no Rollout governs may take to become healthy.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("write a time of at least 1s, for example 15m"))]
    #[serde(default = "defaults::timeout")]
    pub timeout: Duration,
    /// How objects of custom kinds are told healthy. Of several rules for a kind the first one counts.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<HealthRule>,
    /// Whether the Rollouts of the Release promote one by one (`Separate`), or wait, verified, for each other (`Together`).
    #[serde(default)]
    pub promotion: Pace,
}

impl Default for Verification {
    fn default() -> Self {
        Self {
            gates: Vec::new(),
            timeout: defaults::timeout(),
            health: Vec::new(),
            promotion: Pace::Separate,
        }
    }
}

/// Going back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackSpec {
    /// Verified versions whose renders are kept, in Secrets beside the Release, for going back without Git.
    #[schemars(range(min = 1, max = 20))]
    #[serde(default = "defaults::history")]
    pub history: u8,
    /// After this time failed content that is still asked for is tried again by itself, and its Rollouts with it. Absent: only when a
    /// person retries it.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('8760h')").message("write a time from 1m to 8760h, for example 24h"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine_ends_after: Option<Duration>,
}

impl Default for RollbackSpec {
    fn default() -> Self {
        Self {
            history: defaults::history(),
            quarantine_ends_after: None,
        }
    }
}

mod defaults {
    use crate::Duration;

    pub(super) const fn history() -> u8 {
        5
    }

    pub(super) const fn interval() -> Duration {
        Duration::from_secs(60)
    }

    pub(super) const fn timeout() -> Duration {
        Duration::from_secs(900)
    }
}
