//! `lab down`: ends a lab that another process holds.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use belay_lab::{LabError, LabStatus, wait_for};
use rustix::process::{Pid, Signal, kill_process};

use crate::report;

/// How long the holder and the keeper may take.
const GONE_WITHIN: Duration = Duration::from_secs(45);

pub(crate) async fn down(folder: &Path) -> Result<ExitCode, LabError> {
    let status = LabStatus::read(folder)?;
    if is_up(folder) {
        let holder = i32::try_from(status.holder_pid)
            .ok()
            .and_then(Pid::from_raw);
        if let Some(holder) = holder {
            // While the keeper holds its lock, so does the holder its pipe: the process id is not another's.
            let _ = kill_process(holder, Signal::TERM);
        }
        let what = format!("the lab in {} to end", folder.display());
        wait_for(&what, GONE_WITHIN, || async {
            if is_up(folder) {
                Err("it is up".to_owned())
            } else {
                Ok(())
            }
        })
        .await?;
        report::note("the lab is gone");
    } else if folder
        .canonicalize()
        .is_ok_and(|folder| folder == status.dir)
    {
        // What a lab leaves that was told to keep its folder, or whose machine was switched off.
        fs::remove_dir_all(folder).map_err(|source| LabError::Io {
            what: format!("remove {}", folder.display()),
            source,
        })?;
        report::note(&format!(
            "no lab was up; removed what one had left in {}",
            folder.display()
        ));
    } else {
        return Err(LabError::NoLab(folder.to_path_buf()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a keeper holds the folder's lock.
pub(crate) fn is_up(folder: &Path) -> bool {
    File::open(folder.join("lock"))
        .is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}
