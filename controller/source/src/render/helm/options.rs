//! What a chart is rendered with.

use super::ChartArchive;
use super::values::{Given, HelmValues};
use crate::{RepoPath, SourceError};

/// Name, place and values of a chart's installation. Equal options and an equal commit give equal objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HelmOptions {
    /// `.Release.Name`.
    pub(crate) release_name: String,
    /// `.Release.Namespace`.
    pub(crate) namespace: String,
    /// Files of the repository with values; later ones override earlier ones.
    pub(crate) values_files: Vec<RepoPath>,
    /// Values that override all files.
    pub(crate) values: Option<Given>,
    /// The chart, if it is not in the repository.
    pub(crate) packed: Option<ChartArchive>,
    /// `.Capabilities.KubeVersion`; Helm's own idea when absent.
    pub(crate) kube_version: Option<String>,
    /// Versions and kinds that `.Capabilities.APIVersions` has beside Kubernetes' own.
    pub(crate) api_versions: Vec<String>,
}

impl HelmOptions {
    /// An installation with the values of the chart.
    pub fn new(release_name: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            release_name: release_name.into(),
            namespace: namespace.into(),
            values_files: Vec::new(),
            values: None,
            packed: None,
            kube_version: None,
            api_versions: Vec::new(),
        }
    }

    /// With values from files of the repository, whose paths are given from its root. Refuses a path that leaves it, and one
    /// with a comma or quotation mark: Helm takes those for several paths.
    pub fn values_files<T: AsRef<str>>(
        mut self,
        files: impl IntoIterator<Item = T>,
    ) -> Result<Self, SourceError> {
        let paths = files.into_iter().map(|file| {
            let path = RepoPath::parse(file.as_ref())?;
            if path.as_str().is_empty() || path.as_str().contains([',', '"']) {
                let shown = crate::text::one_line(file.as_ref(), 200);
                return Err(SourceError::refused(
                    format!("the values file {shown:?}"),
                    "name a file, without commas and quotation marks in its path",
                ));
            }
            Ok(path)
        });
        self.values_files = paths.collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// With values of its own.
    #[must_use]
    pub fn values(mut self, values: HelmValues) -> Self {
        self.values = values.finish();
        self
    }

    /// With a chart that is not in the repository.
    #[must_use]
    pub fn packed(mut self, chart: ChartArchive) -> Self {
        self.packed = Some(chart);
        self
    }

    /// For this version of Kubernetes, for example `1.36.0`.
    #[must_use]
    pub fn kube_version(mut self, version: impl Into<String>) -> Self {
        self.kube_version = Some(version.into());
        self
    }

    /// For a cluster that also serves these, for example `monitoring.coreos.com/v1` or `monitoring.coreos.com/v1/ServiceMonitor`.
    #[must_use]
    pub fn api_versions(mut self, versions: impl IntoIterator<Item = String>) -> Self {
        self.api_versions = versions.into_iter().collect();
        self
    }
}
