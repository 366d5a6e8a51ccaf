//! The outer half of a lab's ports: connections from outside the namespace are handed on to the same port inside.
//!
//! A socket stays in the namespace in which it was made. These listen since before the process entered its own, and connections that
//! the process makes now are inside.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::LabError;
use crate::ports::Ports;

/// Accepting fails when the process has no files left; some are closed soon.
const PAUSE: Duration = Duration::from_millis(100);

/// A block of ports, set aside outside.
#[derive(Debug)]
pub(crate) struct Outside {
    base: u16,
    listeners: Vec<TcpListener>,
}

impl Outside {
    /// Sets a block aside; to be called outside.
    pub(super) fn reserve() -> Result<Self, LabError> {
        let (base, listeners) = Ports::claim_listening()?;
        Ok(Self { base, listeners })
    }

    /// The block's first port.
    pub(crate) const fn base(&self) -> u16 {
        self.base
    }

    /// Hands connections on for as long as the runtime lives; to be called inside.
    pub(crate) fn hand_on(self, runtime: &Handle) -> Result<(), LabError> {
        let _entered = runtime.enter();
        for listener in self.listeners {
            let failed = LabError::io("set up a listener");
            let port = listener.local_addr().map(|address| address.port());
            let ready = listener
                .set_nonblocking(true)
                .and_then(|()| Ok((tokio::net::TcpListener::from_std(listener)?, port?)));
            let (listener, port) = ready.map_err(failed)?;
            runtime.spawn(serve(listener, port));
        }
        Ok(())
    }
}

async fn serve(listener: tokio::net::TcpListener, port: u16) {
    loop {
        let Ok((mut caller, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            // When nothing listens inside, the caller's connection closes at once; what breaks later breaks both.
            if let Ok(mut inside) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                let _ = copy_bidirectional(&mut caller, &mut inside).await;
            }
        });
    }
}
