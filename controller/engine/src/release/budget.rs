//! How much may be pruned without a person's word.
//!
//! Invariant: an approval holds for one attempt and for no more objects than it was given for.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::observed::ObjectKey;
use crate::digest::Digest;

/// Objects that are named in a status.
const NAMED: usize = 10;

/// How many objects may be pruned at once without a person's word: the larger of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// That many in any case.
    pub objects: usize,
    /// That many in a hundred of the objects of the Release.
    pub percent: usize,
}

impl Budget {
    /// How many of `total` objects may go.
    pub fn of(self, total: usize) -> usize {
        let share = total.saturating_mul(self.percent.min(100)) / 100;
        self.objects.max(share)
    }
}

/// A deletion of many objects that a person must approve.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LargePrune {
    /// Digest of the content that these objects are not in.
    pub digest: Digest,
    /// How many objects are to go.
    pub objects: usize,
    /// The first of them.
    pub first: Vec<String>,
    /// Who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Timestamp>,
}

impl LargePrune {
    /// The deletion of `doomed`, not approved yet.
    pub fn of(digest: &Digest, doomed: &[ObjectKey]) -> Self {
        Self {
            digest: digest.clone(),
            objects: doomed.len(),
            first: doomed.iter().take(NAMED).map(ToString::to_string).collect(),
            approved_by: None,
            approved_at: None,
        }
    }

    /// Whether a person has approved that `objects` objects go for the sake of `digest`.
    pub fn approves(&self, digest: &Digest, objects: usize) -> bool {
        self.approved_by.is_some() && self.digest == *digest && objects <= self.objects
    }

    /// Which objects, for people.
    pub fn named(&self) -> String {
        let first = self.first.join(", ");
        match self.objects.saturating_sub(self.first.len()) {
            0 => first,
            more => format!("{first} and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_number_and_share_may_go() {
        let budget = Budget {
            objects: 10,
            percent: 20,
        };
        assert_eq!((budget.of(3), budget.of(60), budget.of(500)), (10, 12, 100));
        let none = Budget {
            objects: 0,
            percent: 0,
        };
        assert_eq!(none.of(1_000), 0);
    }

    #[test]
    fn an_approval_does_not_grow() {
        let doomed: Vec<ObjectKey> = (0..12)
            .map(|number| ObjectKey {
                group: String::new(),
                kind: "ConfigMap".into(),
                namespace: Some("shop".into()),
                name: format!("map-{number:02}"),
            })
            .collect();
        let digest = Digest::of(&serde_json::json!("a"));
        let mut large = LargePrune::of(&digest, &doomed);
        assert!(large.named().ends_with("ConfigMap shop/map-09 and 2 more"));
        assert!(!large.approves(&digest, 12));
        large.approved_by = Some("jane".into());
        assert!(large.approves(&digest, 5) && !large.approves(&digest, 13));
        assert!(!large.approves(&Digest::of(&serde_json::json!("b")), 5));
    }
}
