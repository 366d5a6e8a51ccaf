//! The runtime of a lab's own tasks.
//!
//! Tests have one runtime each, and it ends with the test; a lab shared by them needs one that lives as long as the lab.

use tokio::runtime::{Builder, Handle, Runtime};

use crate::LabError;

/// A runtime that may be dropped anywhere, also inside another one.
#[derive(Debug)]
pub(super) struct Background(Option<Runtime>, Handle);

impl Background {
    pub(super) fn new() -> Result<Self, LabError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("lab")
            .enable_all()
            .build();
        let runtime = runtime.map_err(LabError::io("start the lab's own threads"))?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    pub(super) const fn handle(&self) -> &Handle {
        &self.1
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
