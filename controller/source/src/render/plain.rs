//! Plain manifests: every YAML and JSON file below a directory.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::object::{Draft, assemble};
use super::sops::secrecy_of;
use super::{Attempt, Extras, KUSTOMIZATION_NAMES, RenderError, Rendered, Substitution};
use crate::RepoPath;
use crate::checkout::Checkout;
use crate::files::{FileSet, Wanted};
use crate::lfs::{self, is_pointer};
use crate::yaml::{self, Document, Limits};

/// Renders the files below `path`.
pub(super) async fn render(
    checkout: &Checkout,
    path: &RepoPath,
    extras: &Extras<'_>,
) -> Result<Attempt, RenderError> {
    let mut files = checkout.files(path, Wanted::Manifests).await?;
    let inputs = files.inputs.clone();
    if let Err(error) = lfs::resolve(checkout, &mut files.files, |_| true).await {
        return Ok(Attempt::failed(inputs, error.into()));
    }
    let opened = match extras.opener.open(&mut files.files, |_| true).await {
        Ok(opened) => opened,
        Err(error) => return Ok(Attempt::failed(inputs, error)),
    };
    let substitution = extras.substitution.clone();
    let name = path.to_string();
    // Parsing may take a while; the reactor has other things to do.
    let parsed = tokio::task::spawn_blocking(move || {
        parse_all(&name, files, &opened, substitution.as_ref())
    })
    .await;
    let outcome = parsed.map_err(RenderError::work_directory)?.map(Arc::new);
    Ok(Attempt { inputs, outcome })
}

fn parse_all(
    path: &str,
    files: FileSet,
    opened: &BTreeSet<String>,
    substitution: Option<&Substitution>,
) -> Result<Rendered, RenderError> {
    if let Some(submodule) = files.submodules.first() {
        // Objects that were in the directory before would look as if they had left the source.
        let instead = "say source.git.submodules: Fetch in the Release, point it at directories without it, or commit the files";
        return Err(RenderError::refused(submodule, "a Git submodule", instead));
    }
    let mut drafts = Vec::new();
    for (file, bytes) in &files.files {
        if is_kustomization(file) {
            let instead = "point the Release at its directory, or move it out of this one";
            return Err(RenderError::refused(
                file,
                "a kustomization among plain manifests",
                instead,
            ));
        }
        if is_chart(file) {
            return Err(RenderError::refused(
                file,
                "a Helm chart among plain manifests",
                "say render.helm in the Release of its directory, or move it out of this one",
            ));
        }
        drafts.extend(parse_file(file, bytes)?.into_iter().map(|document| Draft {
            file: file.clone(),
            document,
            secrecy: secrecy_of(file, opened),
        }));
    }
    assemble(path, drafts, substitution, files.notes, None)
}

/// Whether kustomize would take the file for its own.
pub(super) fn is_kustomization(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    KUSTOMIZATION_NAMES.contains(&name)
}

fn is_chart(file: &str) -> bool {
    file.rsplit('/').next() == Some("Chart.yaml")
}

/// Refuses a file whose content is elsewhere: taken as it is, the pointer would become what is applied.
pub(super) fn refuse_pointer(file: &str, bytes: &[u8]) -> Result<(), RenderError> {
    if is_pointer(bytes) {
        let instead = "say source.git.lfs: Fetch in the Release if it is a plain pointer and no kustomization, or commit the file itself";
        return Err(RenderError::refused(file, "a pointer to Git LFS", instead));
    }
    Ok(())
}

/// Reads the documents of one file.
pub(super) fn parse_file(file: &str, bytes: &[u8]) -> Result<Vec<Document>, RenderError> {
    refuse_pointer(file, bytes)?;
    let text = std::str::from_utf8(bytes).map_err(|_| {
        RenderError::refused(file, "text in another encoding", "save the file as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_json = file
        .rsplit('.')
        .next()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let parse = if is_json {
        yaml::parse_json
    } else {
        yaml::parse_yaml
    };
    parse(text, &Limits::default()).map_err(|problem| RenderError::syntax(file, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_and_pointers_are_told_apart_from_manifests() {
        assert_eq!(
            parse_file("a.yaml", "\u{feff}a: 1".as_bytes())
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            parse_file("a.yaml", b"a: \xff").unwrap_err().reason(),
            "Refused"
        );
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
        assert_eq!(
            parse_file("a.yaml", pointer).unwrap_err().reason(),
            "Refused"
        );
    }

    #[test]
    fn a_syntax_error_names_file_document_and_line() {
        let error = parse_file("dir/a.yaml", b"a: 1\n---\nb: [\n").unwrap_err();
        let RenderError::Syntax { file, document, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((file.as_str(), document), ("dir/a.yaml", 2));
    }
}
