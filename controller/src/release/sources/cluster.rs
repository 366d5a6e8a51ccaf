//! What charts may know of the cluster: its version.
//!
//! Invariant: only the minor version, so that a patch of the API server changes no render.

use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::Mutex;

use crate::client::bounded;

/// How long an answer is used before the API server is asked again.
const FRESH: Duration = Duration::from_hours(1);

/// The cluster, asked at most once an hour.
pub(super) struct Cluster {
    client: Client,
    known: Mutex<Option<(Instant, String)>>,
}

impl Cluster {
    pub(super) fn new(client: Client) -> Self {
        let known = Mutex::new(None);
        Self { client, known }
    }

    /// For example `1.36.0`.
    pub(super) async fn version(&self) -> Result<String, String> {
        let mut known = self.known.lock().await;
        if let Some((asked, version)) = &*known
            && asked.elapsed() < FRESH
        {
            return Ok(version.clone());
        }
        let info = bounded("asking for the version", self.client.apiserver_version())
            .await
            .map_err(|error| format!("the version of the cluster: {error}"))?;
        let version = minor(&info.major, &info.minor);
        *known = Some((Instant::now(), version.clone()));
        Ok(version)
    }
}

/// Providers put a `+` behind the number.
fn minor(major: &str, minor: &str) -> String {
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    format!("{}.{}.0", digits(major), digits(minor))
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_minor_version_is_told() {
        assert_eq!(super::minor("1", "36+"), "1.36.0");
    }
}
