//! Ends processes that are no part of a lab together with whoever started them.
//!
//! Invariant: however this process ends (return, panic, ctrl-C, `kill -9`), a process on a leash is gone soon after. What is held in a
//! static is never dropped, so `kill_on_drop` alone is not enough. Leaves out waiting for the end: that is the owner's.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use crate::LabError;

/// A hold on one process; it ends with this value, at the latest.
#[derive(Debug)]
pub struct Leash(Child);

impl Leash {
    /// Puts a child of this process on a leash.
    pub fn on(pid: u32) -> Result<Self, LabError> {
        let keeper = env!("BELAY_LAB_KEEPER");
        Command::new(keeper)
            .arg("--leash")
            .arg(pid.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A ctrl-C in the terminal is for the owner.
            .process_group(0)
            .spawn()
            .map(Self)
            .map_err(LabError::io(format!("start {keeper}")))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
