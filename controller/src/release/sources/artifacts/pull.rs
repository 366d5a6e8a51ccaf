//! Fetching one artifact by its digest.
//!
//! Invariant: what a manifest says is content, and the same for ever under its digest; only the way to it can be a matter of time.

use std::collections::BTreeMap;

use belay_source::{Artifact, Oid};
use serde::Deserialize;

use super::{
    super::{
        registry::sha256,
        trouble::{Place as Fault, Trouble},
    },
    Place,
};

/// Largest layer that is fetched.
const LAYER_BYTES: usize = 32 << 20;
/// What media types of tar archives end in.
const ARCHIVES: [&str; 6] = [".tar", "+tar", "/tar", "/x-tar", "gzip", "tgz"];
/// Configurations of images that containers run from.
const IMAGES: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];
const REVISION: &str = "org.opencontainers.image.revision";
const TITLE: &str = "org.opencontainers.image.title";

#[derive(Deserialize)]
struct Manifest {
    config: Option<Part>,
    layers: Option<Vec<Part>>,
    /// Set in an index.
    manifests: Option<Vec<serde::de::IgnoredAny>>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    media_type: String,
    digest: String,
    #[serde(default)]
    size: u64,
}

/// What of an artifact is wanted.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    layer: Oid,
    /// For people: what it was made from.
    subject: String,
}

/// Fetches and unpacks the artifact; `media_type` is of the layer that is wanted, if one is named.
pub(super) async fn pull(
    place: &Place,
    digest: &Oid,
    media_type: Option<&str>,
) -> Result<Artifact, Trouble> {
    let mut session = place.session();
    let (manifest, _) = session.manifest(&format!("sha256:{digest}")).await?;
    let plan = plan(&manifest, media_type).map_err(|why| Trouble {
        place: Fault::Content,
        message: format!("the artifact sha256:{digest} {why}"),
    })?;
    let layer = session.blob(&plan.layer, LAYER_BYTES).await?;
    let digest = digest.clone();
    // Unpacking takes a while; the reactor has other things to do.
    let unpacking =
        tokio::task::spawn_blocking(move || Artifact::unpack(digest, &layer, &plan.subject));
    let artifact = unpacking
        .await
        .map_err(|error| Trouble::passing(format!("unpacking an artifact: {error}")))?;
    Ok(artifact?)
}

/// What of the manifest is wanted, or why nothing can be.
fn plan(manifest: &[u8], media_type: Option<&str>) -> Result<Plan, String> {
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|_| "has a manifest that can't be read; push it anew".to_owned())?;
    if manifest.manifests.is_some() {
        return Err(
            "is an index of several manifests; push the files alone, or follow one of its manifests by digest".to_owned(),
        );
    }
    let layers = manifest.layers.unwrap_or_default();
    let config = manifest.config.as_ref().map(|config| &*config.media_type);
    if media_type.is_none() && config.is_some_and(|config| IMAGES.contains(&config)) {
        return Err(
            "is an image for containers; push the files with flux push artifact or oras push, or name a layer with layerSelector".to_owned(),
        );
    }
    let is_wanted = |layer: &&Part| match media_type {
        Some(wanted) => layer.media_type == wanted,
        None => ARCHIVES.iter().any(|end| layer.media_type.ends_with(end)),
    };
    let layer = layers.iter().find(is_wanted).ok_or_else(|| match media_type {
        Some(wanted) => format!("has no layer of the media type {wanted:?}; correct layerSelector"),
        None => "has no layer that is a tar archive; push the files as one, with flux push artifact or oras push, or name a layer with layerSelector".to_owned(),
    })?;
    if layer.size > u64::try_from(LAYER_BYTES).unwrap_or(u64::MAX) {
        return Err(format!(
            "has a layer of more than {} MiB; push fewer files",
            LAYER_BYTES >> 20
        ));
    }
    let digest = sha256(&layer.digest)
        .ok_or("has a layer whose digest is not SHA-256; push it anew with one that is")?;
    let annotations = manifest.annotations.unwrap_or_default();
    let named = [TITLE, REVISION].map(|name| annotations.get(name).map_or("", |text| text.trim()));
    Ok(Plan {
        layer: digest,
        subject: named.join(" ").trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const FLUX: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";

    fn layer(media_type: &str, digit: char) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", digit.to_string().repeat(64)), "size": 10})
    }

    fn planned(manifest: &Value, media_type: Option<&str>) -> Result<Plan, String> {
        plan(manifest.to_string().as_bytes(), media_type)
    }

    #[test]
    fn the_first_archive_is_taken_or_the_layer_that_is_named() {
        let oras = "application/vnd.oci.image.layer.v1.tar";
        let manifest = json!({
            "config": {"mediaType": "application/vnd.cncf.flux.config.v1+json", "digest": "sha256:0"},
            "layers": [layer("application/json", 'a'), layer(FLUX, 'b'), layer(oras, 'c')],
            "annotations": {REVISION: "main@sha1:1f0c", "org.opencontainers.image.source": "https://git.example.com/shop"},
        });
        let found = planned(&manifest, None).unwrap();
        assert_eq!(found.layer.as_str(), "b".repeat(64));
        assert_eq!(found.subject, "main@sha1:1f0c");
        let found = planned(&manifest, Some(oras)).unwrap();
        assert_eq!(found.layer.as_str(), "c".repeat(64));
        for kind in [
            "application/gzip",
            "application/x-tar",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        ] {
            let manifest = json!({"layers": [layer(kind, 'd')]});
            assert_eq!(planned(&manifest, None).unwrap().subject, "", "{kind}");
        }
    }

    #[test]
    fn what_is_no_artifact_is_said_in_words() {
        let image = json!({"config": {"mediaType": IMAGES[0], "digest": "x"}, "layers": [layer("application/vnd.oci.image.layer.v1.tar+gzip", 'a')]});
        let mut large = layer(FLUX, 'a');
        large["size"] = json!(33 << 20);
        let mut odd = layer(FLUX, 'a');
        odd["digest"] = json!("sha512:abc");
        for (manifest, media_type, words) in [
            (json!({"manifests": []}), None, "index of several"),
            (image.clone(), None, "image for containers"),
            (
                json!({"layers": [layer("application/json", 'a')]}),
                None,
                "no layer that is a tar",
            ),
            (json!({}), None, "no layer that is a tar"),
            (image, Some("x/y"), "layerSelector"),
            (json!({"layers": [large]}), None, "more than 32 MiB"),
            (json!({"layers": [odd]}), None, "not SHA-256"),
            (json!([1]), None, "can't be read"),
        ] {
            let why = planned(&manifest, media_type).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }
}
