//! What a commit or a tag object says of its signature, before any program checks it.
//!
//! Invariant: nothing here makes a signature count; it only tells which kind of key would have to check it, and what a tag is about.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const PGP: &str = "-----BEGIN PGP SIGNATURE-----";
const PGP_OLD: &str = "-----BEGIN PGP MESSAGE-----";
const SSH: &str = "-----BEGIN SSH SIGNATURE-----";
const X509: &str = "-----BEGIN SIGNED MESSAGE-----";

/// How an object is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    Unsigned,
    Pgp,
    /// With the fingerprint of the key that the signature names, as far as it can be read.
    Ssh(Option<String>),
    X509,
}

/// A commit or tag object, as far as its signature is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) format: Format,
    /// What a tag object names: the object's id, its kind, and its own name.
    pub(crate) tag: Option<(String, String, String)>,
}

impl Signed {
    /// Reads a commit object.
    pub(crate) fn commit(object: &[u8]) -> Self {
        let text = String::from_utf8_lossy(object);
        let head = text.split("\n\n").next().unwrap_or_default();
        let mut signature = String::new();
        let mut inside = false;
        for line in head.lines() {
            if let Some(first) = line
                .strip_prefix("gpgsig ")
                .or(line.strip_prefix("gpgsig-sha256 "))
            {
                inside = true;
                signature.push_str(first);
                signature.push('\n');
            } else if inside && line.starts_with(' ') {
                signature.push_str(line.trim_start_matches(' '));
                signature.push('\n');
            } else {
                inside = false;
            }
        }
        Self {
            format: format(&signature),
            tag: None,
        }
    }

    /// Reads a tag object.
    pub(crate) fn tag(object: &[u8]) -> Self {
        let text = String::from_utf8_lossy(object);
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let field = |name: &str| {
            let value = head.lines().find_map(|line| line.strip_prefix(name));
            value.unwrap_or_default().trim_start().to_owned()
        };
        let start = [PGP, PGP_OLD, SSH, X509]
            .iter()
            .filter_map(|mark| body.rfind(mark))
            .max();
        Self {
            format: format(
                start
                    .and_then(|start| body.get(start..))
                    .unwrap_or_default(),
            ),
            tag: Some((field("object "), field("type "), field("tag "))),
        }
    }
}

fn format(signature: &str) -> Format {
    match signature.lines().next().map(str::trim_end) {
        Some(PGP | PGP_OLD) => Format::Pgp,
        Some(SSH) => Format::Ssh(ssh_key(signature)),
        Some(X509) => Format::X509,
        _ => Format::Unsigned,
    }
}

/// The fingerprint of the key inside an SSH signature (`SSHSIG`, a version, then the key with its length).
fn ssh_key(signature: &str) -> Option<String> {
    let encoded: String = signature
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('-'))
        .map(str::trim)
        .collect();
    let blob = STANDARD.decode(encoded).ok()?;
    let rest = blob.strip_prefix(b"SSHSIG")?.get(4..)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let key = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let digest = STANDARD.encode(Sha256::digest(key));
    Some(format!("SHA256:{}", digest.trim_end_matches('=')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commits_signature_is_found_in_its_head_only() {
        let head = "tree a\nauthor A <a@x> 1 +0000";
        let signed =
            format!("{head}\ngpgsig {PGP}\n \n abc\n -----END PGP SIGNATURE-----\n\nHello\n");
        assert_eq!(Signed::commit(signed.as_bytes()).format, Format::Pgp);
        // A message that looks like a signature is none.
        let pasted = format!("{head}\n\ngpgsig {PGP}\n");
        assert_eq!(Signed::commit(pasted.as_bytes()).format, Format::Unsigned);
        let x509 = format!("{head}\ngpgsig {X509}\n abc\n\nHello\n");
        assert_eq!(Signed::commit(x509.as_bytes()).format, Format::X509);
    }

    #[test]
    fn a_tag_says_what_it_is_about() {
        let tag = format!("object abc\ntype commit\ntag v1\ntagger A\n\nOne\n{SSH}\nU1NIU0lH\n");
        let signed = Signed::tag(tag.as_bytes());
        assert_eq!(signed.format, Format::Ssh(None));
        assert_eq!(
            signed.tag,
            Some(("abc".into(), "commit".into(), "v1".into()))
        );
    }
}
