//! Objects as few bytes, for keeping verified renders in Secrets.
//!
//! Invariant: the same objects always give the same bytes, so an unchanged render causes no write; and reading back is
//! bounded, whatever the bytes are.

use std::io::{Read as _, Write as _};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use serde_json::Value;

use crate::render::canonical;

/// How much of a pack goes into one Secret. Kubernetes takes 1 MiB of values; names and labels need some room as well.
pub const SECRET_CHUNK_BYTES: usize = 900 << 10;

/// Size of unpacked objects, as JSON.
const UNPACKED_BYTES: u64 = 128 << 20;

/// Failure to pack or unpack objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// Writing compressed data failed.
    #[error("the render can't be compressed: {0}")]
    Compress(String),
    /// The data is not a pack, or was cut or changed.
    #[error(
        "the stored render can't be read: {0}; it is ignored, and stored anew after the next verification"
    )]
    Damaged(String),
    /// The data unpacks to more than any render may have.
    #[error("the stored render unpacks to more than {} MiB and is ignored", UNPACKED_BYTES >> 20)]
    TooLarge,
}

/// Compresses objects; the same objects give the same bytes.
pub fn pack<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Result<Vec<u8>, PackError> {
    let mut json = String::new();
    canonical::write_list(&mut json, objects);
    // No time stamp, and "unknown" (255) as operating system: neither may make two packs differ.
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), Compression::new(6));
    let written = encoder
        .write_all(json.as_bytes())
        .and_then(|()| encoder.finish());
    written.map_err(|error| PackError::Compress(error.to_string()))
}

/// Reads what [`pack`] wrote.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Value>, PackError> {
    let mut json = Vec::new();
    let read = GzDecoder::new(bytes)
        .take(UNPACKED_BYTES + 1)
        .read_to_end(&mut json);
    read.map_err(|error| PackError::Damaged(error.to_string()))?;
    if u64::try_from(json.len()).unwrap_or(u64::MAX) > UNPACKED_BYTES {
        return Err(PackError::TooLarge);
    }
    // serde_json's own text may quote the data, so only the place is told.
    let describe = |error: serde_json::Error| {
        PackError::Damaged(format!("not valid JSON in column {}", error.column()))
    };
    serde_json::from_slice(&json).map_err(describe)
}

/// Cuts a pack into pieces that fit a Secret each ([`SECRET_CHUNK_BYTES`]). Joined in order they are the pack again.
pub fn chunks(pack: &[u8]) -> impl Iterator<Item = &[u8]> {
    pack.chunks(SECRET_CHUNK_BYTES)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packing_is_deterministic_and_reversible() {
        let one = [json!({"b": 1, "a": {"y": [1.5, "ü\u{1f600}\u{7f}\n"], "x": null}})];
        let other: Vec<Value> = vec![
            serde_json::from_str(r#"{"a":{"x":null,"y":[1.5,"ü😀\u007f\n"]},"b":1}"#).unwrap(),
        ];
        let packed = pack(&one).unwrap();
        assert_eq!(packed, pack(&other).unwrap());
        assert_eq!(unpack(&packed).unwrap(), one);
    }

    #[test]
    fn damage_and_bombs_are_errors() {
        let packed = pack(&[json!({"a": "hush-hush"})]).unwrap();
        assert!(matches!(
            unpack(&packed[..packed.len() - 4]),
            Err(PackError::Damaged(_))
        ));
        assert!(matches!(unpack(b"not gzip"), Err(PackError::Damaged(_))));
        let mut bomb = GzBuilder::new().write(Vec::new(), Compression::new(9));
        let zeros = vec![0_u8; 1 << 20];
        for _ in 0..130 {
            bomb.write_all(&zeros).unwrap();
        }
        assert_eq!(unpack(&bomb.finish().unwrap()), Err(PackError::TooLarge));
    }

    #[test]
    fn pieces_fit_a_secret_and_join_again() {
        let large = vec![7_u8; 2_000_000];
        let pieces: Vec<&[u8]> = chunks(&large).collect();
        assert!(pieces.len() == 3 && pieces.iter().all(|piece| piece.len() <= SECRET_CHUNK_BYTES));
        assert_eq!(pieces.concat(), large);
    }
}
