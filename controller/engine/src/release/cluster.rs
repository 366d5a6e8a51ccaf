//! In which cluster the objects of a Release are, when that may be another one than the Release's own.
//!
//! Invariant: a cluster that does not answer is not a cluster without objects, and objects of one cluster are never looked for in
//! another.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The cluster that the spec means, as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reached {
    /// The Release's own.
    #[default]
    Home,
    /// Another one.
    Remote {
        /// Which one.
        id: ClusterId,
        /// Since when it answers. What is not healthy in time is not so from then on.
        since: Timestamp,
    },
    /// Another one, which can't be reached.
    Away {
        /// Since when.
        since: Timestamp,
        /// Why, without secrets; the same for the same cause.
        message: String,
    },
}

/// What a cluster is told by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterId {
    /// UID of its namespace `kube-system`, if the kubeconfig's user may read that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Digest of the address and of the authority of its API server.
    pub address: String,
}

impl ClusterId {
    /// Whether both are one cluster: by its UID, which a new address does not change, or else by its address.
    pub fn is(&self, other: &Self) -> bool {
        match (&self.uid, &other.uid) {
            (Some(one), Some(other)) => one == other,
            _ => self.address == other.address,
        }
    }

    /// The newest knowledge of one cluster.
    #[must_use]
    pub fn renewed(&self, newer: &Self) -> Self {
        Self {
            uid: newer.uid.clone().or_else(|| self.uid.clone()),
            address: newer.address.clone(),
        }
    }
}

/// Since when a cluster can't be reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outage {
    /// Since when.
    pub since: Timestamp,
    /// Why, without secrets.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(uid: Option<&str>, address: &str) -> ClusterId {
        ClusterId {
            uid: uid.map(str::to_owned),
            address: address.to_owned(),
        }
    }

    #[test]
    fn a_cluster_is_told_by_its_uid_and_by_its_address_where_that_is_not_known() {
        assert!(id(Some("u"), "a").is(&id(Some("u"), "b")));
        assert!(!id(Some("u"), "a").is(&id(Some("v"), "a")));
        assert!(id(None, "a").is(&id(Some("v"), "a")));
        assert!(!id(None, "a").is(&id(Some("v"), "b")));
        let known = id(Some("u"), "a").renewed(&id(None, "a"));
        assert_eq!(known, id(Some("u"), "a"));
    }
}
