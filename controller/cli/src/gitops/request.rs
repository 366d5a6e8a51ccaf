//! What a Release's spec says of its source, in the words of `belay-source`.
//!
//! Invariant: a field that this plugin does not know is never passed over in silence. Where it would change what is rendered the
//! answer is a refusal; elsewhere it is a warning.

use std::sync::Arc;

use belay_api::{
    Release,
    release::{self, Origin},
};
use belay_source::{
    GitRef, HelmOptions, HelmValues, ImageOverride, LfsMode, RenderError, RenderKind,
    RenderRequest, Rendered, RepoPath, RepositoryUrl, Secrecy, SourceError, SubmoduleMode,
    Substitution,
};
use serde::Serialize;
use serde_json::Value;

use crate::Error;

/// Fields of the spec that are known here, and whether or not they change what is rendered, taken into account.
const SPEC: &[&str] = &[
    "source",
    "render",
    // Refused by `substitution`, for only the controller can read the keys.
    "decryption",
    "images",
    "serviceAccountName",
    "kubeConfig",
    "dependsOn",
    "promotion",
    "readableFrom",
    "apply",
    "verification",
    "rollback",
    "suspend",
    "deletionPolicy",
];
const SOURCE: &[&str] = &["git", "oci"];
const OCI: &[&str] = &[
    "url",
    "ref",
    "path",
    "secretRef",
    // Which layer was pushed shows in what is rendered from a folder.
    "layerSelector",
    "interval",
];
const GIT: &[&str] = &[
    "url",
    "ref",
    "path",
    "secretRef",
    "proxySecretRef",
    "submodules",
    "lfs",
    "verify",
    "interval",
    "webhook",
];
const RENDER: &[&str] = &["plain", "kustomize", "helm", "substitute"];
const HELM: &[&str] = &[
    "releaseName",
    "valuesFiles",
    "valuesFrom",
    "values",
    "kubeVersion",
    "apiVersions",
];

/// Refuses what can't be rendered here; gives warnings about what is not taken into account.
pub(super) fn understood(release: &Release) -> Result<Vec<String>, Error> {
    let spec = &release.spec;
    let refusals = [
        ("spec.source", unknown(&spec.source, SOURCE)?),
        ("spec.source.git", unknown(&spec.source.git, GIT)?),
        ("spec.source.oci", unknown(&spec.source.oci, OCI)?),
        ("spec.render", unknown(&spec.render, RENDER)?),
        ("spec.render.plain", unknown(&plain(spec), &[])?),
        ("spec.render.kustomize", unknown(&kustomize(spec), &[])?),
        ("spec.render.helm", unknown(&helm(spec), HELM)?),
    ];
    let refused = refusals
        .iter()
        .find_map(|(place, fields)| Some(format!("{place}.{}", fields.first()?)));
    if let Some(field) = refused {
        return Err(Error::Source(format!(
            "{field} changes what is rendered, and this plugin can't do that yet; Belay itself does"
        )));
    }
    let mut beside: Vec<String> = unknown(spec, SPEC)?;
    if let Some(git) = &spec.source.git {
        beside.extend(git.verify.is_some().then(|| "source.git.verify".to_owned()));
        beside.extend(
            git.proxy_secret_ref
                .is_some()
                .then(|| "source.git.proxySecretRef".to_owned()),
        );
    }
    let warn = |field: &String| format!("spec.{field} is not taken into account here");
    Ok(beside.iter().map(warn).collect())
}

fn plain(spec: &release::ReleaseSpec) -> Option<&release::Plain> {
    spec.render.as_ref()?.plain.as_ref()
}

fn kustomize(spec: &release::ReleaseSpec) -> Option<&release::Kustomize> {
    spec.render.as_ref()?.kustomize.as_ref()
}

fn helm(spec: &release::ReleaseSpec) -> Option<&release::Helm> {
    spec.render.as_ref()?.helm.as_ref()
}

fn unknown(part: &impl Serialize, known: &[&str]) -> Result<Vec<String>, Error> {
    let Value::Object(fields) = serde_json::to_value(part)? else {
        return Ok(Vec::new());
    };
    let names = fields.into_iter().filter(|(_, value)| !value.is_null());
    Ok(names
        .map(|(name, _)| name)
        .filter(|name| !known.contains(&name.as_str()))
        .collect())
}

/// The Git repository of the Release.
pub(super) fn git(release: &Release) -> Result<&release::Git, Error> {
    match release.spec.source.origin() {
        Some(Origin::Git(git)) => Ok(git),
        Some(Origin::Oci(oci)) => Err(Error::Source(format!(
            "{} is an OCI artifact, which only Belay itself fetches: give --path with a folder of what was pushed, for example after \
             flux pull artifact or oras pull",
            oci.url
        ))),
        None => Err(Error::Source(
            "spec.source: give exactly one of git and oci".to_owned(),
        )),
    }
}

/// What the Release follows.
pub(super) fn reference(reference: &release::GitRef) -> Result<GitRef, SourceError> {
    let prefix = reference.tag_prefix.as_deref().unwrap_or_default();
    if let Some(branch) = &reference.branch {
        GitRef::branch(branch)
    } else if let Some(tag) = &reference.tag {
        GitRef::tag(tag)
    } else if let Some(range) = &reference.semver {
        GitRef::versions(range, prefix)
    } else if let Some(name) = &reference.name {
        GitRef::named(name)
    } else {
        GitRef::commit(reference.commit.as_deref().unwrap_or_default())
    }
}

/// What somebody wrote for a revision: a full commit id, a full reference, else a branch or a tag, in this order.
pub(super) fn revisions(text: &str) -> Result<Vec<GitRef>, SourceError> {
    let is_id = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        return Ok(vec![GitRef::commit(text)?]);
    }
    if text.starts_with("refs/") {
        return Ok(vec![GitRef::named(text)?]);
    }
    Ok(vec![GitRef::branch(text)?, GitRef::tag(text)?])
}

/// What is done with submodules.
pub(super) fn submodules(release: &Release) -> SubmoduleMode {
    let git = release.spec.source.git.as_ref();
    match git.map(|git| git.submodules) {
        None | Some(release::Submodules::Refuse) => SubmoduleMode::Refuse,
        Some(release::Submodules::Fetch) => SubmoduleMode::Fetch,
    }
}

/// What is done with files in Git LFS.
pub(super) fn lfs(release: &Release) -> LfsMode {
    let git = release.spec.source.git.as_ref();
    match git.map(|git| git.lfs) {
        None | Some(release::Lfs::Refuse) => LfsMode::Refuse,
        Some(release::Lfs::Fetch) => LfsMode::Fetch,
    }
}

/// What to render, with the version of Kubernetes that a chart sees where the spec names none.
pub(super) fn rendering(
    release: &Release,
    namespace: &str,
    kube_version: Option<String>,
) -> Result<RenderRequest, Error> {
    let refused = |error: SourceError| Error::Source(error.to_string());
    let spec = &release.spec;
    let kind = match &spec.render {
        Some(render) if render.kustomize.is_some() => RenderKind::Kustomize,
        Some(render) if render.plain.is_some() => RenderKind::Plain,
        Some(release::Render {
            helm: Some(helm), ..
        }) => {
            let name = release.metadata.name.as_deref().unwrap_or_default();
            let name = helm.release_name.as_deref().unwrap_or(name);
            let version = helm.kube_version.clone().or(kube_version);
            let version = version.ok_or_else(|| {
                Error::Source("the chart may ask for Kubernetes' version: give --kube-version, for example 1.36.0".to_owned())
            })?;
            let mut values = HelmValues::new();
            values.merge(&helm.values);
            let options = HelmOptions::new(name, namespace)
                .values_files(&helm.values_files)
                .map_err(refused)?
                .kube_version(version)
                .api_versions(helm.api_versions.iter().cloned())
                .values(values);
            RenderKind::Helm(Box::new(options))
        }
        _ => RenderKind::Detect,
    };
    let path = RepoPath::parse(spec.source.path());
    let mut request = RenderRequest::new(path.map_err(refused)?, kind);
    request.substitution = substitution(spec)?;
    Ok(request)
}

/// The variables that the Release itself gives. What is in the cluster only the controller reads, in the name of the Release's account.
fn substitution(spec: &release::ReleaseSpec) -> Result<Option<Substitution>, Error> {
    let empty = release::Render::default();
    let render = spec.render.as_ref().unwrap_or(&empty);
    let values_from = render
        .helm
        .as_ref()
        .is_some_and(|helm| !helm.values_from.is_empty());
    let variables_from = render
        .substitute
        .as_ref()
        .is_some_and(|s| !s.from.is_empty());
    if values_from || variables_from || spec.decryption.is_some() {
        return Err(Error::Source(
            "this Release is rendered with what ConfigMaps or Secrets of its namespace hold (valuesFrom, substitute.from, decryption), \
             which only the controller reads; what it made of a commit is in the objects that it applied: kubectl belay tree"
                .to_owned(),
        ));
    }
    Ok(render.substitute.as_ref().map(|substitute| {
        let variables = substitute.variables.iter();
        variables.fold(Substitution::new(), |all, (name, value)| {
            all.with(name, value, Secrecy::Open)
        })
    }))
}

fn image_overrides(images: &[release::Image]) -> Vec<ImageOverride> {
    let of = |image: &release::Image| ImageOverride {
        name: image.name.clone(),
        new_name: image.new_name.clone(),
        new_tag: image.new_tag.clone(),
        digest: image.digest.clone(),
    };
    images.iter().map(of).collect()
}

/// What was rendered, with the images that the spec wants.
pub(super) fn with_images(
    release: &Release,
    rendered: Arc<Rendered>,
) -> Result<Arc<Rendered>, RenderError> {
    let images = &release.spec.images;
    if images.is_empty() {
        return Ok(rendered);
    }
    rendered.with_images(&image_overrides(images)).map(Arc::new)
}

/// Whether the range of an artifact's versions can be read, if one is given.
fn range(reference: &release::OciRef) -> Result<(), SourceError> {
    let range = reference.semver.as_deref();
    range.map_or(Ok(()), |range| GitRef::versions(range, "").map(drop))
}

/// What can't be followed or rendered whatever is in the repository: the field and a sentence.
pub(super) fn refusals(release: &Release) -> Vec<(&'static str, String)> {
    let of_path = RepoPath::parse(release.spec.source.path()).err();
    let of_source = match release.spec.source.origin() {
        Some(Origin::Git(git)) => [
            ("/spec/source/git/ref", reference(&git.reference).err()),
            ("/spec/source/git/url", RepositoryUrl::parse(&git.url).err()),
            ("/spec/source/git/path", of_path),
        ],
        Some(Origin::Oci(oci)) => [
            ("/spec/source/oci/ref", range(&oci.reference).err()),
            (
                "/spec/source/oci/url",
                RepositoryUrl::artifacts(&oci.url).err(),
            ),
            ("/spec/source/oci/path", of_path),
        ],
        // The rule of the definition says so.
        None => return Vec::new(),
    };
    let mut found: Vec<(&'static str, String)> = of_source
        .into_iter()
        .filter_map(|(pointer, error)| Some((pointer, error?.to_string())))
        .collect();
    if let Some(helm) = helm(&release.spec)
        && let Err(error) = HelmOptions::new("x", "x").values_files(&helm.values_files)
    {
        found.push(("/spec/render/helm/valuesFiles", error.to_string()));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_are_known_are_neither_refused_nor_warned_of() {
        // given a Release with every field of the source that there is
        let release: Release = serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"},
            "spec": {
                "source": {"git": {"url": "https://g/s.git", "ref": {"branch": "main"}, "path": "a", "secretRef": {"name": "s"}, "submodules": "Fetch", "lfs": "Fetch"}},
                "render": {"helm": {"releaseName": "a", "valuesFiles": ["v"], "values": {"a": 1}, "kubeVersion": "1.36.0", "apiVersions": ["a/v1"]}},
                "serviceAccountName": "d", "suspend": true,
            },
        }))
        .unwrap();
        assert_eq!(understood(&release).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_field_that_is_not_known_is_named() {
        let found = unknown(&json!({"git": {}, "bucket": {}, "none": null}), SOURCE).unwrap();
        assert_eq!(found, ["bucket"]);
    }

    #[test]
    fn an_artifact_is_rendered_from_a_folder_and_never_taken_for_a_repository() {
        let release: Release = serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"},
            "spec": {
                "source": {"oci": {
                    "url": "oci://registry.example.com/shop", "ref": {"semver": "newest"}, "path": "deploy",
                    "secretRef": {"name": "s"}, "layerSelector": {"mediaType": "a/b"}, "interval": "5m",
                }},
                "serviceAccountName": "d",
            },
        }))
        .unwrap();
        assert_eq!(understood(&release).unwrap(), Vec::<String>::new());
        assert_eq!(
            rendering(&release, "n", None).unwrap().path.as_str(),
            "deploy"
        );
        let error = git(&release).unwrap_err().to_string();
        assert!(error.contains("--path"), "{error}");
        let refused = refusals(&release);
        assert!(
            refused[0].0 == "/spec/source/oci/ref" && refused.len() == 1,
            "{refused:?}"
        );
    }

    #[test]
    fn a_revision_is_an_id_a_reference_a_branch_or_a_tag() {
        assert_eq!(revisions(&"a".repeat(40)).unwrap().len(), 1);
        assert_eq!(revisions("refs/pull/7/head").unwrap().len(), 1);
        assert_eq!(revisions("main").unwrap().len(), 2);
        assert!(revisions("--upload-pack=x").is_err());
    }
}
