//! From a tar archive to commands for `git fast-import`.

use std::collections::BTreeSet;
use std::io::Read;

use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

use crate::text::one_line;
use crate::{Oid, RepoPath, SourceError};

/// Files, directories and links in one artifact.
const ENTRIES: usize = 20_000;
/// Size of all files of one artifact together.
const TOTAL_BYTES: u64 = 64 << 20;
/// What an archive may be unpacked to, with its own bookkeeping. A small file that unpacks to something huge ends here.
const STREAM_BYTES: u64 = 96 << 20;
const LINK_BYTES: usize = 4096;
const PATH_BYTES: usize = 1024;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Appends what the archive holds to `stream`.
pub(super) fn unpack(digest: &Oid, layer: &[u8], stream: &mut Vec<u8>) -> Result<(), SourceError> {
    if layer.starts_with(&ZSTD) {
        return Err(refused(
            digest,
            "is packed with zstd; push it packed with gzip, or not packed",
        ));
    }
    let mut unpacking = Unpacking {
        digest,
        stream,
        files: BTreeSet::new(),
        directories: BTreeSet::new(),
        total: 0,
    };
    if layer.starts_with(&GZIP) {
        unpacking.archive(GzDecoder::new(layer))
    } else {
        unpacking.archive(layer)
    }
}

struct Unpacking<'a> {
    digest: &'a Oid,
    stream: &'a mut Vec<u8>,
    files: BTreeSet<String>,
    /// What some file is below.
    directories: BTreeSet<String>,
    total: u64,
}

impl Unpacking<'_> {
    fn archive(&mut self, packed: impl Read) -> Result<(), SourceError> {
        let mut archive = Archive::new(packed.take(STREAM_BYTES));
        let entries = archive.entries().map_err(|_| self.unreadable())?;
        for (index, entry) in entries.enumerate() {
            if index >= ENTRIES {
                return Err(self.too_large(&format!("{ENTRIES} files and directories")));
            }
            let entry = entry.map_err(|_| self.unreadable())?;
            self.take(entry)?;
        }
        Ok(())
    }

    fn take(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), SourceError> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let path = self.path(&entry.path_bytes())?;
        match kind {
            EntryType::Directory => Ok(()),
            EntryType::Regular | EntryType::Continuous => {
                let is_program = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
                self.enter(&path)?;
                self.file(&path, if is_program { "100755" } else { "100644" }, &mut entry)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                if target.is_empty() || target.len() > LINK_BYTES || target.contains(&0) {
                    return Err(self.refused(&format!(
                        "has a symbolic link {path:?} that leads nowhere; pack the file itself"
                    )));
                }
                self.enter(&path)?;
                self.record(&path, "120000", &target);
                Ok(())
            }
            EntryType::Link => Err(self.refused(&format!(
                "has a hard link {path:?}; pack the file itself (tar --hard-dereference)"
            ))),
            _ => Err(self.refused(&format!(
                "has something at {path:?} that is no file, directory or symbolic link; leave it out"
            ))),
        }
    }

    /// The path below the artifact's root.
    fn path(&self, raw: &[u8]) -> Result<String, SourceError> {
        let path = std::str::from_utf8(raw)
            .ok()
            .filter(|text| text.len() <= PATH_BYTES)
            .and_then(|text| RepoPath::parse(text).ok());
        path.map(|path| path.as_str().to_owned()).ok_or_else(|| {
            let shown = one_line(&String::from_utf8_lossy(raw), 120);
            self.refused(&format!(
                "has a name that is refused, {shown:?}: names are relative, short, and UTF-8 without control characters, .. and .git"
            ))
        })
    }

    /// Notes a file or link: two of one name, or one that is a directory too, would leave open what is meant.
    fn enter(&mut self, path: &str) -> Result<(), SourceError> {
        let mut is_known = path.is_empty()
            || self.directories.contains(path)
            || !self.files.insert(path.to_owned());
        for (end, _) in path.match_indices('/') {
            let above = path.get(..end).unwrap_or_default();
            is_known |= self.files.contains(above);
            if !self.directories.contains(above) {
                self.directories.insert(above.to_owned());
            }
        }
        if is_known {
            return Err(self.refused(&format!("has {path:?} twice; pack it once")));
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &str,
        mode: &str,
        entry: &mut Entry<'_, impl Read>,
    ) -> Result<(), SourceError> {
        self.total = self.total.saturating_add(entry.size());
        if self.total > TOTAL_BYTES {
            return Err(self.too_large(&format!("{} MiB", TOTAL_BYTES >> 20)));
        }
        let mut bytes = Vec::new();
        let whole = entry.size();
        let read = entry.take(TOTAL_BYTES).read_to_end(&mut bytes);
        if !read.is_ok_and(|length| u64::try_from(length) == Ok(whole)) {
            return Err(self.unreadable());
        }
        self.record(path, mode, &bytes);
        Ok(())
    }

    fn record(&mut self, path: &str, mode: &str, content: &[u8]) {
        let quoted = path.replace('\\', "\\\\").replace('"', "\\\"");
        let head = format!("M {mode} inline \"{quoted}\"\ndata {}\n", content.len());
        self.stream.extend_from_slice(head.as_bytes());
        self.stream.extend_from_slice(content);
        self.stream.push(b'\n');
    }

    fn refused(&self, why: &str) -> SourceError {
        refused(self.digest, why)
    }

    fn unreadable(&self) -> SourceError {
        self.refused(
            "holds no tar archive, or a damaged one, or one that is too large once unpacked; push it anew",
        )
    }

    fn too_large(&self, limit: &str) -> SourceError {
        SourceError::TooLarge {
            what: format!("the artifact sha256:{}", self.digest),
            limit: limit.to_owned(),
        }
    }
}

fn refused(digest: &Oid, why: &str) -> SourceError {
    SourceError::Artifact {
        digest: digest.to_string(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests;
