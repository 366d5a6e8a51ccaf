//! How each kind is shown.

pub(crate) mod gates;
pub(crate) mod release;
pub(crate) mod rollout;
pub(crate) mod signs;
mod steps;
