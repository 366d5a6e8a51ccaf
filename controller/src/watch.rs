//! Watches: how the cluster comes into the process. All use of kube's unstable runtime interfaces is in this module.
//!
//! Invariant: one watch per kind and selector, never a shared stream (they lose deletions and can stall), and nothing is kept
//! that no decision needs. Errors of a watch are retried with backoff for ever and counted.

pub mod drive;
mod failures;
pub mod store;
pub mod trigger;

use std::{fmt::Debug, time::Duration};

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Client, Resource,
    runtime::{WatchStreamExt as _, watcher, watcher::InitialListStrategy},
};
use serde::de::DeserializeOwned;

use crate::{
    Result,
    client::bounded,
    limits,
    telemetry::{Metrics, metrics::ResourceLabel},
};

pub use drive::{Drive, Reconciler, drive};
pub use trigger::Triggers;

/// First minor version whose API servers stream initial lists by default without exception.
const STREAMING_LIST_SINCE: u32 = 34;

/// What the API server can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerVersion {
    minor: u32,
}

impl ServerVersion {
    /// One that can do what every server can.
    pub(crate) const OLDEST: Self = Self { minor: 0 };

    /// Asks the API server.
    pub async fn of(client: &Client) -> Result<Self> {
        let info = bounded("reading the server's version", client.apiserver_version()).await?;
        Ok(Self::parse(&info.minor))
    }

    /// Some providers write `33+`.
    pub(crate) fn parse(minor: &str) -> Self {
        let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
        Self {
            minor: digits.parse().unwrap_or(0),
        }
    }

    /// How a watch gets its initial list.
    pub(crate) const fn list_strategy(self) -> InitialListStrategy {
        if self.minor >= STREAMING_LIST_SINCE {
            InitialListStrategy::StreamingList
        } else {
            InitialListStrategy::ListWatch
        }
    }
}

/// Which objects to watch.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Label selector.
    pub labels: Option<String>,
    /// Field selector.
    pub fields: Option<String>,
}

impl Selection {
    /// By labels.
    pub fn labels(selector: impl Into<String>) -> Self {
        Self {
            labels: Some(selector.into()),
            fields: None,
        }
    }
}

/// Events of a watch, for ever. After an error the watch starts again and the list is sent anew, between `Init` and `InitDone`.
pub fn events<K>(
    api: Api<K>,
    selection: Selection,
    server: ServerVersion,
    metrics: &Metrics,
    resource: &'static str,
) -> impl Stream<Item = watcher::Event<K>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    attempts(api, selection, server, metrics, resource)
        .filter_map(|event| std::future::ready(event.ok()))
}

/// Like [`events`], with the failures among them: for kinds that the API server may not know or not show.
pub fn attempts<K>(
    api: Api<K>,
    selection: Selection,
    server: ServerVersion,
    metrics: &Metrics,
    resource: &'static str,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let errors = metrics.watch_errors.clone();
    let config = watcher::Config {
        label_selector: selection.labels,
        field_selector: selection.fields,
        initial_list_strategy: server.list_strategy(),
        ..watcher::Config::default()
    };
    watcher(api, config)
        .backoff(WatchBackoff::new())
        .map(move |event| {
            event.inspect_err(|error| {
                errors.get_or_create(&ResourceLabel { resource }).inc();
                tracing::warn!(%error, resource, "a watch failed; starting it again");
            })
        })
}

/// Time between two attempts of a watch: short after the first failure, for an API server that restarts or has just got to know a
/// resource, then longer. Starts over once something was received.
#[derive(Debug)]
struct WatchBackoff(Duration);

impl WatchBackoff {
    const fn new() -> Self {
        Self(limits::RETRY_MIN)
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = self.0;
        self.0 = (delay * 2).min(limits::WATCH_BACKOFF_MAX);
        Some(delay)
    }
}

impl kube::runtime::utils::Backoff for WatchBackoff {
    fn reset(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streaming_lists_are_used_only_where_every_server_has_them() {
        assert_eq!(
            ServerVersion::parse("33+").list_strategy(),
            InitialListStrategy::ListWatch
        );
        assert_eq!(
            ServerVersion::parse("34").list_strategy(),
            InitialListStrategy::StreamingList
        );
        assert_eq!(
            ServerVersion::parse("").list_strategy(),
            InitialListStrategy::ListWatch
        );
    }
}
