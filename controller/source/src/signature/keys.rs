//! The keys whose signatures count.
//!
//! Invariant: what is written into the files that `ssh-keygen` reads was taken apart and put together anew, save for
//! `allowed_signers`, whose notation is the program's own.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::KeyKind;
use crate::SourceError;
use crate::text::{hex, lines};

/// Bytes of all keys together.
const TOTAL_BYTES: usize = 1 << 20;
const ARMOR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// A set of public keys, with the name of where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKeys {
    identity: Arc<str>,
    pgp: Arc<str>,
    ssh: Arc<str>,
    revoked: Option<Arc<[u8]>>,
    fingerprint: Arc<str>,
}

impl TrustedKeys {
    /// Reads the entries of a Secret: `*.asc` are armored PGP keys, `*.pub` SSH keys in OpenSSH's notation, `allowed_signers` SSH keys as
    /// `ssh-keygen` takes them, `revoked_keys` SSH keys (or a KRL) that count no more. Other entries are left alone.
    ///
    /// `identity` names where they come from, for messages.
    pub fn parse<'a>(
        identity: &str,
        entries: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, SourceError> {
        let (mut pgp, mut ssh, mut revoked, mut total) = (String::new(), String::new(), None, 0);
        let mut hash = Sha256::new();
        for (name, bytes) in entries {
            let refuse = |instead: &str| refused(identity, name, instead);
            let text = || {
                std::str::from_utf8(bytes)
                    .map_err(|_| refuse("it is not text; store the key armored"))
            };
            let extension = name.rsplit_once('.').map(|(_, extension)| extension);
            match (name, extension) {
                ("allowed_signers", _) => push_lines(&mut ssh, text()?),
                ("revoked_keys", _) => revoked = Some(Arc::from(bytes)),
                (_, Some("asc")) => push_lines(&mut pgp, pgp_key(text()?).map_err(refuse)?),
                (_, Some("pub")) => ssh.push_str(&ssh_keys(name, text()?).map_err(refuse)?),
                _ => continue,
            }
            total += bytes.len();
            if total > TOTAL_BYTES {
                return Err(refuse("the keys are larger than 1 MiB; take some out"));
            }
            hash.update(format!("{name}\0{}\0", bytes.len()));
            hash.update(bytes);
        }
        if pgp.is_empty() && ssh.trim().is_empty() {
            return Err(SourceError::refused(
                format!("verifying with {identity}"),
                "it holds no public key; put PGP keys under names ending in .asc, SSH keys under names ending in .pub or under allowed_signers",
            ));
        }
        Ok(Self {
            identity: identity.into(),
            pgp: pgp.into(),
            ssh: ssh.into(),
            revoked,
            fingerprint: hex(hash.finalize()).into(),
        })
    }

    /// Where they come from.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether there is a key of this kind.
    pub(crate) fn has(&self, kind: KeyKind) -> bool {
        match kind {
            KeyKind::Pgp => !self.pgp.is_empty(),
            KeyKind::Ssh => !self.ssh.is_empty(),
        }
    }

    /// Armored PGP keys.
    pub(crate) fn pgp(&self) -> &str {
        &self.pgp
    }

    /// SSH keys as an `allowed_signers` file.
    pub(crate) fn ssh(&self) -> &str {
        &self.ssh
    }

    /// SSH keys that count no more, as a file of `ssh-keygen`.
    pub(crate) fn revoked(&self) -> Option<&[u8]> {
        self.revoked.as_deref()
    }

    /// Equal for equal sets.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn refused(identity: &str, name: &str, instead: &str) -> SourceError {
    SourceError::refused(format!("{name} of {identity}"), instead)
}

fn push_lines(all: &mut String, text: &str) {
    all.push_str(text.trim_end());
    all.push('\n');
}

fn pgp_key(text: &str) -> Result<&str, &'static str> {
    if text.contains("PRIVATE KEY BLOCK") {
        return Err("it holds a private key; only public keys belong here");
    }
    if !text.contains(ARMOR) {
        return Err("it holds no armored PGP public key; export it with gpg --armor --export");
    }
    Ok(text)
}

/// Lines of an `allowed_signers` file. The signer is the entry's name without `.pub`.
fn ssh_keys(name: &str, text: &str) -> Result<String, &'static str> {
    let signer = name.strip_suffix(".pub").unwrap_or(name);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if signer.is_empty() || !signer.chars().all(is_plain) {
        return Err(
            "its name is no plain word; write letters, digits, dots, dashes and underscores",
        );
    }
    let mut signers = Vec::new();
    let keys = text.lines().map(str::trim);
    for key in keys.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = key.split_whitespace();
        let (kind, encoded) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        if !is_key(kind, encoded) {
            return Err(
                "it is no public key in OpenSSH's notation; write for example ssh-ed25519 AAAA…",
            );
        }
        signers.push(format!("{signer} namespaces=\"git\" {kind} {encoded}"));
    }
    if signers.is_empty() {
        return Err("it is empty; put a public key into it, or take it out");
    }
    Ok(lines(signers))
}

/// Whether the encoded key says of itself that it is of this kind.
fn is_key(kind: &str, encoded: &str) -> bool {
    let Ok(blob) = STANDARD.decode(encoded) else {
        return false;
    };
    let length = u32::try_from(kind.len()).unwrap_or(u32::MAX).to_be_bytes();
    !kind.is_empty() && blob.starts_with(&[&length, kind.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ+0Z5xXbOBrNLfCnXyhpc2Kp4SKgyQ9ZQBNoOYK8p5d ada@laptop";

    fn parse(entries: &[(&str, &str)]) -> Result<TrustedKeys, SourceError> {
        let entries = entries.iter().map(|(name, text)| (*name, text.as_bytes()));
        TrustedKeys::parse("Secret shop/keys", entries)
    }

    #[test]
    fn keys_are_told_apart_by_their_names() {
        let armored = format!("{ARMOR}\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----");
        let keys = parse(&[("ada.pub", KEY), ("bob.asc", &armored), ("note.txt", "hi")]).unwrap();
        assert!(keys.has(KeyKind::Pgp) && keys.has(KeyKind::Ssh));
        let (kind, rest) = KEY.split_once(' ').unwrap();
        let encoded = rest.split(' ').next().unwrap();
        assert_eq!(
            keys.ssh(),
            format!("ada namespaces=\"git\" {kind} {encoded}\n")
        );
        // A note beside the keys makes no other set.
        let same = parse(&[("ada.pub", KEY), ("bob.asc", &armored)]).unwrap();
        assert_eq!(keys.fingerprint(), same.fingerprint());
        assert_ne!(
            keys.fingerprint(),
            parse(&[("ada.pub", KEY)]).unwrap().fingerprint()
        );
    }

    #[test]
    fn what_is_no_public_key_is_refused_by_name_and_not_repeated() {
        let options = format!("cert-authority {KEY}");
        for (name, text) in [
            ("ada.pub", "hush-hush"),
            ("ada.pub", ""),
            ("ada.pub", &options),
            ("ada.pub", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJ+0"),
            ("*.pub", KEY),
            ("ada.asc", "hush-hush"),
            (
                "ada.asc",
                "-----BEGIN PGP PRIVATE KEY BLOCK-----\nhush-hush",
            ),
        ] {
            let error = parse(&[(name, text)]).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("Secret shop/keys"),
                "{error}"
            );
            assert!(!error.contains("hush-hush"), "{error}");
        }
        let error = parse(&[("note", "x")]).unwrap_err().to_string();
        assert!(error.contains("no public key"), "{error}");
    }
}
