//! Applying, watching and pruning sets of objects in the name of a service account.
//!
//! Invariant: everything here that touches a user's objects does so with an impersonated client, so that a Release can do what
//! its service account can, and nothing more; in another cluster with that of the Release's kubeconfig. Belay's own identity keeps inventories and renders. What to apply, and when, is
//! decided elsewhere.

pub mod altered;
pub mod conflict;
pub mod failure;
pub mod fields;
pub mod foreign;
pub mod hold;
pub mod identity;
pub mod ignore;
pub mod inventory;
pub mod kept;
pub mod kinds;
pub mod manifest;
pub mod order;
pub mod owners;
pub mod prune;
pub mod renders;
pub mod same;
pub mod scale;
pub mod server_side;
pub mod standing;
pub mod takeover;
pub mod target;
pub mod turn;
pub mod watches;
pub mod words;

pub use failure::Failure;
pub use identity::{Identities, Identity};
pub use inventory::Inventory;
pub use kinds::{Kind, Kinds};
pub use manifest::{Manifest, Owner, Prepared};
pub use target::{Target, Via};
