//! The network namespace in which every pod's address is local.
//!
//! KWOK's pods have addresses that lead nowhere. In a network namespace of its own, with a local route for the pods' range, a process
//! may have them all: what listens on every address there plays all pods, and the gateway, Prometheus and anybody else reach each pod
//! as they would in a cluster. [`enter_plane`] moves this process into one; labs that it starts then, and their processes, are there.
//!
//! Invariant: the first lab's ports answer outside under the same addresses (`outside`), so that a browser, `kubectl` and other
//! processes of this machine need not know of the namespace; pods' addresses exist inside only. Nothing of it outlives the process.
//! Left out: other machines' networks. From inside, nothing but the lab can be reached, so programs are built before.

#[cfg(target_os = "linux")]
mod namespace;
mod outside;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::ports::Ports;
use crate::progress::Progress;
use crate::{LabError, Program, programs};
pub(crate) use outside::Outside;

#[cfg(not(target_os = "linux"))]
mod namespace {
    pub(super) fn enter() -> Result<(), String> {
        Err("it is not a Linux".into())
    }
}

/// Set, to its own process id, in a process that has built everything and may enter: children inherit it and are not meant.
const PREPARED: &str = "BELAY_LAB_PLANE";

/// What was set aside outside; the first lab takes it.
static ENTERED: OnceLock<Mutex<Option<Outside>>> = OnceLock::new();

/// Moves this process into a network namespace of its own, as [`crate::Part::Pods`] and [`crate::Part::Gateway`] need it.
///
/// To be called first in `main`, before any thread is started: threads that exist already stay outside, and without root the kernel
/// refuses. Builds the lab's programs where needed, for inside no module can be fetched, and begins the process anew for it
/// (same program, same arguments): what was done before this call is done twice.
///
/// Fails with [`LabError::PlaneForbidden`] where namespaces are not allowed: tests say so and are skipped.
pub fn enter_plane() -> Result<(), LabError> {
    if ENTERED.get().is_some() {
        return Ok(());
    }
    let own = OsString::from(std::process::id().to_string());
    if std::env::var_os(PREPARED).as_ref() != Some(&own) {
        return Err(begin_anew(&own));
    }
    let outside = Outside::reserve()?;
    namespace::enter().map_err(LabError::PlaneForbidden)?;
    // Nobody was faster: there is one thread.
    let _ = ENTERED.set(Mutex::new(Some(outside)));
    Ok(())
}

/// Builds what may be needed and replaces this process by itself, which then has one thread. Returns only what went wrong.
fn begin_anew(own: &OsString) -> LabError {
    if let Err(error) = build() {
        return error;
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return LabError::io("find this program")(error),
    };
    let error = Command::new(program)
        .arg0(name)
        .args(arguments)
        .env(PREPARED, own)
        .exec();
    LabError::io("begin this program anew")(error)
}

fn build() -> Result<(), LabError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(LabError::io("start a runtime"))?;
    runtime.block_on(async {
        let progress = Progress::stderr();
        programs::provide(&Program::ALL, &progress).await?;
        for wanted in programs::Manifests::ALL {
            programs::manifests(wanted).await?;
        }
        Ok(())
    })
}

/// Whether this process is in a namespace of its own.
pub(crate) fn is_entered() -> bool {
    ENTERED.get().is_some()
}

/// Fails when this process is not in a namespace of its own.
pub(crate) fn required() -> Result<(), LabError> {
    is_entered().then_some(()).ok_or(LabError::PlaneNotEntered)
}

/// Ports for a lab. In the plane, the first lab gets those that are set aside outside, and with them their outer half.
pub(crate) fn claim_ports() -> Result<(Ports, Option<Outside>), LabError> {
    let reserved = ENTERED.get().and_then(|outside| {
        outside
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    });
    match reserved {
        Some(outside) => Ok((Ports::claim_at(outside.base())?, Some(outside))),
        None => Ok((Ports::claim()?, None)),
    }
}
