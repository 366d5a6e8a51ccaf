//! Names that Belay puts on objects: labels, annotations, finalizers and field managers.

/// API group of Belay's resources.
pub const GROUP: &str = "belay.dev";
/// Version of Belay's resources.
pub const VERSION: &str = "v1alpha1";
/// Label on a governed workload and on its candidates: the name of the Rollout. Admission policies and watches select by it.
pub const ROLLOUT_LABEL: &str = "belay.dev/rollout";
/// Label on everything that a Release applies: the name of the Release.
pub const RELEASE_LABEL: &str = "belay.dev/release";
/// Annotation on everything that a Release applies: the UID of the Release that owns it.
pub const RELEASE_UID_ANNOTATION: &str = "belay.dev/release-uid";
/// Finalizer on Rollouts and Releases.
pub const FINALIZER: &str = "belay.dev/finalizer";
/// Field manager of everything that Belay applies.
pub const FIELD_MANAGER: &str = "belay";
/// Annotation on a Release: a new value asks for a look at its source now. Handled when the status echoes it.
pub const RECONCILE_ANNOTATION: &str = "belay.dev/reconcile-requested-at";
/// Annotation on a candidate: digest of the template it was made from.
pub const DIGEST_ANNOTATION: &str = "belay.dev/template-digest";
/// Annotation on a `ConfigMap` or `Secret`: with the value [`CONFIG_LIVE`], changes of it are no releases.
pub const CONFIG_ANNOTATION: &str = "belay.dev/config";
/// See [`CONFIG_ANNOTATION`].
pub const CONFIG_LIVE: &str = "Live";
/// Label on a copy of configuration that belongs to a version; beside it, [`ROLLOUT_LABEL`] names the Rollout.
pub const CONFIG_COPY_LABEL: &str = "belay.dev/config-copy";
/// Label on a Job of a gate: the UID of the Rollout or Release that it is for.
pub const PROBE_LABEL: &str = "belay.dev/probe-for";
/// Label on a Job of a gate: the trial that it is part of.
pub const TRIAL_LABEL: &str = "belay.dev/trial";
/// Annotation on a Job of a gate: the gate, the step and the round that it is for.
pub const PROBE_ANNOTATION: &str = "belay.dev/probe";
