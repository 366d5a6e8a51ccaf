//! The words for programs: reasons of waits, conditions and events. Dashboards, tests and other controllers rely on them.

/// Waits: the workload does not exist.
pub const WORKLOAD_MISSING: &str = "WorkloadMissing";
/// Waits: the Deployment controller has not taken up the newest spec yet.
pub const DEPLOYMENT_CONTROLLER: &str = "DeploymentController";
/// Waits: the pods of the first version are not up yet.
pub const FIRST_VERSION: &str = "FirstVersion";
/// Waits: the workload is being paused, since its template changed past the hold.
pub const HOLDING: &str = "Holding";
/// Waits: pods of other versions still run beside the stable one.
pub const CLEARING: &str = "Clearing";
/// Waits: the stable version is not at full strength.
pub const STABLE_STRENGTH: &str = "StableStrength";
/// Waits: the workload is scaled to zero and its new content was not verified.
pub const SCALED_TO_ZERO: &str = "ScaledToZero";
/// Waits: routes and Services are on their way, or a router must acknowledge them.
pub const TRAFFIC: &str = "Traffic";
/// Waits: pods are not ready.
pub const PODS: &str = "Pods";
/// Waits: a person paused the Rollout.
pub const PAUSED: &str = "Paused";
/// Waits: the step's hold, or the bake, is not over.
pub const HOLD: &str = "Hold";
/// Waits: a gate has not passed yet.
pub const GATE: &str = "Gate";
/// Waits: a person must approve.
pub const APPROVAL: &str = "Approval";
/// Waits: verified, and promotes together with other Rollouts of its Release.
pub const TOGETHER: &str = "Together";
/// Waits: the native rolling update of a promotion.
pub const PROMOTION: &str = "Promotion";
/// Waits: the candidate is being taken away, or the stable template rolled back in.
pub const ROLLBACK: &str = "Rollback";
/// Waits: the content that is asked for is quarantined.
pub const QUARANTINED: &str = "Quarantined";
/// Waits: the configuration that goes with the version.
pub const CONFIG: &str = "Configuration";
/// Waits: the Rollout is being deleted.
pub const DELETION: &str = "Deletion";

/// Stalled: the spec can't be carried out.
pub const SPEC_REFUSED: &str = "SpecRefused";
/// Stalled: the workload can't be governed.
pub const WORKLOAD_REFUSED: &str = "WorkloadRefused";
/// Stalled: the stable version's ReplicaSet, the only source of its template, is gone.
pub const STABLE_LOST: &str = "StableLost";
/// Ready: the verified version runs.
pub const VERIFIED: &str = "Verified";

/// Condition and event: queries of gates look as if they said something else than was meant.
pub const GATES_DOUBTFUL: &str = "GatesDoubtful";

/// Condition and event: a copy of configuration that pods of a living version read was deleted.
pub const CONFIG_LOST: &str = "ConfigurationLost";
/// Event: all such copies are there again.
pub const CONFIG_RESTORED: &str = "ConfigurationRestored";

/// Event: a candidate's canary began.
pub const ROLLOUT_STARTED: &str = "RolloutStarted";
/// Event: a step was passed, and the next one began.
pub const STEP_PASSED: &str = "StepPassed";
/// Event: the promotion began.
pub const PROMOTING: &str = "Promoting";
/// Event: everything runs the new version, and the bake began.
pub const BAKING: &str = "Baking";
/// Event: the candidate is the stable version now.
pub const PROMOTED: &str = "Promoted";
/// Event: a rollback began.
pub const ROLLBACK_STARTED: &str = "RollbackStarted";
/// Event: the rollback is over and the rejected content is held.
pub const REJECTED: &str = "Rejected";
/// Event: a rollback that rejects nothing is over.
pub const ROLLED_BACK: &str = "RolledBack";
/// Event: somebody let the workload go past the hold.
pub const HOLD_BYPASSED: &str = "HoldBypassed";
/// Event: new content was accepted without a canary, for nothing ran.
pub const ACCEPTED_AT_ZERO: &str = "AcceptedAtZero";
/// Event: the first version was recorded as stable.
pub const ADOPTED: &str = "Adopted";
/// Event: what runs was taken as the stable version, for the recorded one does not run.
pub const BASELINE_CHANGED: &str = "BaselineChanged";
/// Event: an act was taken up.
pub const ACTION_ACCEPTED: &str = "ActionAccepted";
/// Event: an act was refused.
pub const ACTION_REFUSED: &str = "ActionRefused";
