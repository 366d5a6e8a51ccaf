//! How much a Release deletes without asking.

use belay_engine::release::budget::Budget;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many objects that left the source are deleted at once without a person's word: the larger of the two. For more, Belay
/// waits until somebody approves it (`kubectl belay approve release/NAME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PruneBudget {
    /// That many in any case. With 0 for both, every deletion is asked for.
    #[schemars(range(max = 100_000))]
    pub objects: u32,
    /// That many in a hundred of the objects of the Release. With 100, nothing is asked for.
    #[schemars(range(max = 100))]
    pub percent: u8,
}

impl PruneBudget {
    pub(super) fn plan(self) -> Budget {
        Budget {
            objects: usize::try_from(self.objects).unwrap_or(usize::MAX),
            percent: usize::from(self.percent),
        }
    }
}

impl Default for PruneBudget {
    fn default() -> Self {
        Self {
            objects: 10,
            percent: 20,
        }
    }
}
