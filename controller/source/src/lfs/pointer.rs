//! What stands in Git for a file that lies in LFS.
//!
//! Invariant: a [`Pointer`] holds 64 digits and a number, so it can be written for a program as it is.

/// How a pointer begins.
const BEGINNING: &[u8] = b"version https://git-lfs";
const VERSION: &str = "version https://git-lfs.github.com/spec/v1";
/// No pointer is longer.
const LIMIT_BYTES: usize = 1024;

/// Digest and size of a file in LFS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pointer {
    digest: String,
    bytes: u64,
}

/// Whether a file is a pointer, readable or not.
pub(crate) fn is_pointer(content: &[u8]) -> bool {
    content.starts_with(BEGINNING)
}

impl Pointer {
    /// Reads a pointer. One with extensions, which name programs to run, is none here.
    pub(crate) fn parse(content: &[u8]) -> Option<Self> {
        let text = Some(content)
            .filter(|content| content.len() <= LIMIT_BYTES)
            .and_then(|content| std::str::from_utf8(content).ok())?;
        let mut lines = text.lines();
        let (version, digest, size) = (lines.next()?, lines.next()?, lines.next()?);
        let digest = digest.strip_prefix("oid sha256:")?;
        let is_digest = digest.len() == 64
            && digest
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if version != VERSION || !is_digest || lines.next().is_some() {
            return None;
        }
        Some(Self {
            digest: digest.to_owned(),
            bytes: size.strip_prefix("size ")?.parse().ok()?,
        })
    }

    /// SHA-256 of the content, in hexadecimal digits.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// Size of the content.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// As it stands in Git.
    pub(crate) fn text(&self) -> String {
        let Self { digest, bytes } = self;
        format!("{VERSION}\noid sha256:{digest}\nsize {bytes}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_pointers_are_read() {
        let digest = "a".repeat(64);
        let plain = format!("{VERSION}\noid sha256:{digest}\nsize 5\n");
        let pointer = Pointer::parse(plain.as_bytes()).unwrap();
        assert_eq!((pointer.bytes(), pointer.text()), (5, plain));
        for text in [
            format!("{VERSION}\next-0-evil sha256:{digest}\noid sha256:{digest}\nsize 5\n"),
            format!("{VERSION}\noid sha256:{digest}\nsize -5\n"),
            format!("{VERSION}\noid sha256:../../{digest}\nsize 5\n"),
            format!("{VERSION}\noid sha256:{digest}\nsize 5\nmore\n"),
            format!("{VERSION}\noid md5:{digest}\nsize 5\n"),
            format!("version https://git-lfs.example.com/v9\noid sha256:{digest}\nsize 5\n"),
        ] {
            assert!(is_pointer(text.as_bytes()), "{text}");
            assert_eq!(Pointer::parse(text.as_bytes()), None, "{text}");
        }
    }
}
