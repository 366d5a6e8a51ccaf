//! Pushing to the registry of a lab, over HTTP, in the steps that clients take.

use std::{fmt::Write as _, time::Duration};

use belay_lab::Lab;
use reqwest::{Client, Method, RequestBuilder, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

use crate::Error;

/// Media type of the manifest of everything that is pushed.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Who pushes.
#[derive(Clone, Debug)]
pub struct Registry {
    client: Client,
    address: String,
    user: String,
    password: String,
}

/// What is pushed: one layer, and what is said of it.
#[derive(Clone, Debug)]
pub struct Artifact {
    config_type: &'static str,
    layer_type: &'static str,
    layer: Vec<u8>,
    annotations: Value,
}

impl Artifact {
    /// As `flux push artifact` makes it of a folder at a revision such as `main@sha1:…`.
    pub fn flux(files: &[(&str, &str)], revision: &str) -> Result<Self, Error> {
        Ok(Self {
            config_type: "application/vnd.cncf.flux.config.v1+json",
            layer_type: "application/vnd.cncf.flux.content.v1.tar+gzip",
            layer: gzip(&archive(files)?)?,
            annotations: json!({
                "org.opencontainers.image.created": "2026-01-01T00:00:00Z",
                "org.opencontainers.image.revision": revision,
                "org.opencontainers.image.source": "https://git.example.com/shop",
            }),
        })
    }

    /// As `oras push` makes it of a tar file.
    pub fn oras(files: &[(&str, &str)]) -> Result<Self, Error> {
        Ok(Self {
            config_type: "application/vnd.oci.empty.v1+json",
            layer_type: "application/vnd.oci.image.layer.v1.tar",
            layer: archive(files)?,
            annotations: json!({}),
        })
    }

    /// As `helm push` makes it of a packed chart.
    pub fn chart(files: &[(&str, &str)]) -> Result<Self, Error> {
        Ok(Self {
            config_type: "application/vnd.cncf.helm.config.v1+json",
            layer_type: "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            layer: gzip(&archive(files)?)?,
            annotations: json!({}),
        })
    }

    /// As `docker push` makes it of an image.
    pub fn image(files: &[(&str, &str)]) -> Result<Self, Error> {
        Ok(Self {
            config_type: "application/vnd.oci.image.config.v1+json",
            layer_type: "application/vnd.oci.image.layer.v1.tar",
            ..Self::oras(files)?
        })
    }

    /// The layer alone.
    pub fn layer(&self) -> &[u8] {
        &self.layer
    }
}

/// Files as a tar archive, the same for the same files.
fn archive(files: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
    let failed = || Error::io("pack files");
    let mut builder = Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(u64::try_from(text.len()).unwrap_or_default());
        builder
            .append_data(&mut header, path, text.as_bytes())
            .map_err(failed())?;
    }
    builder.into_inner().map_err(failed())
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).map_err(Error::io("pack files"))?;
    encoder.finish().map_err(Error::io("pack files"))
}

/// `sha256:…`
pub fn digest(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut digits, byte| {
            // Writing to a string can't fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        });
    format!("sha256:{digits}")
}

impl Registry {
    /// The lab's registry, with its login.
    pub fn of(lab: &Lab) -> Result<Self, Error> {
        let (user, password) = lab.registry_login();
        // A proxy of this machine has no business with loopback.
        let client = Client::builder()
            .no_proxy()
            .timeout(ANSWERED_WITHIN)
            .build()?;
        Ok(Self {
            client,
            address: lab.registry()?,
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// The address of a repository, as it is written in a Release.
    pub fn url(&self, repository: &str) -> String {
        format!("oci://{}/{repository}", self.address)
    }

    /// Pushes under a tag, which moves there. Gives the digest.
    pub async fn push(
        &self,
        repository: &str,
        tag: &str,
        artifact: &Artifact,
    ) -> Result<String, Error> {
        let config = b"{}";
        let parts = [config.as_slice(), &artifact.layer];
        for part in parts {
            self.push_blob(repository, part).await?;
        }
        let described = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": described(artifact.config_type, config),
            "layers": [described(artifact.layer_type, &artifact.layer)],
            "annotations": artifact.annotations,
        });
        let manifest = serde_json::to_vec(&manifest)?;
        let pushed = digest(&manifest);
        let place = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let put = self.request(Method::PUT, &place);
        let put = put.header(header::CONTENT_TYPE, MANIFEST).body(manifest);
        put.send().await?.error_for_status()?;
        Ok(pushed)
    }

    /// Takes a tag away.
    pub async fn untag(&self, repository: &str, tag: &str) -> Result<(), Error> {
        let place = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let deleted = self.request(Method::DELETE, &place).send().await?;
        deleted.error_for_status()?;
        Ok(())
    }

    async fn push_blob(&self, repository: &str, bytes: &[u8]) -> Result<(), Error> {
        let uploads = format!("http://{}/v2/{repository}/blobs/uploads/", self.address);
        let answer = self.request(Method::POST, &uploads).send().await?;
        let answer = answer.error_for_status()?;
        let place = answer.headers().get(header::LOCATION);
        let place = place.and_then(|place| place.to_str().ok());
        let place = place.and_then(|place| answer.url().join(place).ok());
        let place = place.ok_or_else(|| Error::Broken("the upload has no address".to_owned()))?;
        self.request(Method::PUT, place.as_str())
            .query(&[("digest", digest(bytes))])
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(bytes.to_vec())
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    fn request(&self, method: Method, place: &str) -> RequestBuilder {
        self.client
            .request(method, place)
            .basic_auth(&self.user, Some(&self.password))
    }
}
