//! What a Release does with files in Git LFS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done with pointers to Git LFS in what is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Lfs {
    /// They refuse the version: the pointer would be applied.
    #[default]
    Refuse,
    /// What they point to is fetched from the LFS server of the repository itself.
    Fetch,
}
