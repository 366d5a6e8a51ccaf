//! Files that were packed and pushed to a registry, made fit for a local copy.
//!
//! Invariant: nothing is written to disk while unpacking, and nothing is taken that could mean another file than its name says. Regular
//! files and symbolic links stay, the latter for the same rules to judge that judge links of a commit; everything else refuses the
//! whole archive. Equal archives with equal subjects give equal bytes. Left out: asking a registry, and checking digests, which
//! whoever fetches does.

mod unpack;

use crate::text::one_line;
use crate::{Oid, SourceError};

/// Name and time of every artifact's commit, which are nobody's and no time's, so that equal files make equal commits.
const COMMITTER: &str = "committer belay <belay@localhost> 0 +0000";

/// The files of one artifact, as `git fast-import` reads them.
pub struct Artifact {
    digest: Oid,
    stream: Vec<u8>,
}

impl Artifact {
    /// Unpacks a tar archive, packed with gzip or not. `digest` is that of the artifact's manifest; `subject` says for people what it
    /// is. Takes as long as unpacking does: call it where that disturbs nobody.
    pub fn unpack(digest: Oid, layer: &[u8], subject: &str) -> Result<Self, SourceError> {
        let subject = one_line(subject, 256);
        let mut stream = format!(
            "commit {}\n{COMMITTER}\ndata {}\n{subject}\n",
            crate::mirror::keep_ref(&digest),
            subject.len()
        )
        .into_bytes();
        unpack::unpack(&digest, layer, &mut stream)?;
        stream.extend_from_slice(b"done\n");
        Ok(Self { digest, stream })
    }

    pub(crate) fn digest(&self) -> &Oid {
        &self.digest
    }

    pub(crate) fn stream(&self) -> &[u8] {
        &self.stream
    }
}

impl std::fmt::Debug for Artifact {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Artifact({})", self.digest)
    }
}
