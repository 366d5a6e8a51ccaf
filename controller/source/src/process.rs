//! Subprocesses with bounded time, memory, file size and output.
//!
//! Invariant: when [`run`] returns or is cancelled, no process of the child's group is left running, and no more than
//! the given number of bytes has been kept. No shell is involved, and the child sees only the environment it is given.
//! Limits on memory and file size are set right after the start, so a process that the child itself starts within
//! those first microseconds could escape them; the time limit holds for the whole group in any case.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};

/// How much of a program's complaints is kept.
const STDERR_BYTES: usize = 16 << 10;

/// What to run.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) directory: PathBuf,
    pub(crate) stdin: Vec<u8>,
}

/// Bounds on one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Wall-clock time.
    pub(crate) timeout: Duration,
    /// Bytes of standard output kept; more is an error.
    pub(crate) stdout_bytes: usize,
    /// Private writable memory of each process.
    pub(crate) memory_bytes: u64,
    /// Size of each file written.
    pub(crate) file_bytes: u64,
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    /// The beginning of standard error.
    pub(crate) stderr: String,
}

/// Why there is no [`Finished`].
#[derive(Debug)]
pub(crate) enum RunError {
    /// The program could not be started.
    Start(std::io::Error),
    /// Talking to the program failed.
    Talk(std::io::Error),
    /// The time limit was met.
    TimedOut,
    /// More output than allowed.
    TooMuchOutput,
}

/// Runs a program to its end, within bounds.
pub(crate) async fn run(invocation: &Invocation, bounds: &Bounds) -> Result<Finished, RunError> {
    let mut child = Command::new(&invocation.program)
        .args(&invocation.args)
        .env_clear()
        .envs(invocation.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&invocation.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(RunError::Start)?;
    // Declared after the child, so dropped before it: the group is killed while its leader's id can't be reused.
    let mut group = Group::of(child.id());
    group.bound(bounds);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let talk = async {
        let (stdout, stderr, ()) = tokio::try_join!(
            read_all(stdout, bounds.stdout_bytes),
            read_beginning(stderr, STDERR_BYTES),
            feed(stdin, &invocation.stdin),
        )?;
        let status = child.wait().await.map_err(RunError::Talk)?;
        Ok(Finished {
            status,
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    };
    let result = tokio::time::timeout(bounds.timeout, talk)
        .await
        .unwrap_or(Err(RunError::TimedOut));
    if result.is_err() {
        group.kill();
        // Reaps the child; it has just been killed, so this does not wait for anything of its own.
        let _ = child.wait().await;
    }
    group.release();
    result
}

/// The process group of a child that has not been reaped yet.
struct Group(Option<Pid>);

impl Group {
    fn of(child: Option<u32>) -> Self {
        Self(
            child
                .and_then(|id| i32::try_from(id).ok())
                .and_then(Pid::from_raw),
        )
    }

    #[cfg(target_os = "linux")]
    fn bound(&self, bounds: &Bounds) {
        use rustix::process::{Resource, Rlimit};

        let limits = [
            (Resource::Data, bounds.memory_bytes),
            (Resource::Fsize, bounds.file_bytes),
            (Resource::Core, 0),
        ];
        for (resource, bytes) in limits {
            let limit = Rlimit {
                current: Some(bytes),
                maximum: Some(bytes),
            };
            // The child may have ended already; and an outer limit that is lower stays in force.
            if let Err(error) = rustix::process::prlimit(self.0, resource, limit) {
                tracing::debug!(?resource, %error, "resource limit not set");
            }
        }
    }

    /// Only Linux can limit a process that runs already. Elsewhere, where the plugin runs and no controller does, the limits on
    /// time and output hold.
    #[cfg(not(target_os = "linux"))]
    fn bound(&self, _: &Bounds) {}

    fn kill(&self) {
        if let Some(leader) = self.0 {
            // An error means that no process is left, which is what is wanted.
            let _ = rustix::process::kill_process_group(leader, Signal::KILL);
        }
    }

    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn read_all(pipe: Option<impl AsyncRead + Unpin>, limit: usize) -> Result<Vec<u8>, RunError> {
    let mut kept = Vec::new();
    if let Some(pipe) = pipe {
        let allowed = u64::try_from(limit).unwrap_or(u64::MAX);
        pipe.take(allowed.saturating_add(1))
            .read_to_end(&mut kept)
            .await
            .map_err(RunError::Talk)?;
    }
    if kept.len() > limit {
        Err(RunError::TooMuchOutput)
    } else {
        Ok(kept)
    }
}

async fn read_beginning(
    pipe: Option<impl AsyncRead + Unpin>,
    limit: usize,
) -> Result<Vec<u8>, RunError> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        let allowed = u64::try_from(limit).unwrap_or(u64::MAX);
        (&mut pipe)
            .take(allowed)
            .read_to_end(&mut kept)
            .await
            .map_err(RunError::Talk)?;
        // A full pipe would block the program: the rest is read and dropped.
        tokio::io::copy(&mut pipe, &mut tokio::io::sink())
            .await
            .map_err(RunError::Talk)?;
    }
    Ok(kept)
}

async fn feed(pipe: Option<ChildStdin>, input: &[u8]) -> Result<(), RunError> {
    let Some(mut pipe) = pipe else {
        return Ok(());
    };
    match pipe.write_all(input).await {
        // A program that ends without reading its input says why by its exit status.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(RunError::Talk(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Invocation {
        Invocation {
            program: PathBuf::from("/bin/sh"),
            args: vec!["-c".into(), script.into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            directory: PathBuf::from("/"),
            stdin: b"hello".to_vec(),
        }
    }

    fn bounds() -> Bounds {
        Bounds {
            timeout: Duration::from_secs(20),
            stdout_bytes: 1 << 20,
            memory_bytes: 1 << 30,
            file_bytes: 1 << 20,
        }
    }

    /// Whether the process has ended (gone, or a zombie that only waits for its parent).
    fn has_ended(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).map_or(true, |stat| {
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.trim_start().starts_with('Z'))
        })
    }

    async fn wait_until(what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < deadline, "never saw: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn input_goes_in_and_output_and_status_come_out() {
        let finished = run(&shell("cat; echo oops >&2; exit 3"), &bounds())
            .await
            .unwrap();
        assert_eq!(
            (finished.stdout.as_slice(), finished.stderr.as_str()),
            (b"hello".as_slice(), "oops\n")
        );
        assert_eq!(finished.status.code(), Some(3));
    }

    #[tokio::test]
    async fn the_environment_of_the_parent_is_not_seen() {
        let finished = run(&shell("env | grep -c CARGO_"), &bounds())
            .await
            .unwrap();
        assert_eq!(finished.stdout, b"0\n");
    }

    #[tokio::test]
    async fn a_program_past_its_time_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", note.display());
        let limits = Bounds {
            timeout: Duration::from_millis(500),
            ..bounds()
        };
        assert!(matches!(
            run(&shell(&script), &limits).await,
            Err(RunError::TimedOut)
        ));
        let grandchild = std::fs::read_to_string(note).unwrap();
        wait_until("the grandchild's end", || has_ended(&grandchild)).await;
    }

    #[tokio::test]
    async fn a_cancelled_run_kills_the_group() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("pid");
        let script = format!(
            "sleep 600 & echo $! > {0}.new && mv {0}.new {0}; wait",
            note.display()
        );
        let running = tokio::spawn(async move { run(&shell(&script), &bounds()).await });
        wait_until("the grandchild's start", || note.exists()).await;
        running.abort();
        let grandchild = std::fs::read_to_string(note).unwrap();
        wait_until("the grandchild's end", || has_ended(&grandchild)).await;
    }

    #[tokio::test]
    async fn endless_output_is_cut_and_endless_complaints_do_not_block() {
        let limits = Bounds {
            stdout_bytes: 1000,
            ..bounds()
        };
        assert!(matches!(
            run(&shell("yes"), &limits).await,
            Err(RunError::TooMuchOutput)
        ));
        let finished = run(&shell("head -c 1000000 /dev/zero >&2"), &bounds())
            .await
            .unwrap();
        assert_eq!(finished.stderr.len(), STDERR_BYTES);
    }

    #[tokio::test]
    async fn memory_and_file_size_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Bounds {
            memory_bytes: 64 << 20,
            file_bytes: 4096,
            ..bounds()
        };
        // The shell waits for the limits to be in force by starting its work in a new process each.
        let hungry = run(
            &shell("sleep 0.2; head -c 300M /dev/zero | tail -c 300M | wc -c"),
            &limits,
        )
        .await
        .unwrap();
        assert_ne!(hungry.stdout, b"314572800\n", "{}", hungry.stderr);
        let file = folder.path().join("large");
        let script = format!("sleep 0.2; head -c 100000 /dev/zero > {}", file.display());
        assert!(
            !run(&shell(&script), &limits)
                .await
                .unwrap()
                .status
                .success()
        );
        assert!(std::fs::metadata(file).unwrap().len() <= 4096);
    }
}
