//! The client's side of the keeper: starts and ends the processes of a lab through the keeper's pipe.
//!
//! Invariant: this process never owns a part's process itself, so nothing of a lab outlives it (see `bin/lab-keeper.rs`).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::{LabError, Part};

/// Between the fields of a request; it can't be part of any path or argument a lab uses.
const SEPARATOR: &str = "\u{1f}";
/// How long the keeper may take to end all processes and remove the folder.
const END_WITHIN: Duration = Duration::from_secs(30);

/// What is known of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProcessState {
    /// Not started yet, or about to be.
    Absent,
    /// Running with this process id.
    Running(u32),
    /// It could not be started.
    Failed(String),
    /// It ended, with this status.
    Exited(String),
}

/// One process to start.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
}

type States = Arc<Mutex<BTreeMap<&'static str, watch::Sender<ProcessState>>>>;

/// The connection to a keeper; dropping it ends the lab's processes and removes its folder, without waiting.
#[derive(Debug)]
pub(crate) struct Keeper {
    input: tokio::sync::Mutex<Option<ChildStdin>>,
    process: tokio::sync::Mutex<Child>,
    states: States,
}

impl Keeper {
    /// Starts the keeper of `folder`. `runtime` reads its answers and must live as long as the lab.
    pub(crate) fn start(folder: &Path, runtime: &Handle) -> Result<Self, LabError> {
        let _entered = runtime.enter();
        let mut process = Command::new(env!("BELAY_LAB_KEEPER"))
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn()
            .map_err(LabError::io(format!("start {}", env!("BELAY_LAB_KEEPER"))))?;
        let states = States::default();
        if let Some(output) = process.stdout.take() {
            runtime.spawn(follow(BufReader::new(output).lines(), Arc::clone(&states)));
        }
        let input = tokio::sync::Mutex::new(process.stdin.take());
        Ok(Self {
            input,
            process: tokio::sync::Mutex::new(process),
            states,
        })
    }

    /// Starts a part's process; its output is appended to `log`.
    pub(crate) async fn launch(
        &self,
        part: Part,
        launch: &Launch,
        log: &Path,
        folder: &Path,
    ) -> Result<u32, LabError> {
        let mut state = self.watch(part);
        state_of(&self.states, part.name()).send_replace(ProcessState::Absent);
        let (log, folder) = (log.display().to_string(), folder.display().to_string());
        let mut fields = vec!["start", part.name(), &log, &folder, &launch.program];
        fields.extend(launch.arguments.iter().map(String::as_str));
        self.request(&fields).await?;
        let started = state
            .wait_for(|state| !matches!(state, ProcessState::Absent))
            .await;
        match started.as_deref() {
            Ok(ProcessState::Running(pid)) => Ok(*pid),
            Ok(ProcessState::Failed(message)) => Err(LabError::Keeper(format!(
                "could not start {part}: {message}"
            ))),
            Ok(ProcessState::Exited(status)) => Err(LabError::Keeper(format!(
                "saw {part} end at once: {status}"
            ))),
            Ok(ProcessState::Absent) | Err(_) => Err(LabError::Keeper("ended".into())),
        }
    }

    /// Ends a part's process hard and waits until it is gone.
    pub(crate) async fn kill(&self, part: Part) -> Result<(), LabError> {
        self.request(&["kill", part.name()]).await?;
        self.gone(part).await
    }

    /// Waits until a part's process is gone.
    pub(crate) async fn gone(&self, part: Part) -> Result<(), LabError> {
        let mut state = self.watch(part);
        let gone = state
            .wait_for(|state| !matches!(state, ProcessState::Running(_)))
            .await;
        gone.map(|_| ())
            .map_err(|_| LabError::Keeper("ended".into()))
    }

    /// A view of a part's process that follows it.
    pub(crate) fn watch(&self, part: Part) -> watch::Receiver<ProcessState> {
        state_of(&self.states, part.name()).subscribe()
    }

    /// The process ids of all running parts.
    pub(crate) fn pids(&self) -> BTreeMap<&'static str, u32> {
        let states = locked(&self.states);
        let running = states
            .iter()
            .filter_map(|(name, state)| match *state.borrow() {
                ProcessState::Running(pid) => Some((*name, pid)),
                _ => None,
            });
        running.collect()
    }

    /// Lets the folder stay when the lab ends.
    pub(crate) async fn keep_folder(&self) -> Result<(), LabError> {
        self.request(&["keep"]).await
    }

    /// Ends all processes, removes the folder, and waits until that is done.
    pub(crate) async fn end(&self) -> Result<(), LabError> {
        drop(self.input.lock().await.take());
        let ended = timeout(END_WITHIN, async { self.process.lock().await.wait().await }).await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(LabError::Keeper(format!("ended with {status}"))),
            Ok(Err(error)) => Err(LabError::Keeper(format!("can't be waited for: {error}"))),
            Err(_) => Err(LabError::Keeper(format!(
                "did not end within {} s",
                END_WITHIN.as_secs()
            ))),
        }
    }

    async fn request(&self, fields: &[&str]) -> Result<(), LabError> {
        let line = fields.join(SEPARATOR) + "\n";
        let mut input = self.input.lock().await;
        let Some(input) = input.as_mut() else {
            return Err(LabError::Keeper("has been told to end".into()));
        };
        let written = async {
            input.write_all(line.as_bytes()).await?;
            input.flush().await
        };
        written
            .await
            .map_err(|error| LabError::Keeper(format!("does not listen: {error}")))
    }
}

/// Follows the keeper's answers. When they end, so do the senders, and with them everything that waits on them.
async fn follow(mut answers: Lines<BufReader<ChildStdout>>, states: States) {
    while let Ok(Some(line)) = answers.next_line().await {
        let mut fields = line.splitn(3, SEPARATOR);
        let (Some(event), Some(name), Some(detail)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let state = match event {
            "started" => detail.parse().map_or_else(
                |_| ProcessState::Failed(detail.to_owned()),
                ProcessState::Running,
            ),
            "failed" => ProcessState::Failed(detail.to_owned()),
            _ => ProcessState::Exited(detail.to_owned()),
        };
        if let Some(sender) = locked(&states).get(name) {
            sender.send_replace(state);
        }
    }
    locked(&states).clear();
}

fn state_of(states: &States, name: &'static str) -> watch::Sender<ProcessState> {
    locked(states)
        .entry(name)
        .or_insert_with(|| watch::Sender::new(ProcessState::Absent))
        .clone()
}

fn locked(states: &States) -> MutexGuard<'_, BTreeMap<&'static str, watch::Sender<ProcessState>>> {
    states.lock().unwrap_or_else(PoisonError::into_inner)
}
