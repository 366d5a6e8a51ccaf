//! What Belay would refuse although the API server takes it: plans that can't be carried out, sources that can't be.
//!
//! Left out: what only the cluster knows, such as a template that is in no file. Its gates are then taken for none.

use belay_api::{
    analysis::{GateRef, GateSpec},
    rollout::plan::Templates,
};

use super::objects::{Objects, Spec, User};
use crate::gitops;

/// The templates of the files, as an object in a namespace sees them.
struct Known<'a> {
    objects: &'a Objects,
    namespace: Option<&'a str>,
}

impl Templates for Known<'_> {
    fn gates(&self, reference: &GateRef) -> &[GateSpec] {
        let template = self.objects.template(reference, self.namespace);
        template.map_or(&[], |template| template.spec.gates.as_slice())
    }
}

/// Something that Belay would refuse.
pub(super) struct Refusal {
    pub(super) code: &'static str,
    /// JSON pointer of the field.
    pub(super) pointer: &'static str,
    pub(super) message: String,
}

/// What Belay would refuse of `user`.
pub(super) fn refusals(user: &User, objects: &Objects) -> Vec<Refusal> {
    let known = Known {
        objects,
        namespace: user.namespace.as_deref(),
    };
    let plan = |pointer, message: String| Refusal {
        code: "plan",
        pointer,
        message,
    };
    match &user.spec {
        Spec::Rollout(rollout) => {
            let refused = rollout.spec.plan(&known).err();
            let refused = refused.map(|why| plan("/spec", why.to_string()));
            refused.into_iter().collect()
        }
        Spec::Release(release) => {
            let mut found = Vec::new();
            if let Err(why) = release.spec.plan(&known) {
                found.push(plan("/spec/verification", why.to_string()));
            }
            let sources = gitops::refusals(release).into_iter();
            found.extend(sources.map(|(pointer, message)| Refusal {
                code: "source",
                pointer,
                message,
            }));
            found
        }
    }
}
