//! The files of a chart: its directory, the charts of the repository it depends on, and the files with values.
//!
//! Invariant: whatever Helm will read is a file of the commit or of the packed chart, and everything it depends on is among the inputs. A
//! dependency that would have to be fetched is refused.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ChartArchive, HelmOptions, schema};
use crate::RepoPath;
use crate::checkout::Checkout;
use crate::files::{Input, Wanted};
use crate::lfs;
use crate::render::RenderError;
use crate::render::plain::{parse_file, refuse_pointer};

const CHART: &str = "Chart.yaml";
/// Dependencies of dependencies.
const DEPTH: usize = 8;
/// Dependencies in one chart, with those of its dependencies.
const DEPENDENCIES: usize = 64;
const TOTAL_BYTES: usize = 64 << 20;

/// Files by their path in the repository, and everything they were found by.
#[derive(Debug, Default)]
pub(super) struct Chart {
    /// Its name, with which Helm begins the paths of templates.
    pub(super) name: String,
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Where it is; for a packed chart what it is called.
    pub(super) root: RepoPath,
    /// Files of a packed chart by their path in it, if that is what it is.
    pub(super) packed: Option<BTreeMap<String, Vec<u8>>>,
    pub(super) inputs: Vec<Input>,
    pub(super) notes: Vec<String>,
    /// Whether there are packed charts, which can't be looked into.
    pub(super) has_packed: bool,
}

/// A chart of the repository that must stand in another one's `charts`.
struct Pending {
    from: RepoPath,
    to: RepoPath,
    depth: usize,
}

impl Chart {
    /// Reads the chart at `path` and all it depends on. After a failure `inputs` is what the failure depends on.
    pub(super) async fn gather(
        &mut self,
        checkout: &Checkout,
        path: &RepoPath,
        options: &HelmOptions,
    ) -> Result<(), RenderError> {
        if let Some(archive) = &options.packed {
            return self.unpack(checkout, archive, options).await;
        }
        self.root = path.clone();
        let (from, to) = (path.clone(), path.clone());
        let mut pending = vec![Pending { from, to, depth: 0 }];
        let mut taken = 0_usize;
        while let Some(next) = pending.pop() {
            taken += 1;
            if next.depth > DEPTH || taken > DEPENDENCIES {
                return Err(RenderError::refused(
                    &next.from.child(CHART),
                    "a chart with too many dependencies, or with itself among them,",
                    format!("keep to {DEPENDENCIES} in {DEPTH} levels"),
                ));
            }
            self.add(checkout, &next).await?;
            let description = self.description(&next)?;
            if next.depth == 0 {
                self.name = name_of(&description).map(str::to_owned).unwrap_or_default();
            }
            pending.extend(self.dependencies(&next, &description)?);
        }
        self.look_for_packed();
        self.add_values(checkout, options).await
    }

    /// Takes the chart from an archive, and only values from the repository.
    async fn unpack(
        &mut self,
        checkout: &Checkout,
        archive: &ChartArchive,
        options: &HelmOptions,
    ) -> Result<(), RenderError> {
        let unpacked = archive.clone();
        let files = tokio::task::spawn_blocking(move || unpacked.unpack());
        let files = files.await.map_err(RenderError::work_directory)??;
        let root = RepoPath::parse(&archive.label())?;
        // As if it lay in the repository, for the checks; Helm gets it from elsewhere.
        for (path, content) in files {
            if schema::is_schema(&path) {
                schema::check(&root.child(&path), &content)?;
            }
            self.files.insert(root.child(&path), content);
        }
        let (from, to) = (root.clone(), root.clone());
        let place = Pending { from, to, depth: 0 };
        let description = self.description(&place)?;
        self.name = name_of(&description).map(str::to_owned).unwrap_or_default();
        if !self.dependencies(&place, &description)?.is_empty() {
            return Err(RenderError::refused(
                &root.child(CHART),
                "a packed chart without one of its dependencies",
                "pack it with `helm package --dependency-update`",
            ));
        }
        self.look_for_packed();
        let prefix = format!("{root}/");
        let inside = |(path, content): (String, Vec<u8>)| {
            let inside = path.strip_prefix(&prefix).map(str::to_owned);
            inside.map(|inside| (inside, content))
        };
        let files = std::mem::take(&mut self.files);
        self.packed = Some(files.into_iter().filter_map(inside).collect());
        self.root = root;
        self.add_values(checkout, options).await
    }

    /// Copies the files of one chart to where Helm shall find them.
    async fn add(&mut self, checkout: &Checkout, next: &Pending) -> Result<(), RenderError> {
        let mut set = checkout.files(&next.from, Wanted::Everything).await?;
        // First: what is refused below depends on them.
        self.inputs.extend(set.inputs);
        self.notes.extend(set.notes);
        if let Some(link) = set.broken_links.first() {
            // A template could ask for it, and would find nothing where the author sees a file.
            return Err(RenderError::refused(
                link,
                "a symbolic link out of the repository or to nothing",
                "commit the file itself",
            ));
        }
        lfs::resolve(checkout, &mut set.files, |_| true).await?;
        for (path, content) in set.files {
            refuse_pointer(&path, &content)?;
            if schema::is_schema(&path) {
                schema::check(&path, &content)?;
            }
            let inside = path
                .strip_prefix(next.from.as_str())
                .unwrap_or(&path)
                .trim_start_matches('/');
            self.files.insert(next.to.child(inside), content);
        }
        if self.files.values().map(Vec::len).sum::<usize>() > TOTAL_BYTES {
            return Err(RenderError::TooLarge {
                what: format!("the files of the chart {}", next.from),
                limit: format!("{} MiB", TOTAL_BYTES >> 20),
            });
        }
        Ok(())
    }

    /// `Chart.yaml` of a chart that was added.
    fn description(&self, next: &Pending) -> Result<Map<String, Value>, RenderError> {
        let file = next.from.child(CHART);
        let Some(bytes) = self.files.get(&next.to.child(CHART)) else {
            return Err(RenderError::refused(
                &next.from.to_string(),
                "a directory without Chart.yaml",
                "point the Release at the directory of a chart",
            ));
        };
        let mut documents = parse_file(&file, bytes)?.into_iter();
        match (documents.next().map(|first| first.value), documents.next()) {
            (Some(Value::Object(description)), None) if name_of(&description).is_some() => {
                Ok(description)
            }
            _ => Err(RenderError::refused(
                &file,
                "anything but one description of a chart",
                "write apiVersion, name and version into it",
            )),
        }
    }

    /// The dependencies that are not in `charts` yet, and stand elsewhere in the repository.
    fn dependencies(
        &self,
        next: &Pending,
        description: &Map<String, Value>,
    ) -> Result<Vec<Pending>, RenderError> {
        let file = next.from.child(CHART);
        let listed = description.get("dependencies").and_then(Value::as_array);
        let mut found = Vec::new();
        for dependency in listed.into_iter().flatten() {
            let text = |key: &str| dependency.get(key).and_then(Value::as_str);
            let name = text("name").unwrap_or_default();
            if name.is_empty() || name.contains('/') || name == ".." || self.is_there(next, name) {
                continue;
            }
            let shown = crate::text::one_line(name, 100);
            let Some(path) = text("repository").and_then(|address| address.strip_prefix("file://"))
            else {
                return Err(RenderError::refused(
                    &file,
                    format!("the dependency {shown:?}, which is not in charts/,"),
                    "run `helm dependency update` and commit what it puts into charts/: nothing is fetched while rendering",
                ));
            };
            let Some(from) = next.from.join(path) else {
                return Err(RenderError::refused(
                    &file,
                    format!("the dependency {shown:?}, whose path leaves the repository,"),
                    "commit the chart that it refers to",
                ));
            };
            let to = RepoPath::parse(&next.to.child(&format!("charts/{name}")))?;
            let depth = next.depth + 1;
            found.push(Pending { from, to, depth });
        }
        Ok(found)
    }

    /// Whether `charts` has the dependency, as a directory or packed.
    fn is_there(&self, next: &Pending, name: &str) -> bool {
        let directory = next.to.child(&format!("charts/{name}/"));
        let packed = next.to.child(&format!("charts/{name}-"));
        let begins_with = |start: &str| {
            let first = self.files.range(start.to_owned()..).next();
            first.is_some_and(|(path, _)| path.starts_with(start))
        };
        begins_with(&directory) || begins_with(&packed)
    }

    fn look_for_packed(&mut self) {
        self.has_packed = self
            .files
            .keys()
            .any(|path| path.contains("charts/") && path.strip_suffix(".tgz").is_some());
        if self.has_packed {
            self.notes.push(
                "values are not checked against schemas, because packed charts can't be looked into; commit charts/ unpacked for that"
                    .to_owned(),
            );
        }
    }

    async fn add_values(
        &mut self,
        checkout: &Checkout,
        options: &HelmOptions,
    ) -> Result<(), RenderError> {
        let mut set = checkout.named_files(&options.values_files).await?;
        self.inputs.extend(set.inputs);
        lfs::resolve(checkout, &mut set.files, |_| true).await?;
        for (path, content) in set.files {
            refuse_pointer(&path, &content)?;
            self.files.entry(path).or_insert(content);
        }
        Ok(())
    }
}

fn name_of(description: &Map<String, Value>) -> Option<&str> {
    let name = description.get("name").and_then(Value::as_str);
    name.filter(|name| !name.is_empty())
}
