//! Charts in OCI registries.

use reqwest::Url;
use serde::Deserialize;

use super::{
    super::{
        registry::{Session, Visit, sha256},
        trouble::Trouble,
        web::{Web, host},
    },
    CHART_BYTES, FIELD, Wanted,
};

const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// A chart in a registry.
pub(super) struct Found<'a> {
    web: &'a Web,
    registry: &'a Url,
    wanted: &'a Wanted<'a>,
    /// Path of the chart in the registry.
    path: &'a str,
    what: String,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
}

impl<'a> Found<'a> {
    pub(super) fn new(
        web: &'a Web,
        registry: &'a Url,
        path: &'a str,
        wanted: &'a Wanted<'a>,
    ) -> Self {
        Self {
            web,
            registry,
            wanted,
            path,
            what: format!("the chart {path}"),
        }
    }

    fn session(&self) -> Session<'_> {
        Session::new(Visit {
            web: self.web,
            registry: self.registry,
            path: self.path,
            login: self.wanted.login.as_ref(),
            what: &self.what,
            field: FIELD,
        })
    }

    /// The versions among the tags; `_` stands for `+`, which tags can't have.
    pub(super) async fn versions(&self) -> Result<Vec<String>, Trouble> {
        let tags = self.session().tags().await?;
        Ok(tags.iter().map(|tag| tag.replace('_', "+")).collect())
    }

    /// The packed chart of a version, and its digest in hexadecimal digits.
    pub(super) async fn chart(&self, version: &str) -> Result<(Vec<u8>, String), Trouble> {
        let mut session = self.session();
        let (body, _) = session.manifest(&version.replace('+', "_")).await?;
        let is_none = || {
            Trouble::unavailable(format!(
                "{} {version} in {} is no chart of Helm",
                self.path,
                host(self.registry)
            ))
        };
        let manifest: Manifest = serde_json::from_slice(&body).map_err(|_| is_none())?;
        let mut layers = manifest.layers.into_iter();
        let layer = layers.find(|layer| layer.media_type == CHART_LAYER);
        let digest = layer.and_then(|layer| sha256(&layer.digest));
        let digest = digest.ok_or_else(is_none)?;
        let bytes = session.blob(&digest, CHART_BYTES).await?;
        Ok((bytes, digest.as_str().to_owned()))
    }
}
