//! Keys of age.

use std::fmt;
use std::sync::Arc;

use crate::SourceError;

const IDENTITY: &str = "AGE-SECRET-KEY-";
/// Keys in one Secret.
const KEYS: usize = 64;

/// Keys that encrypted files are opened with. `Debug` shows none.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Decryption {
    identities: Arc<str>,
}

impl Decryption {
    /// The keys in texts as `age-keygen` writes them: one on a line, and comments. Refuses anything else, such as keys of plugins,
    /// which would be programs to start.
    pub fn age<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, SourceError> {
        let mut identities = Vec::new();
        let lines = texts.into_iter().flat_map(str::lines).map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let is_identity = line.starts_with(IDENTITY)
                && line
                    .bytes()
                    .all(|letter| letter.is_ascii_alphanumeric() || letter == b'-');
            if !is_identity || identities.len() >= KEYS {
                return Err(SourceError::refused(
                    "a key for decryption",
                    "store what age-keygen writes: lines that begin with AGE-SECRET-KEY-, and comments",
                ));
            }
            identities.push(line);
        }
        if identities.is_empty() {
            return Err(SourceError::refused(
                "a Secret without a key for decryption",
                "store what age-keygen writes: lines that begin with AGE-SECRET-KEY-, and comments",
            ));
        }
        Ok(Self {
            identities: identities.join("\n").into(),
        })
    }

    pub(super) fn identities(&self) -> &str {
        &self.identities
    }
}

impl fmt::Debug for Decryption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Decryption").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_what_age_keygen_writes_and_never_shown() {
        let text = "# created: today\n# public key: age1x\nAGE-SECRET-KEY-1ABC\r\n";
        let keys = Decryption::age([text, "AGE-SECRET-KEY-1DEF"]).unwrap();
        assert_eq!(
            keys.identities(),
            "AGE-SECRET-KEY-1ABC\nAGE-SECRET-KEY-1DEF"
        );
        assert!(!format!("{keys:?}").contains("ABC"));
        for text in [
            "",
            "# nothing",
            "AGE-PLUGIN-X-1HUSH",
            "hush",
            "AGE-SECRET-KEY-1 hush",
        ] {
            let error = Decryption::age([text]).unwrap_err().to_string();
            assert!(!error.to_lowercase().contains("hush"), "{error}");
        }
    }
}
