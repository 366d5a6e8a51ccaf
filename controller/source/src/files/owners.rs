//! The repositories that the files of one render lie in: the commit's own, and those of its submodules.
//!
//! Invariant: an object is only ever asked of the checkout it was found in. Equal ids mean equal content wherever it is.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::checkout::Checkout;
use crate::{Oid, SourceError};

/// A file's content by its id, and the number of its checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) owner: usize,
    pub(super) id: Oid,
}

/// Checkouts by their numbers. The first is the one that was asked.
#[derive(Debug)]
pub(super) struct Owners {
    own: Checkout,
    submodules: Vec<Checkout>,
}

/// Ids by the numbers of their checkouts.
pub(super) type Blobs = BTreeMap<usize, HashSet<Oid>>;

pub(super) fn by_owner<'a>(found: impl Iterator<Item = &'a Blob>) -> Blobs {
    let mut blobs = Blobs::new();
    for Blob { owner, id } in found {
        blobs.entry(*owner).or_default().insert(id.clone());
    }
    blobs
}

impl Owners {
    pub(super) fn new(checkout: &Checkout) -> Self {
        Self {
            own: checkout.clone(),
            submodules: Vec::new(),
        }
    }

    /// The number of a checkout; none is the one that was asked.
    pub(super) fn number(&mut self, owner: Option<Checkout>) -> usize {
        let Some(owner) = owner.filter(|owner| !is_same(owner, &self.own)) else {
            return 0;
        };
        let known = self.submodules.iter().position(|one| is_same(one, &owner));
        let place = known.unwrap_or_else(|| {
            self.submodules.push(owner);
            self.submodules.len() - 1
        });
        place + 1
    }

    pub(super) fn get(&self, number: usize) -> &Checkout {
        let submodule = number
            .checked_sub(1)
            .and_then(|place| self.submodules.get(place));
        submodule.unwrap_or(&self.own)
    }

    pub(super) async fn sizes(&self, blobs: &Blobs) -> Result<HashMap<Oid, u64>, SourceError> {
        let mut sizes = HashMap::new();
        for (owner, ids) in blobs {
            let owner = self.get(*owner);
            let ids: Vec<Oid> = ids.iter().cloned().collect();
            sizes.extend(owner.mirror().sizes(owner.repository(), &ids).await?);
        }
        Ok(sizes)
    }

    /// The contents, of which no repository has more than `total_bytes`.
    pub(super) async fn contents(
        &self,
        blobs: &Blobs,
        total_bytes: u64,
    ) -> Result<HashMap<Oid, Vec<u8>>, SourceError> {
        let mut contents = HashMap::new();
        for (owner, ids) in blobs {
            let owner = self.get(*owner);
            let ids: Vec<Oid> = ids.iter().cloned().collect();
            let read = owner
                .mirror()
                .contents(owner.repository(), &ids, total_bytes);
            contents.extend(read.await?);
        }
        Ok(contents)
    }
}

/// Whether both read one commit of one local copy.
fn is_same(one: &Checkout, other: &Checkout) -> bool {
    one.commit() == other.commit() && std::ptr::eq(one.mirror(), other.mirror())
}
