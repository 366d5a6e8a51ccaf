//! References from one Release to others, and who may refer to it.
//!
//! Invariant: a Release of another namespace is read only if it names the reader's namespace itself.

use std::collections::BTreeSet;

use belay_engine::release::{
    composition::{Composition, Kinship, PeerKey, Shown, Stay, View},
    promotion::Upstream,
    publish,
};
use kube::{KubeSchema, ResourceExt as _};
use serde::{Deserialize, Serialize};

use super::{Origin, Release, Source};
use crate::Duration;

/// In `readableFrom`: every namespace.
const EVERYWHERE: &str = "*";

/// A Release that must be verified before new content is brought in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// Name of the Release.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its namespace; one's own when absent. A Release of another namespace must name this one in its `readableFrom`.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What goes on from one environment to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// Releases of the same repository that must have verified a commit before it is brought in here: all of them. The newest
    /// commit that they have is asked for, not the newest that there is.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<After>,
    /// Where the verified commit is published, for Releases of other clusters to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,
}

/// A reference of the repository that follows the verified commit. It is pushed with the credential of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    /// The reference, in full, for example `refs/heads/env/prod-verified`. What somebody else put there is moved only if the verified
    /// commit comes after it.
    #[schemars(length(min = 6, max = 244))]
    #[x_kube(validation = Rule::new("self.matches('^refs/[A-Za-z0-9_][A-Za-z0-9._/-]*$') && !self.startsWith('refs/tags/') && !self.matches('[.][.]|//|/$|[.]$')").message("write a full name that is no tag, for example refs/heads/env/prod-verified"))]
    #[serde(rename = "ref")]
    pub reference: String,
    /// How long the commit must have been verified here before.
    #[x_kube(validation = Rule::new("duration(self) <= duration('2160h')").message("write a time of at most 2160h (90 days), for example 30m"))]
    #[serde(default)]
    pub verified_for: Duration,
}

/// A Release that must have verified a commit before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct After {
    /// Name of the Release.
    #[schemars(length(min = 1, max = 63))]
    pub release: String,
    /// Its namespace; one's own when absent. A Release of another namespace must name this one in its `readableFrom`.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// How long what that Release makes of the commit must have been its verified version without a break. Taken back before
    /// that, it does not go on.
    #[x_kube(validation = Rule::new("duration(self) <= duration('2160h')").message("write a time of at most 2160h (90 days), for example 30m"))]
    #[serde(default)]
    pub verified_for: Duration,
}

impl Release {
    /// What this Release says about others.
    pub fn composition(&self) -> Composition {
        let depends_on = self
            .spec
            .depends_on
            .iter()
            .map(|one| self.peer(&one.name, one.namespace.as_deref()));
        let after = self.spec.promotion.after.iter().map(|one| Upstream {
            release: self.peer(&one.release, one.namespace.as_deref()),
            verified_for: one.verified_for.get(),
        });
        Composition {
            depends_on: depends_on.collect(),
            after: after.collect(),
            publish: self
                .spec
                .promotion
                .publish
                .as_ref()
                .map(|asked| publish::Publish {
                    reference: asked.reference.clone(),
                    verified_for: asked.verified_for.get(),
                }),
        }
    }

    /// Every Release that this one refers to.
    pub fn references(&self) -> BTreeSet<PeerKey> {
        let Composition {
            depends_on, after, ..
        } = self.composition();
        let after = after.into_iter().map(|upstream| upstream.release);
        depends_on.into_iter().chain(after).collect()
    }

    /// This Release as others name it.
    pub fn key(&self) -> PeerKey {
        self.peer(&self.name_any(), None)
    }

    /// Whether Releases of `namespace` may read how this one is.
    pub fn is_readable_from(&self, namespace: &str) -> bool {
        self.namespace().as_deref() == Some(namespace)
            || self
                .spec
                .readable_from
                .iter()
                .any(|allowed| allowed == EVERYWHERE || allowed == namespace)
    }

    /// How `other` is, as this Release may see it.
    pub fn view_of(&self, key: &PeerKey, other: Option<&Self>) -> View {
        let reader = self.namespace().unwrap_or_default();
        match other.filter(|other| other.is_readable_from(&reader)) {
            Some(other) => View::Shown(Box::new(Shown {
                generation: other.metadata.generation.unwrap_or_default(),
                stay: other.stay(),
                kinship: kinship(&self.spec.source, &other.spec.source),
                status: other.status.clone().unwrap_or_default(),
            })),
            None if key.namespace == reader => View::Missing,
            None => View::Hidden { reader },
        }
    }

    fn stay(&self) -> Stay {
        if self.metadata.deletion_timestamp.is_some() {
            Stay::Leaving
        } else if self.spec.suspend {
            Stay::Suspended
        } else {
            Stay::Active
        }
    }

    fn peer(&self, name: &str, namespace: Option<&str>) -> PeerKey {
        PeerKey {
            namespace: namespace.map_or_else(|| self.namespace().unwrap_or_default(), Into::into),
            name: name.to_owned(),
        }
    }
}

fn kinship(ours: &Source, theirs: &Source) -> Kinship {
    let (same_place, same_reference) = match (ours.origin(), theirs.origin()) {
        (Some(Origin::Git(ours)), Some(Origin::Git(theirs))) => (
            address(&ours.url) == address(&theirs.url),
            ours.reference == theirs.reference,
        ),
        (Some(Origin::Oci(ours)), Some(Origin::Oci(theirs))) => {
            (ours.url == theirs.url, ours.reference == theirs.reference)
        }
        _ => (false, false),
    };
    match (same_place, same_reference) {
        (false, _) => Kinship::Foreign,
        (true, true) => Kinship::SameReference,
        (true, false) => Kinship::SameRepository,
    }
}

/// The address of a Git repository without what hosts let people leave out.
fn address(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    url.strip_suffix(".git").unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn release(namespace: &str, name: &str, more: Value) -> Release {
        let mut spec = json!({
            "source": {"git": {"url": "https://git.example.com/shop.git", "ref": {"branch": "main"}}},
            "serviceAccountName": "deployer",
        });
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release",
            "metadata": {"name": name, "namespace": namespace, "generation": 2}, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn a_reference_without_a_namespace_means_ones_own() {
        let shop = release(
            "shop",
            "web",
            json!({"dependsOn": [{"name": "db"}, {"name": "mesh", "namespace": "infra"}]}),
        );
        let names: Vec<String> = shop.references().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["infra/mesh", "shop/db"]);
    }

    #[test]
    fn a_release_of_another_namespace_looks_missing_until_it_lets_this_one_read_it() {
        let shop = release("shop", "web", json!({}));
        let key = PeerKey {
            namespace: "infra".into(),
            name: "mesh".into(),
        };
        let closed = release("infra", "mesh", json!({}));
        let other = release("infra", "mesh", json!({"readableFrom": ["billing"]}));
        let hidden = View::Hidden {
            reader: "shop".into(),
        };
        assert_eq!(shop.view_of(&key, None), hidden);
        assert_eq!(shop.view_of(&key, Some(&closed)), hidden);
        assert_eq!(shop.view_of(&key, Some(&other)), hidden);
        for names in [json!(["shop"]), json!(["*"])] {
            let open = release("infra", "mesh", json!({"readableFrom": names}));
            assert!(matches!(
                shop.view_of(&key, Some(&open)),
                View::Shown(shown) if shown.generation == 2
            ));
        }
    }

    #[test]
    fn sources_are_compared_by_repository_and_reference() {
        let git = |url: &str, branch: &str| -> Source {
            let git = json!({"url": url, "ref": {"branch": branch}});
            serde_json::from_value(json!({ "git": git })).unwrap()
        };
        let oci = |url: &str, tag: &str| -> Source {
            let oci = json!({"url": url, "ref": {"tag": tag}});
            serde_json::from_value(json!({ "oci": oci })).unwrap()
        };
        let main = git("https://git.example.com/shop.git", "main");
        let same = git("https://git.example.com/shop/", "main");
        let next = git("https://git.example.com/shop", "next");
        let other = git("https://git.example.com/other", "main");
        assert_eq!(kinship(&main, &same), Kinship::SameReference);
        assert_eq!(kinship(&main, &next), Kinship::SameRepository);
        assert_eq!(kinship(&main, &other), Kinship::Foreign);
        let stable = oci("oci://registry.example.com/shop", "stable");
        let latest = oci("oci://registry.example.com/shop", "latest");
        assert_eq!(kinship(&stable, &stable.clone()), Kinship::SameReference);
        assert_eq!(kinship(&stable, &latest), Kinship::SameRepository);
        assert_eq!(kinship(&stable, &main), Kinship::Foreign);
    }
}
