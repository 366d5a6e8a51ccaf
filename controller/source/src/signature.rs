//! Whose signatures on commits and tags are accepted, and what a check found.
//!
//! Invariant: a signature counts only when the program that checks it says so *and* names a key that was given here; a key that is
//! missing, expired or revoked never counts. Left out: signatures by X.509 certificates, and keys from anywhere but the given set.

mod judge;
mod keys;
mod object;

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::reference::Candidate;
use crate::text::hex;

pub(crate) use judge::{Verdict, of_pgp, of_ssh};
pub use keys::TrustedKeys;
pub(crate) use object::{Format, Signed};

/// What must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureMode {
    /// The commit.
    Head,
    /// The tag that led to the commit.
    Tag,
    /// Both.
    TagAndHead,
}

impl SignatureMode {
    pub(crate) const fn wants_commit(self) -> bool {
        matches!(self, Self::Head | Self::TagAndHead)
    }

    pub(crate) const fn wants_tag(self) -> bool {
        matches!(self, Self::Tag | Self::TagAndHead)
    }
}

/// What must be signed, and by whose keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignaturePolicy {
    /// What must be signed.
    pub mode: SignatureMode,
    /// The keys that count.
    pub keys: TrustedKeys,
}

impl SignaturePolicy {
    /// Equal for checks that must have the same result.
    pub(crate) fn fingerprint(&self, candidate: &Candidate) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{:?}\0{}\0", self.mode, self.keys.fingerprint()));
        hash.update(candidate.commit.as_str());
        if self.mode.wants_tag() {
            let tag = candidate.tag.as_ref().map_or("", |tag| tag.as_str());
            hash.update(format!("\0{tag}\0{}", candidate.reference));
        }
        hex(hash.finalize())
    }
}

/// What carries a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignedObject {
    /// A commit.
    Commit,
    /// An annotated tag.
    Tag,
}

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// PGP, checked by `gpg`.
    Pgp,
    /// SSH, checked by `ssh-keygen`.
    Ssh,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Pgp => "PGP",
            Self::Ssh => "SSH",
        })
    }
}

/// A signature that was checked and accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What carries it.
    pub object: SignedObject,
    /// The kind of the key.
    pub kind: KeyKind,
    /// The key's fingerprint: that of the primary key (PGP), or `SHA256:…` (SSH).
    pub key: String,
    /// Whose key it is: a user id (PGP), or the name under which it was given (SSH). Shortened, without control characters.
    pub signer: String,
}
