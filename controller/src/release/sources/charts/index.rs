//! Indexes of Helm repositories.

use std::collections::HashMap;

use reqwest::Url;
use serde::Deserialize;

use super::{
    super::{trouble::Trouble, web::Web},
    FIELD, Wanted,
};

/// Largest index that is read.
const INDEX_BYTES: usize = 32 << 20;

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    entries: HashMap<String, Vec<Entry>>,
}

/// A version of a chart.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) urls: Vec<String>,
    pub(super) digest: Option<String>,
}

/// All versions of the chart.
pub(super) async fn entries(
    web: &Web,
    repository: &Url,
    wanted: &Wanted<'_>,
) -> Result<Vec<Entry>, Trouble> {
    let unreadable = || {
        Trouble::unavailable(format!(
            "{} has no index.yaml of a Helm repository; correct the address",
            wanted.repository
        ))
    };
    let url = repository.join("index.yaml").map_err(|_| unreadable())?;
    let answer = web
        .get(&url, wanted.login.as_ref(), None, INDEX_BYTES)
        .await?;
    let body = answer.expect_success("index.yaml of a Helm repository", FIELD)?;
    let name = wanted.name.to_owned();
    // A large one takes seconds; the reactor has other things to do.
    let read = tokio::task::spawn_blocking(move || read(&body, &name)).await;
    read.ok().flatten().ok_or_else(unreadable)
}

fn read(body: &[u8], name: &str) -> Option<Vec<Entry>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut index: Index = serde_saphyr::from_str(text).ok()?;
    Some(index.entries.remove(name).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_chart_are_read() {
        let text = "apiVersion: v1\nentries:\n  web:\n  - version: 1.0.0\n    digest: abc\n    urls: [web-1.0.0.tgz]\n    created: 2026-01-01T00:00:00Z\n  \
                    - {version: \"1.10\"}\n  db: []\n";
        let found = read(text.as_bytes(), "web").unwrap();
        let versions: Vec<&str> = found.iter().map(|entry| entry.version.as_str()).collect();
        assert_eq!(versions, ["1.0.0", "1.10"]);
        assert_eq!(found[0].urls, ["web-1.0.0.tgz"]);
        assert!(read(text.as_bytes(), "none").unwrap().is_empty());
        assert!(read(b"<html>", "web").is_none());
    }
}
