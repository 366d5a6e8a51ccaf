//! What a commit's `.gitmodules` says, read by git's own parser.
//!
//! Invariant: the file is given to git on its standard input, with inclusion of other files off, so nothing in it makes
//! git read or run anything.

use super::{EntryKind, Mirror};
use crate::git::{Call, Side, words};
use crate::{Oid, Repository, SourceError};

/// The file's name, at the root of a commit.
const NAME: &str = ".gitmodules";
const LIMIT_BYTES: u64 = 256 << 10;

impl Mirror {
    /// The settings as `key`, line break, value, each ended by a zero byte; nothing when the commit has no such file.
    pub(crate) async fn gitmodules(
        &self,
        repository: &Repository,
        commit: &Oid,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let root = self.root(repository, commit).await?;
        let Some(entry) = self.entry(repository, &root, NAME).await? else {
            return Ok(None);
        };
        // Git itself follows no link here.
        if entry.kind != EntryKind::File {
            return Err(refused("it is no file; commit it as one"));
        }
        let ids = [entry.id];
        let sizes = self.sizes(repository, &ids).await?;
        let bytes = sizes.values().copied().next().unwrap_or(u64::MAX);
        if bytes > LIMIT_BYTES {
            return Err(SourceError::TooLarge {
                what: NAME.to_owned(),
                limit: format!("{} KiB", LIMIT_BYTES >> 10),
            });
        }
        let contents = self.contents(repository, &ids, bytes).await?;
        let content = contents.into_values().next().unwrap_or_default();
        self.settings(repository, content).await.map(Some)
    }

    async fn settings(
        &self,
        repository: &Repository,
        content: Vec<u8>,
    ) -> Result<Vec<u8>, SourceError> {
        let args = ["config", "--no-includes", "--null", "--file", "-", "--list"];
        let call = Call {
            git_dir: None,
            args: words(&args),
            stdin: content,
            ..self.call(repository, Side::Copy)
        };
        let finished = self.git.finish(call).await?;
        if finished.status.success() {
            return Ok(finished.stdout);
        }
        Err(refused("git can't read it; correct its syntax"))
    }
}

fn refused(why: &str) -> SourceError {
    SourceError::SubmoduleRefused {
        what: NAME.to_owned(),
        why: why.to_owned(),
    }
}
