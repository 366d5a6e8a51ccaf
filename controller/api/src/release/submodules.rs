//! What a Release does with the submodules of its repository.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done with submodules that lie in what is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Submodules {
    /// They refuse the version: what they stand for would look as if it had left the source.
    #[default]
    Refuse,
    /// They are fetched, at the commits that the repository names. The credential of `secretRef` goes only to those on the
    /// repository's own server.
    Fetch,
}
