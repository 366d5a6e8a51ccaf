//! Text in a ConfigMap: readable while it is short, compressed when it is not.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};

use crate::Result;

const PLAIN: &str = "inventory.json";
const COMPRESSED: &str = "inventory.json.gz";

/// Texts up to this size are readable.
const PLAIN_BYTES: usize = 64 << 10;

/// Longest text that is read.
const LIMIT_BYTES: u64 = 64 << 20;

/// Puts `json` into `map`.
pub(super) fn put(map: &mut ConfigMap, json: String) -> Result<()> {
    if json.len() <= PLAIN_BYTES {
        map.data = Some([(PLAIN.to_owned(), json)].into());
        return Ok(());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(json.as_bytes())?;
    let bytes = ByteString(encoder.finish()?);
    map.binary_data = Some([(COMPRESSED.to_owned(), bytes)].into());
    Ok(())
}

/// What [`put`] put there.
pub(super) fn take(map: ConfigMap) -> Result<String, String> {
    if let Some(json) = map.data.and_then(|mut data| data.remove(PLAIN)) {
        return Ok(json);
    }
    let bytes = map
        .binary_data
        .and_then(|mut data| data.remove(COMPRESSED))
        .ok_or_else(|| damaged(&"it is empty"))?;
    let mut json = String::new();
    GzDecoder::new(bytes.0.as_slice())
        .take(LIMIT_BYTES)
        .read_to_string(&mut json)
        .map_err(|error| damaged(&error))?;
    Ok(json)
}

/// What is said about something that can't be read.
pub(super) fn damaged(error: &dyn std::fmt::Display) -> String {
    format!(
        "the inventory can't be read ({error}); restore it, or delete it to give its objects up"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_readable_and_long_ones_compressed() {
        for (bytes, compressed) in [(100, false), (1 << 20, true)] {
            let text = "x".repeat(bytes);
            let mut map = ConfigMap::default();
            put(&mut map, text.clone()).unwrap();
            assert_eq!(map.binary_data.is_some(), compressed);
            assert_eq!(take(map).unwrap(), text);
        }
        assert!(take(ConfigMap::default()).unwrap_err().contains("restore"));
    }
}
