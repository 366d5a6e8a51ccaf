//! Packed charts.
//!
//! Invariant: nothing is written to disk while unpacking; what comes out are regular files below one directory, within limits. A link,
//! a path that leaves the chart, or anything but files and directories refuses the whole archive.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};

use crate::RepoPath;
use crate::render::RenderError;
use crate::text::{hex, one_line};

/// Files and directories in one chart.
const ENTRIES: usize = 10_000;
const FILE_BYTES: u64 = 8 << 20;
const TOTAL_BYTES: u64 = 64 << 20;
/// What an archive may be unpacked to, with its own bookkeeping.
const STREAM_BYTES: u64 = 96 << 20;

/// A packed chart from elsewhere than the repository. Two are equal when their content is.
#[derive(Clone)]
pub struct ChartArchive {
    name: String,
    version: String,
    digest: String,
    bytes: Arc<[u8]>,
}

impl ChartArchive {
    /// The content of a `.tgz`; it is looked into when it is rendered.
    pub fn new(name: &str, version: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            digest: hex(Sha256::digest(bytes)),
            bytes: bytes.into(),
        }
    }

    /// SHA-256 of the content, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What it is called in messages.
    pub(super) fn label(&self) -> String {
        one_line(&format!("{}-{}", self.name, self.version), 120).replace(['/', ' '], "-")
    }

    /// Its files by their path below the chart.
    pub(super) fn unpack(&self) -> Result<BTreeMap<String, Vec<u8>>, RenderError> {
        let stream = GzDecoder::new(&*self.bytes).take(STREAM_BYTES);
        let mut archive = Archive::new(stream);
        let mut unpacking = Unpacking {
            label: self.label(),
            top: None,
            files: BTreeMap::new(),
            total: 0,
        };
        let entries = archive.entries().map_err(|_| unpacking.unreadable())?;
        for (index, entry) in entries.enumerate() {
            if index >= ENTRIES {
                return Err(unpacking.too_large(&format!("{ENTRIES} files")));
            }
            let mut entry = entry.map_err(|_| unpacking.unreadable())?;
            let path = entry.path_bytes().into_owned();
            let (kind, size) = (entry.header().entry_type(), entry.size());
            unpacking.take(kind, &path, size, &mut entry)?;
        }
        Ok(unpacking.files)
    }
}

struct Unpacking {
    label: String,
    /// The directory that all files are below.
    top: Option<String>,
    files: BTreeMap<String, Vec<u8>>,
    total: u64,
}

impl Unpacking {
    fn take(
        &mut self,
        kind: EntryType,
        path: &[u8],
        size: u64,
        content: &mut impl Read,
    ) -> Result<(), RenderError> {
        match kind {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory | EntryType::XGlobalHeader => return Ok(()),
            _ => return Err(self.refused("a link or a special file in a packed chart")),
        }
        let name = self.inside(path)?;
        self.total = self.total.saturating_add(size);
        if size > FILE_BYTES || self.total > TOTAL_BYTES {
            let limit = format!("{} MiB, {} MiB a file", TOTAL_BYTES >> 20, FILE_BYTES >> 20);
            return Err(self.too_large(&limit));
        }
        let mut bytes = Vec::new();
        content
            .take(FILE_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|_| self.unreadable())?;
        if self.files.insert(name, bytes).is_some() {
            return Err(self.refused("a file that is there twice in a packed chart"));
        }
        Ok(())
    }

    /// The path below the chart's directory.
    fn inside(&mut self, path: &[u8]) -> Result<String, RenderError> {
        let clean = std::str::from_utf8(path)
            .ok()
            .and_then(|text| RepoPath::parse(text).ok());
        let parts = clean
            .as_ref()
            .and_then(|path| path.as_str().split_once('/'));
        let Some((top, inside)) = parts else {
            return Err(self.refused("a path in a packed chart that leaves the chart's directory"));
        };
        if self.top.get_or_insert_with(|| top.to_owned()) != top {
            return Err(self.refused("a packed chart of several directories"));
        }
        Ok(inside.to_owned())
    }

    fn refused(&self, what: &str) -> RenderError {
        RenderError::refused(&self.label, what, "pack the chart anew with `helm package`")
    }

    fn unreadable(&self) -> RenderError {
        self.refused(
            "something that is no packed chart, is damaged, or is too large once unpacked,",
        )
    }

    fn too_large(&self, limit: &str) -> RenderError {
        RenderError::TooLarge {
            what: format!("the packed chart {}", self.label),
            limit: limit.to_owned(),
        }
    }
}

impl PartialEq for ChartArchive {
    fn eq(&self, other: &Self) -> bool {
        (&self.digest, &self.name, &self.version) == (&other.digest, &other.name, &other.version)
    }
}

impl Eq for ChartArchive {}

impl Hash for ChartArchive {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl fmt::Debug for ChartArchive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ChartArchive({}, {})", self.label(), self.digest)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use tar::{Builder, Header};

    use super::*;

    fn header(kind: EntryType, path: &str, size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size);
        // Written as it is: the checks of the library would refuse some of them.
        let field = &mut header.as_old_mut().name;
        field[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        header
    }

    fn packed(entries: &[(EntryType, &str, &[u8])]) -> ChartArchive {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (kind, path, content) in entries {
            let size = u64::try_from(content.len()).unwrap();
            builder
                .append(&header(*kind, path, size), *content)
                .unwrap();
        }
        let bytes = builder.into_inner().unwrap().finish().unwrap();
        ChartArchive::new("web", "1.0.0", &bytes)
    }

    #[test]
    fn files_of_a_chart_are_found_below_its_directory() {
        let archive = packed(&[
            (EntryType::Directory, "web/", b""),
            (EntryType::Regular, "web/Chart.yaml", b"name: web"),
            (EntryType::Regular, "web/templates/a.yaml", b"a"),
        ]);
        let files = archive.unpack().unwrap();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["Chart.yaml", "templates/a.yaml"]);
        assert_eq!(archive, archive.clone());
        assert!(!format!("{archive:?}").contains("name: web"));
    }

    #[test]
    fn links_and_paths_out_of_the_chart_are_refused() {
        for (kind, path) in [
            (EntryType::Symlink, "web/link"),
            (EntryType::Link, "web/link"),
            (EntryType::Fifo, "web/pipe"),
            (EntryType::Char, "web/device"),
            (EntryType::Regular, "web/../../etc/evil"),
            (EntryType::Regular, "/etc/evil"),
            (EntryType::Regular, "evil"),
            (EntryType::Regular, "other/evil"),
        ] {
            let archive = packed(&[
                (EntryType::Regular, "web/Chart.yaml", b"x"),
                (kind, path, b""),
            ]);
            assert_eq!(archive.unpack().unwrap_err().reason(), "Refused", "{path}");
        }
        let twice = packed(&[
            (EntryType::Regular, "web/a", b"x"),
            (EntryType::Regular, "web/./a", b"y"),
        ]);
        assert_eq!(twice.unpack().unwrap_err().reason(), "Refused");
    }

    #[test]
    fn bombs_and_damaged_archives_end_soon() {
        let zeros = vec![0; 9 << 20];
        let large = packed(&[(EntryType::Regular, "web/a", &zeros)]);
        assert!(large.len() < 1 << 20);
        assert_eq!(large.unpack().unwrap_err().reason(), "TooLarge");
        // Many files that fit one by one.
        let names: Vec<String> = (0..20).map(|index| format!("web/{index}")).collect();
        let many: Vec<_> = names
            .iter()
            .map(|name| (EntryType::Regular, name.as_str(), &zeros[..4 << 20]))
            .collect();
        assert_eq!(packed(&many).unpack().unwrap_err().reason(), "TooLarge");
        // A name that claims to be long, and a stream of nothing but zeros behind a header.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let long = header(EntryType::GNULongName, "././@LongLink", 1 << 32);
        encoder.write_all(long.as_bytes()).unwrap();
        for _ in 0..128 {
            encoder.write_all(&zeros[..1 << 20]).unwrap();
        }
        let bytes = encoder.finish().unwrap();
        let bomb = ChartArchive::new("web", "1.0.0", &bytes);
        assert!(bomb.unpack().is_err());
        let cut = &bytes[..bytes.len() / 2];
        assert!(ChartArchive::new("web", "1.0.0", cut).unpack().is_err());
        assert!(
            ChartArchive::new("web", "1.0.0", b"<html>")
                .unpack()
                .is_err()
        );
    }
}
