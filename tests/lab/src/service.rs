//! A server inside the process that holds the lab, which stops and starts like a part with a process of its own.
//!
//! Invariant: after a stop no connection is left open and no task runs, as if a process had been killed. The server therefore has a
//! runtime of its own: tasks that serve open connections would outlive the listener otherwise.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::runtime::{Builder, Runtime};

use crate::LabError;

/// How long tasks may take to end once their server is stopped.
const END_WITHIN: Duration = Duration::from_secs(5);

/// A server at a fixed address that may be running or not.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    address: SocketAddr,
    running: Mutex<Option<Runtime>>,
}

impl Service {
    pub(crate) fn new(name: &'static str, address: SocketAddr) -> Self {
        Self {
            name,
            address,
            running: Mutex::new(None),
        }
    }

    /// Serves `router`, and runs `beside` for as long; nothing to do when it runs already.
    pub(crate) fn start(
        &self,
        router: Router,
        beside: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), LabError> {
        // It ends with its runtime only: axum answers errors of single connections by itself.
        let serve = |listener| async move {
            let _ = axum::serve(listener, router).await;
        };
        self.start_with(serve, beside)
    }

    /// Lets `serve` answer connections, and runs `beside` for as long; nothing to do when it runs already.
    pub(crate) fn start_with<F>(
        &self,
        serve: impl FnOnce(tokio::net::TcpListener) -> F,
        beside: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), LabError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address)
            .map_err(LabError::io(format!("listen on {}", self.address)))?;
        listener
            .set_nonblocking(true)
            .map_err(LabError::io("set up a listener"))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(self.name)
            .enable_all()
            .build();
        let runtime =
            runtime.map_err(LabError::io(format!("start the threads of {}", self.name)))?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)
                .map_err(LabError::io("set up a listener"))?
        };
        runtime.spawn(serve(listener));
        runtime.spawn(beside);
        *running = Some(runtime);
        Ok(())
    }

    /// Stops the server; when this returns, all its connections are closed.
    pub(crate) async fn stop(&self) {
        let runtime = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(runtime) = runtime {
            // A task that panicked has nothing left to close.
            let _ = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(END_WITHIN)).await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let running = self
            .running
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = running.take() {
            runtime.shutdown_background();
        }
    }
}
