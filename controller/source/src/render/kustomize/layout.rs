//! The files a build may read, found by following the kustomizations before kustomize does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::guard::{self, Reference};
use crate::RepoPath;
use crate::checkout::Checkout;
use crate::files::{Input, Wanted, broken_link};
use crate::mirror::{Found, Lookup, ObjectKind};
use crate::render::plain::parse_file;
use crate::render::{KUSTOMIZATION_NAMES, RenderError};

/// Kustomizations in one build.
const DIRECTORIES: usize = 256;
const TOTAL_BYTES: usize = 64 << 20;

/// Files by their path in the repository, and everything they were found by.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) inputs: Vec<Input>,
    pub(super) notes: Vec<String>,
    /// The kustomization file the build starts from.
    pub(super) entry_file: String,
    /// Files that a kustomization refers to; the others only lie beside them.
    pub(super) read: BTreeSet<String>,
    broken_links: BTreeSet<String>,
    /// Directories whose files are all in `files`.
    gathered: Vec<RepoPath>,
}

impl Layout {
    /// Reads the directory and all directories its kustomizations lead to. After a failure `inputs` is what the failure depends on.
    pub(super) async fn gather(
        &mut self,
        checkout: &Checkout,
        path: &RepoPath,
    ) -> Result<(), RenderError> {
        let mut seen = BTreeSet::from([path.clone()]);
        let mut pending = vec![path.clone()];
        while let Some(directory) = pending.pop() {
            self.add(checkout, &directory).await?;
            let (file, kustomization) = self.kustomization(&directory)?;
            if self.entry_file.is_empty() {
                self.entry_file.clone_from(&file);
            }
            for reference in guard::references(&file, &kustomization)? {
                if let Some(next) = self
                    .resolve(checkout, &directory, &file, &reference)
                    .await?
                    && seen.insert(next.clone())
                {
                    pending.push(next);
                }
            }
            // Kustomize reads what was checked, not what another parser might make of the same text.
            self.files
                .insert(file, Value::Object(kustomization).to_string().into_bytes());
            if seen.len() > DIRECTORIES {
                let limit = format!("{DIRECTORIES} directories");
                return Err(RenderError::TooLarge {
                    what: format!("the kustomization {path}"),
                    limit,
                });
            }
        }
        Ok(())
    }

    async fn add(&mut self, checkout: &Checkout, directory: &RepoPath) -> Result<(), RenderError> {
        if self
            .gathered
            .iter()
            .any(|gathered| gathered.covers(directory.as_str()))
        {
            return Ok(());
        }
        let set = checkout.files(directory, Wanted::Everything).await?;
        for (path, content) in set.files {
            // A file below a directory gathered before may have been checked and rewritten already.
            self.files.entry(path).or_insert(content);
        }
        self.inputs.extend(set.inputs);
        self.broken_links.extend(set.broken_links);
        self.notes.extend(set.notes);
        self.gathered.push(directory.clone());
        if self.files.values().map(Vec::len).sum::<usize>() > TOTAL_BYTES {
            let what = format!("the files of the kustomization {directory}");
            return Err(RenderError::TooLarge {
                what,
                limit: format!("{} MiB", TOTAL_BYTES >> 20),
            });
        }
        Ok(())
    }

    /// The kustomization of a directory, read from its file.
    fn kustomization(
        &self,
        directory: &RepoPath,
    ) -> Result<(String, Map<String, Value>), RenderError> {
        let candidates = KUSTOMIZATION_NAMES.iter().map(|name| directory.child(name));
        let mut present = candidates.filter(|file| self.files.contains_key(file));
        let named = directory.to_string();
        let Some(file) = present.next() else {
            return Err(RenderError::refused(
                &named,
                "a directory without kustomization.yaml",
                "add one, or refer to its files",
            ));
        };
        if present.next().is_some() {
            return Err(RenderError::refused(
                &named,
                "more than one kustomization file",
                "keep one of them",
            ));
        }
        let bytes = self.files.get(&file).map(Vec::as_slice).unwrap_or_default();
        let mut documents = parse_file(&file, bytes)?
            .into_iter()
            .map(|document| document.value)
            .filter(|value| !value.is_null());
        match (documents.next(), documents.next()) {
            (Some(Value::Object(kustomization)), None) => Ok((file, kustomization)),
            _ => Err(RenderError::refused(
                &file,
                "anything but one object",
                "write one kustomization into the file",
            )),
        }
    }

    /// Checks what a reference leads to. A directory is given back, to be followed.
    async fn resolve(
        &mut self,
        checkout: &Checkout,
        directory: &RepoPath,
        file: &str,
        reference: &Reference,
    ) -> Result<Option<RepoPath>, RenderError> {
        let shown = crate::text::one_line(reference.text(), 200);
        let Some(target) = directory.join(reference.text()) else {
            let what = format!("the path {shown:?}, which leaves the repository,");
            return Err(RenderError::refused(file, what, "commit what it refers to"));
        };
        if let Some(link) = self
            .broken_links
            .iter()
            .find(|link| target.as_str() == *link || is_below(target.as_str(), link))
        {
            return Err(broken_link(link).into());
        }
        let is_here = directory.covers(target.as_str());
        if is_here && self.files.contains_key(target.as_str()) {
            self.read.insert(target.as_str().to_owned());
            if matches!(reference, Reference::Transformers(_)) {
                self.rewrite_transformers(target.as_str())?;
            }
            return Ok(None);
        }
        match (
            self.has_files_below(&target) || self.is_directory(checkout, &target).await?,
            reference,
        ) {
            (true, Reference::Any(_)) => Ok(Some(target)),
            (true, _) => Err(RenderError::refused(
                file,
                format!("the directory {shown:?}"),
                "only a file can stand here; name one",
            )),
            (false, _) => {
                let what =
                    format!("the path {shown:?}, at which there is no file of this kustomization,");
                let instead = "commit it; files must be beside or below their kustomization, only directories may be elsewhere";
                Err(RenderError::refused(file, what, instead))
            }
        }
    }

    fn has_files_below(&self, target: &RepoPath) -> bool {
        self.files
            .range(format!("{target}/")..)
            .next()
            .is_some_and(|(path, _)| is_below(path, target.as_str()))
    }

    async fn is_directory(
        &mut self,
        checkout: &Checkout,
        target: &RepoPath,
    ) -> Result<bool, RenderError> {
        let path = target.as_str().to_owned();
        let found = match checkout.follow(std::slice::from_ref(&path)).await?.pop() {
            Some(Lookup::Found(found)) => Some(found),
            _ => None,
        };
        let is_directory = matches!(
            found,
            Some(Found {
                kind: ObjectKind::Directory,
                ..
            })
        );
        // That nothing is there is something to depend on, too.
        let id = found.map(|found| found.id);
        self.inputs.push(Input { path, id });
        Ok(is_directory)
    }

    fn rewrite_transformers(&mut self, path: &str) -> Result<(), RenderError> {
        let Some(content) = self.files.get_mut(path) else {
            return Ok(());
        };
        let text = std::str::from_utf8(content).map_err(|_| {
            RenderError::refused(path, "text in another encoding", "save the file as UTF-8")
        })?;
        let values = guard::transformers(path, text)?;
        let documents: Vec<String> = values.iter().map(ToString::to_string).collect();
        *content = documents.join("\n---\n").into_bytes();
        Ok(())
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.starts_with('/'))
}
