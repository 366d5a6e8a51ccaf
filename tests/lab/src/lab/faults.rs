//! Stopping, killing and starting parts of a running lab, for tests of outages.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;

use super::Lab;
use super::start::answers;
use crate::components::{Parameters, program_of};
use crate::keeper::ProcessState;
use crate::{LabError, Part, backend, wait_for};

/// How long a part may take until it answers; a busy machine is slow, a broken part ends by itself.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How long a part may take to end by itself before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);

impl Lab {
    /// Starts a part that was stopped or killed, with the same port and data, and waits until it answers.
    pub async fn start(&self, part: Part) -> Result<(), LabError> {
        self.require(part)?;
        self.bring_up(part).await?;
        self.write_status()
    }

    /// Starts a part and waits until it answers; nothing to do when it runs.
    pub(super) async fn bring_up(&self, part: Part) -> Result<(), LabError> {
        let Some(program) = program_of(part) else {
            return self.start_service(part).await;
        };
        if self.keeper.pids().contains_key(part.name()) {
            return Ok(());
        }
        if part == Part::Gateway {
            self.prepare_gateway().await?;
        }
        let path = self.program(program).await?.display().to_string();
        let parameters = Parameters {
            settings: &self.settings,
            layout: &self.layout,
            ports: &self.ports,
            pki: &self.pki,
        };
        let launch = parameters.launch(part, path)?;
        self.keeper
            .launch(part, &launch, &self.layout.log(part), self.layout.root())
            .await?;
        tokio::select! {
            ready = self.ready(part) => ready,
            ended = self.ended(part) => Err(ended),
        }
    }

    async fn start_service(&self, part: Part) -> Result<(), LabError> {
        match part {
            Part::Git => self
                .git_service
                .start(self.git.router().await?, std::future::pending()),
            Part::Load => {
                let (access, admin) = (self.access.clone(), self.admin.clone());
                let load = self.load.clone();
                let play = async move {
                    // A client belongs to the runtime it is made in.
                    if let Ok(client) = access.client(&admin) {
                        load.run(client).await;
                    }
                };
                self.load_service.start(self.load.router(), play)
            }
            Part::Pods => {
                let (access, admin) = (self.access.clone(), self.admin.clone());
                let (load, followed) = (self.load.clone(), self.load.clone());
                let follow = async move {
                    if let Ok(client) = access.client(&admin) {
                        followed.follow(client).await;
                    }
                };
                let serve = |listener| backend::serve(listener, load);
                self.pods_service.start_with(serve, follow)
            }
            _ => Ok(()),
        }
    }

    /// Stops a part: asks it to end, and kills it when that takes longer than ten seconds. The API server is killed at once, for its
    /// graceful end holds its port for half a minute.
    pub async fn stop(&self, part: Part) -> Result<(), LabError> {
        self.require(part)?;
        if part != Part::ApiServer
            && self.signal(part, Signal::TERM)
            && timeout(STOP_WITHIN, self.keeper.gone(part)).await.is_ok()
        {
            return Ok(());
        }
        self.kill(part).await
    }

    /// Kills a part (`SIGKILL`) and waits until it is gone. Git, the load and the pods have no process: all their connections are closed.
    pub async fn kill(&self, part: Part) -> Result<(), LabError> {
        self.require(part)?;
        match part {
            Part::Git => self.git_service.stop().await,
            Part::Load => self.load_service.stop().await,
            Part::Pods => self.pods_service.stop().await,
            _ => self.keeper.kill(part).await?,
        }
        Ok(())
    }

    /// Freezes a part that is a process: it holds its connections and answers nothing, as on a machine that hangs.
    pub fn freeze(&self, part: Part) -> Result<(), LabError> {
        self.require(part)?;
        self.signal(part, Signal::STOP);
        Ok(())
    }

    /// Lets a frozen part go on.
    pub fn thaw(&self, part: Part) -> Result<(), LabError> {
        self.require(part)?;
        self.signal(part, Signal::CONT);
        Ok(())
    }

    /// Sends a signal to a part's process; false when there is none.
    pub(super) fn signal(&self, part: Part, signal: Signal) -> bool {
        let pid = self.keeper.pids().get(part.name()).copied();
        let pid = pid
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    async fn ready(&self, part: Part) -> Result<(), LabError> {
        let address = self.ports.address(part);
        match part {
            Part::Etcd => answers(&format!("http://{address}/health"), READY_WITHIN).await,
            Part::Registry => answers(&format!("http://{address}/"), READY_WITHIN).await,
            Part::Prometheus => answers(&format!("http://{address}/-/ready"), READY_WITHIN).await,
            Part::ApiServer => self.api_server_ready().await,
            Part::Gateway => self.gateway_ready().await,
            // The controllers open no port; the nodes and service accounts they bring about are waited for instead.
            _ => Ok(()),
        }
    }

    async fn api_server_ready(&self) -> Result<(), LabError> {
        let client = self.client()?;
        wait_for("the API server to be ready", READY_WITHIN, || async {
            let request = http::Request::get("/readyz")
                .body(Vec::new())
                .map_err(|error| error.to_string())?;
            let answer = timeout(Duration::from_secs(2), client.request_text(request)).await;
            answer
                .map_err(|_| String::from("no answer"))?
                .map(|_| ())
                .map_err(|error| error.to_string())
        })
        .await
    }

    /// Resolves when any process of the lab ends although it is wanted.
    pub(super) async fn any_ended(&self) -> LabError {
        let processes = self.settings.parts.iter().filter(|part| part.is_process());
        let (error, ..) =
            futures::future::select_all(processes.map(|part| Box::pin(self.ended(*part)))).await;
        error
    }

    /// Resolves when the part's process ends although it is wanted.
    async fn ended(&self, part: Part) -> LabError {
        let mut state = self.keeper.watch(part);
        let ended = state
            .wait_for(|state| matches!(state, ProcessState::Exited(_) | ProcessState::Failed(_)))
            .await;
        let status = match ended.as_deref() {
            Ok(ProcessState::Exited(status) | ProcessState::Failed(status)) => status.clone(),
            _ => "the keeper ended".into(),
        };
        LabError::Exited {
            part,
            status,
            path: self.layout.log(part),
            log: self.layout.log_end(part),
        }
    }
}
