//! What a source asks for at one commit that was chosen, beside what it asks for now.
//!
//! Invariant: the commit can't move, so it is fetched and rendered once and costs nothing after that.

use belay_api::{
    Release,
    release::{GitRef, OciRef},
};
use belay_engine::release::{
    observed::Asked,
    status::{Content, short_revision},
};
use kube::ResourceExt as _;

use super::{Request, Sources};

impl Sources {
    /// What the source of `release` asks for at `commit`. Begins to look if need be.
    pub(in crate::release) fn asked_at(&self, release: &Release, commit: &str) -> Asked {
        let Some(uid) = release.uid() else {
            return Asked::Unknown;
        };
        let mut request = Request::of(release);
        let label = request.pin(commit);
        let asked = self.followed(key(&uid), request, release).asked;
        named(asked, label.as_deref())
    }

    /// No commit is chosen any more.
    pub(in crate::release) fn forget_pinned(&self, uid: &str) {
        self.forget_one(&key(uid));
    }
}

fn key(uid: &str) -> String {
    format!("{uid} pinned")
}

/// The reference that the commit came by is part of its revision.
fn named(asked: Asked, label: Option<&str>) -> Asked {
    let with = |revision: &str| match label {
        Some(label) => format!("{label}@{revision}"),
        None => revision.to_owned(),
    };
    match asked {
        Asked::Content(content) => {
            let revision = with(&content.revision);
            Asked::Content(Content {
                short: short_revision(&revision),
                revision,
                ..content
            })
        }
        Asked::Broken { revision, message } => Asked::Broken {
            revision: with(&revision),
            message,
        },
        Asked::Unverified { revision, message } => Asked::Unverified {
            revision: with(&revision),
            message,
        },
        Asked::Unknown | Asked::Unavailable { .. } => asked,
    }
}

impl Request {
    /// Makes it about one commit; gives the name of what it was about.
    fn pin(&mut self, commit: &str) -> Option<String> {
        if let Some(oci) = &mut self.source.oci {
            let fixed = OciRef {
                digest: Some(format!("sha256:{commit}")),
                ..OciRef::default()
            };
            return std::mem::replace(&mut oci.reference, fixed).tag;
        }
        let git = self.source.git.as_mut()?;
        let fixed = GitRef {
            commit: Some(commit.to_owned()),
            ..GitRef::default()
        };
        let before = std::mem::replace(&mut git.reference, fixed);
        before.branch.or(before.tag).or(before.name)
    }
}

#[cfg(test)]
mod tests {
    use belay_engine::digest::Digest;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_chosen_commit_is_called_as_on_its_branch() {
        let digest = Digest::of(&json!("a"));
        let content = Content::new(digest, "sha1:1f0c9ab77".into(), None);
        let Asked::Content(named) = named(Asked::Content(content), Some("main")) else {
            panic!("it is content");
        };
        assert_eq!(named.revision, "main@sha1:1f0c9ab77");
        assert_eq!(named.short, "main@1f0c9ab");
    }

    #[test]
    fn a_chosen_artifact_is_asked_for_by_its_digest() {
        let release: Release = serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"},
            "spec": {
                "source": {"oci": {"url": "oci://registry.example.com/shop", "ref": {"tag": "stable"}}},
                "serviceAccountName": "d",
            },
        }))
        .unwrap();
        let mut request = Request::of(&release);
        let digits = "a".repeat(64);
        assert_eq!(request.pin(&digits).as_deref(), Some("stable"));
        let reference = request.source.oci.unwrap().reference;
        assert_eq!(reference.digest, Some(format!("sha256:{digits}")));
        assert_eq!((reference.tag, reference.semver), (None, None));
    }
}
