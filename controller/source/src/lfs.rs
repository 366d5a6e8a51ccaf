//! Files whose content lies in Git LFS, brought in where they are read.
//!
//! Invariant: what takes a pointer's place has the size and the SHA-256 that the pointer names, which are parts of the
//! commit. The server asked is the repository's own: nothing that a repository says of LFS servers is looked at. The
//! limits on files hold, and hold before anything is fetched.

mod pointer;

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::checkout::Checkout;
use crate::settings::FileLimits;
use crate::text::hex;
use crate::{Repository, SourceError};
pub(crate) use pointer::{Pointer, is_pointer};

/// Files in LFS that one render reads.
const COUNT: usize = 100;

/// What is done with pointers to Git LFS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LfsMode {
    /// They are refused where they are read.
    #[default]
    Refuse,
    /// What they point to is fetched where they are read.
    Fetch,
}

/// Files by their paths in the repository.
type Files = BTreeMap<String, Vec<u8>>;

/// Puts their contents in the place of pointers among the files that are read, where the checkout says so. What can't be understood
/// stays, and is refused as a pointer.
pub(crate) async fn resolve(
    checkout: &Checkout,
    files: &mut Files,
    is_read: impl Fn(&str) -> bool,
) -> Result<(), SourceError> {
    if checkout.lfs_mode() == LfsMode::Refuse {
        return Ok(());
    }
    let pointers: Vec<(String, Pointer)> = files
        .iter()
        .filter(|(file, content)| is_read(file) && is_pointer(content))
        .filter_map(|(file, content)| Some((file.clone(), Pointer::parse(content)?)))
        .collect();
    admit(&pointers, files, checkout.limits())?;
    let mut known: BTreeMap<Pointer, Vec<u8>> = BTreeMap::new();
    for (file, pointer) in pointers {
        if !known.contains_key(&pointer) {
            let content = fetch(checkout, &file, &pointer).await;
            let content = content.map_err(|error| SourceError::LargeFile {
                file: file.clone(),
                error: Box::new(error),
            })?;
            known.insert(pointer.clone(), content);
        }
        if let Some(content) = known.get(&pointer) {
            files.insert(file, content.clone());
        }
    }
    Ok(())
}

/// Refuses what would be too much, before anything is fetched.
fn admit(
    pointers: &[(String, Pointer)],
    files: &Files,
    limits: FileLimits,
) -> Result<(), SourceError> {
    let too_large = |what: String, limit: String| Err(SourceError::TooLarge { what, limit });
    if pointers.len() > COUNT {
        let what = "the number of files in Git LFS".to_owned();
        return too_large(what, COUNT.to_string());
    }
    let large = |(_, pointer): &&(String, Pointer)| pointer.bytes() > limits.file_bytes;
    if let Some((file, _)) = pointers.iter().find(large) {
        let limit = format!("{} KiB", limits.file_bytes >> 10);
        return too_large(format!("the file {file} in Git LFS"), limit);
    }
    let here = files.values().map(|content| content.len() as u64);
    let there = pointers.iter().map(|(_, pointer)| pointer.bytes());
    if here.chain(there).fold(0, u64::saturating_add) > limits.total_bytes {
        let limit = format!("{} KiB", limits.total_bytes >> 10);
        return too_large(
            "the files together, with those in Git LFS,".to_owned(),
            limit,
        );
    }
    Ok(())
}

async fn fetch(checkout: &Checkout, file: &str, pointer: &Pointer) -> Result<Vec<u8>, SourceError> {
    let places = checkout.locate(&[file.to_owned()]).await?;
    let owner = places.into_iter().next().and_then(|place| place.owner);
    let owner = owner.as_ref().unwrap_or(checkout);
    let content = owner.mirror().large_file(owner.repository(), pointer);
    let content = content.await?;
    let is_whole = content.len() as u64 == pointer.bytes()
        && hex(Sha256::digest(&content)) == pointer.digest();
    if is_whole {
        return Ok(content);
    }
    Err(other_content(owner.repository()))
}

/// The server gave something else.
pub(crate) fn other_content(repository: &Repository) -> SourceError {
    SourceError::refused(
        format!("what the LFS server of {} sent", repository.url()),
        "it is not what the pointer names; push the file again",
    )
}
