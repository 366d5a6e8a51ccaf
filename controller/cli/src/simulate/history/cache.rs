//! Answers on disk, so that a simulation that was ended goes on where it was.
//!
//! Invariant: a file is a whole answer; it is written aside and renamed. What may still change (the last minutes) is not kept. Names are digests: the folder tells
//! neither queries nor addresses.

use std::{
    fmt::Write as _,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use sha2::{Digest as _, Sha256};

use super::chunks::Chunk;

/// Answers about times younger than this are not kept: samples may still arrive.
const SETTLED_AFTER_MILLISECONDS: i64 = 10 * 60 * 1000;

/// Files that nobody has read for so long are removed.
const KEPT_FOR: Duration = Duration::from_hours(24 * 30);

/// Largest answer that is read back.
const MOST_BYTES: u64 = 1 << 30;

/// A folder of answers of one server.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    /// What tells servers and tenants apart; without credentials.
    server: String,
    now: i64,
}

impl Cache {
    /// Opens the folder; makes it where it is missing.
    pub(super) fn open(folder: PathBuf, server: String, now: i64) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        sweep(&folder);
        Ok(Self {
            folder,
            server,
            now,
        })
    }

    /// A kept answer. One that can't be read is as good as none.
    pub(super) fn get(&self, query: &str, chunk: Chunk) -> Option<Vec<u8>> {
        let file = std::fs::File::open(self.path(query, chunk)).ok()?;
        // A time of use keeps the file from being swept; a folder that can't be written to is still a cache.
        let _ = file.set_modified(SystemTime::now());
        let mut body = Vec::new();
        GzDecoder::new(file)
            .take(MOST_BYTES)
            .read_to_end(&mut body)
            .ok()?;
        Some(body)
    }

    /// Keeps an answer.
    pub(super) fn put(&self, query: &str, chunk: Chunk, body: &[u8]) -> io::Result<()> {
        if chunk.end > self.now - SETTLED_AFTER_MILLISECONDS {
            return Ok(());
        }
        let mut aside = tempfile::NamedTempFile::new_in(&self.folder)?;
        let mut packed = GzEncoder::new(&mut aside, Compression::fast());
        packed.write_all(body)?;
        packed.finish()?;
        aside
            .persist(self.path(query, chunk))
            .map_err(|error| error.error)?;
        Ok(())
    }

    fn path(&self, query: &str, chunk: Chunk) -> PathBuf {
        let mut digest = Sha256::new();
        for part in [self.server.as_str(), query] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        for number in [chunk.start, chunk.end, chunk.step] {
            digest.update(number.to_le_bytes());
        }
        let mut name = String::new();
        for byte in digest.finalize() {
            // Writing into a string does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        self.folder.join(format!("{name}.json.gz"))
    }
}

/// Removes what was not used for a long time, and what interrupted runs left. A leftover that can't be removed costs disk space only.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = name.ends_with(".json.gz") || name.starts_with(".tmp");
        let age = entry
            .metadata()
            .and_then(|facts| facts.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if ours && age.is_some_and(|age| age > KEPT_FOR) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The folder when none is named, by the XDG rules.
pub(super) fn default_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))?;
    Some(base.join("belay").join("simulate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: Chunk = Chunk {
        start: 0,
        end: 1000,
        step: 10,
    };

    #[test]
    fn an_answer_is_found_by_server_query_and_times_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache =
            |server: &str| Cache::open(folder.path().into(), server.into(), 1 << 40).unwrap();
        cache("a").put("up", CHUNK, b"answer").unwrap();
        assert_eq!(cache("a").get("up", CHUNK).unwrap(), b"answer");
        assert_eq!(cache("b").get("up", CHUNK), None);
        assert_eq!(cache("a").get("down", CHUNK), None);
        let other = Chunk { end: 1010, ..CHUNK };
        assert_eq!(cache("a").get("up", other), None);
    }

    #[test]
    fn what_may_still_change_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().into(), "a".into(), 1000).unwrap();
        cache.put("up", CHUNK, b"answer").unwrap();
        assert_eq!(cache.get("up", CHUNK), None);
    }

    #[test]
    fn a_torn_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().into(), "a".into(), 1 << 40).unwrap();
        cache.put("up", CHUNK, b"answer").unwrap();
        std::fs::write(cache.path("up", CHUNK), b"\x1f\x8b").unwrap();
        assert_eq!(cache.get("up", CHUNK), None);
    }
}
