//! One lab for all tests of a binary.

use tokio::sync::OnceCell;

use super::Lab;
use crate::{LabBuilder, LabError};

/// A lab that the first test starts and all tests of the binary use. It ends with the process.
///
/// ```no_run
/// use belay_lab::{Lab, Part, SharedLab};
///
/// static LAB: SharedLab = SharedLab::new();
///
/// async fn lab() -> &'static Lab {
///     LAB.get(|| Lab::builder().with(Part::Prometheus)).await.expect("the lab starts")
/// }
/// ```
#[derive(Debug, Default)]
pub struct SharedLab(OnceCell<Lab>);

impl SharedLab {
    /// A lab that is not started yet.
    pub const fn new() -> Self {
        Self(OnceCell::const_new())
    }

    /// The lab; the first caller starts what `describe` says, the others wait for it. After a failure the next caller tries again.
    pub async fn get(&self, describe: impl FnOnce() -> LabBuilder) -> Result<&Lab, LabError> {
        self.0.get_or_try_init(|| describe().start()).await
    }
}
