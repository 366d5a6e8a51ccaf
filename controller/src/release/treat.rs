//! How each object of a set is treated: made, changed, taken over from others, or left alone.
//!
//! Rule: an object that belongs to nobody is taken over, also from people's `kubectl`; one that another Release or another tool
//! applies is refused by the name of its owner. Another tool's is taken over on an explicit word, another Release's never.

use belay_api::release::Adopt;
use belay_engine::release::words::{Permission, Words};
use kube::core::ObjectMeta;

use super::send::Sending;
use crate::apply::{
    Failure, Prepared,
    foreign::{self, ForeignOwner},
    owners, watches, words,
};

/// What is known of a live object.
#[derive(Clone, Debug)]
pub(super) struct Live {
    /// What others say on it.
    pub(super) foreign: Words,
    /// Whether it carries Belay's mark of this Release.
    is_ours: bool,
    /// The other tool that says it applies it.
    other: Option<ForeignOwner>,
}

/// How an object is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It is ours, or not there yet.
    Apply,
    /// It is there and belongs to nobody.
    TakeOver,
    /// It is there and another tool's, and somebody said that Belay is to have it.
    Adopt,
    /// It stays as it is.
    LeaveAlone,
}

impl Sending<'_> {
    /// What is known of the live object, if there is one. One that belongs to another Release is refused. A watch that shows it
    /// as ours answers without a request.
    pub(super) async fn live(&self, object: &Prepared) -> Result<Option<Live>, Failure> {
        let place = watches::place(&self.target.via, &object.kind.resource, &object.key);
        let seen = self.shell.watches.seen(&place, &object.key.name);
        if let Some(seen) = seen
            && seen.owner_uid.as_deref() == Some(&self.owner.uid)
        {
            return Ok(Some(Live {
                foreign: seen.foreign,
                is_ours: true,
                other: None,
            }));
        }
        if let Some(known) = self.alive.get(&object.key) {
            return Ok(known.clone());
        }
        let releases = self.shell.releases();
        let found = owners::check(&self.target.client, object, &self.owner, &releases).await?;
        Ok(found.as_ref().map(|metadata| self.known(metadata)))
    }

    fn known(&self, metadata: &ObjectMeta) -> Live {
        Live {
            foreign: words::foreign(metadata),
            is_ours: owners::owner_of(metadata) == Some(self.owner.uid.as_str()),
            other: foreign::owner(metadata).or_else(|| self.stranger(metadata)),
        }
    }

    /// The Release of elsewhere whose mark an object of another cluster carries: whether it lives can't be found out here.
    fn stranger(&self, metadata: &ObjectMeta) -> Option<ForeignOwner> {
        let is_ours = owners::owner_of(metadata) == Some(self.owner.uid.as_str());
        (self.target.is_remote() && !is_ours)
            .then(|| foreign::release(metadata))
            .flatten()
    }

    /// How `object` is treated, `live` being what is there.
    pub(super) fn treatment(
        &self,
        object: &Prepared,
        live: Option<&Live>,
    ) -> Result<Treatment, Failure> {
        let Some(live) = live else {
            return Ok(Treatment::Apply);
        };
        let words = live.foreign.or(object.words);
        if words.leaves_alone() {
            return Ok(Treatment::LeaveAlone);
        }
        match &live.other {
            _ if live.is_ours => Ok(Treatment::Apply),
            None => Ok(Treatment::TakeOver),
            Some(_) if self.adopt == Adopt::Any || words.adopt == Permission::Allowed => {
                Ok(Treatment::Adopt)
            }
            Some(other) => Err(Failure::environment(format!(
                "the object belongs to {other}; take it out there (without deleting it), or let Belay have it by the annotation \
                 belay.dev/adopt: Allowed or by apply.adopt: Any"
            ))
            .at(object.place())),
        }
    }
}
