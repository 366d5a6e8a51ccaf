//! Images of containers, replaced after rendering.
//!
//! Invariant: the replaced images are part of the content and of its digest; and an override that meets no container is an error,
//! for it would silently leave another version running.

use serde_json::Value;

use super::canonical::{self, ContentDigest};
use super::{RenderError, Rendered, RenderedObject};

/// What an image is replaced by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageOverride {
    /// The image as the manifests name it, without tag and digest.
    pub name: String,
    /// Another name.
    pub new_name: Option<String>,
    /// Another tag.
    pub new_tag: Option<String>,
    /// A digest.
    pub digest: Option<String>,
}

impl Rendered {
    /// The same objects with the images of their containers replaced.
    pub fn with_images(&self, overrides: &[ImageOverride]) -> Result<Self, RenderError> {
        let mut used = vec![false; overrides.len()];
        let mut objects = self.objects.clone();
        for object in &mut objects {
            replace(&mut object.value, overrides, &mut used);
        }
        let unused = overrides.iter().zip(used).find(|(_, used)| !used);
        if let Some((unused, _)) = unused {
            return Err(RenderError::Refused {
                file: "spec.images".to_owned(),
                what: format!("an override of {}", unused.name),
                instead: "no container has this image; write its name as the manifests do, without tag and digest, or take the entry out".to_owned(),
            });
        }
        let (digest, json_bytes) = digest(&objects);
        Ok(Self {
            objects,
            digest,
            json_bytes,
            warnings: self.warnings.clone(),
            tool: self.tool.clone(),
        })
    }
}

fn digest(objects: &[RenderedObject]) -> (ContentDigest, usize) {
    let mut sorted: Vec<&RenderedObject> = objects.iter().collect();
    sorted.sort_by_key(|object| &object.key);
    let mut text = String::new();
    canonical::write_list(&mut text, sorted.into_iter().map(|object| &object.value));
    (ContentDigest::of_text(&text), text.len())
}

/// Containers stand in many kinds, also foreign ones, always under these names.
fn replace(value: &mut Value, overrides: &[ImageOverride], used: &mut [bool]) {
    match value {
        Value::Array(items) => {
            for item in items {
                replace(item, overrides, used);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                if let (true, Value::Array(containers)) = (is_containers(key), &mut *value) {
                    for container in containers {
                        replace_one(container, overrides, used);
                    }
                }
                replace(value, overrides, used);
            }
        }
        _ => {}
    }
}

fn is_containers(key: &str) -> bool {
    matches!(key, "containers" | "initContainers")
}

fn replace_one(container: &mut Value, overrides: &[ImageOverride], used: &mut [bool]) {
    let Some(Value::String(image)) = container.get_mut("image") else {
        return;
    };
    let (name, rest) = split(image);
    let found = overrides.iter().zip(used).find(|(one, _)| one.name == name);
    if let Some((one, used)) = found {
        *used = true;
        *image = one.applied(name, rest);
    }
}

impl ImageOverride {
    fn applied(&self, name: &str, rest: &str) -> String {
        let name = self.new_name.as_deref().unwrap_or(name);
        let tag = self.new_tag.as_ref().map(|tag| format!(":{tag}"));
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}"));
        match (tag, digest) {
            (None, None) => format!("{name}{rest}"),
            (tag, digest) => format!(
                "{name}{}{}",
                tag.unwrap_or_default(),
                digest.unwrap_or_default()
            ),
        }
    }
}

/// The name of an image, and its tag and digest with their signs. A colon before the last slash belongs to a port.
fn split(image: &str) -> (&str, &str) {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let end = name
        .get(last..)
        .and_then(|part| part.find(':'))
        .map_or(name.len(), |colon| last + colon);
    image.split_at_checked(end).unwrap_or((image, ""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{ObjectKey, ObjectSource, Secrecy};

    fn rendered(value: Value) -> Rendered {
        let object = RenderedObject {
            key: ObjectKey {
                group: "apps".into(),
                kind: "Deployment".into(),
                namespace: None,
                name: "web".into(),
            },
            source: ObjectSource {
                file: "web.yaml".into(),
                document: 1,
            },
            value,
            secrecy: Secrecy::Open,
        };
        let (digest, json_bytes) = digest(std::slice::from_ref(&object));
        Rendered {
            objects: vec![object],
            digest,
            json_bytes,
            warnings: Vec::new(),
            tool: None,
        }
    }

    fn pod(image: &str) -> Rendered {
        rendered(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"template": {"spec": {
                "initContainers": [{"name": "init", "image": "busybox"}],
                "containers": [{"name": "main", "image": image}],
            }}},
        }))
    }

    fn one(name: &str, tag: Option<&str>, digest: Option<&str>) -> ImageOverride {
        ImageOverride {
            name: name.into(),
            new_name: None,
            new_tag: tag.map(Into::into),
            digest: digest.map(Into::into),
        }
    }

    fn image_of(rendered: &Rendered) -> &str {
        rendered.objects[0]
            .value
            .pointer("/spec/template/spec/containers/0/image")
            .unwrap()
            .as_str()
            .unwrap()
    }

    #[test]
    fn tags_and_digests_replace_what_was_there() {
        let web = "registry:5000/shop/web";
        for (image, tag, digest, wanted) in [
            (
                "registry:5000/shop/web",
                Some("v2"),
                None,
                "registry:5000/shop/web:v2",
            ),
            (
                "registry:5000/shop/web:v1",
                Some("v2"),
                None,
                "registry:5000/shop/web:v2",
            ),
            (
                "registry:5000/shop/web:v1@sha256:aa",
                Some("v2"),
                None,
                "registry:5000/shop/web:v2",
            ),
            (
                "registry:5000/shop/web:v1",
                None,
                Some("sha256:bb"),
                "registry:5000/shop/web@sha256:bb",
            ),
            (
                "registry:5000/shop/web:v1",
                Some("v2"),
                Some("sha256:bb"),
                "registry:5000/shop/web:v2@sha256:bb",
            ),
        ] {
            let changed = pod(image).with_images(&[one(web, tag, digest)]).unwrap();
            assert_eq!(image_of(&changed), wanted, "{image}");
        }
    }

    #[test]
    fn another_name_keeps_the_tag() {
        let mut renamed = one("web", None, None);
        renamed.new_name = Some("mirror.example.com/web".into());
        let changed = pod("web:v1@sha256:aa").with_images(&[renamed]).unwrap();
        assert_eq!(image_of(&changed), "mirror.example.com/web:v1@sha256:aa");
    }

    #[test]
    fn the_digest_of_the_content_changes_with_the_image_and_with_nothing_else() {
        let before = pod("web:v1");
        let changed = before.with_images(&[one("web", Some("v2"), None)]).unwrap();
        assert_ne!(changed.digest, before.digest);
        let same = before.with_images(&[one("web", Some("v1"), None)]).unwrap();
        assert_eq!(same.digest, before.digest);
        assert_eq!(changed.digest, pod("web:v2").digest);
    }

    #[test]
    fn an_override_that_meets_nothing_is_refused() {
        let both = [one("web", Some("v2"), None), one("wbe", Some("v2"), None)];
        let error = pod("web:v1").with_images(&both).unwrap_err();
        assert!(error.lies_in_content());
        assert!(error.to_string().contains("an override of wbe"), "{error}");
        let init = pod("web:v1").with_images(&[one("busybox", Some("1"), None)]);
        assert!(init.is_ok());
    }
}
