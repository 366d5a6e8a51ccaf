//! Files that are encrypted with SOPS, opened before anything is made of them.
//!
//! Invariant: an encrypted file is opened whole, its MAC checked, or the render is refused; what is still encrypted never becomes an
//! object. The program gets the file by its standard input and the keys by its environment, in the [`sandbox`](super::sandbox):
//! nothing is written to disk here, and there is no network for key services. No error quotes a file or a key. Left out: keys other
//! than those of age, and plugins of age.

mod detect;
mod keys;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::sandbox::{BuildTool, Filter, Sandbox};
use super::{RenderError, Secrecy};

use detect::{Encrypted, Format};
pub use keys::Decryption;

/// SOPS, as the sandbox starts it.
pub(super) static TOOL: BuildTool = BuildTool {
    name: "sops",
    wanted: "sops 3.9 or newer",
    version: &["--version", "--disable-version-check"],
    homes: &["XDG_CACHE_HOME", "XDG_DATA_HOME"],
    failed: "DecryptionFailed",
};

/// Encrypted files in one render.
const FILES: usize = 256;

/// The beginning of every encrypted value.
const VALUE: &str = "ENC[AES256_GCM,";

/// What the program ends with when the MAC does not fit, and when no key does.
const MAC_MISMATCH: i32 = 51;
const NO_KEY: i32 = 128;

/// The sops program and its limits.
#[derive(Debug)]
pub(super) struct Sops {
    sandbox: Sandbox,
}

/// The program with the keys of one render.
pub(super) struct Opener<'a> {
    pub(super) sops: &'a Sops,
    pub(super) keys: Option<&'a Decryption>,
}

impl Sops {
    pub(super) fn new(sandbox: Sandbox) -> Self {
        Self { sandbox }
    }
}

impl Opener<'_> {
    /// Puts the content of encrypted files in their place, and names those files. Others than those that are read stay as they are.
    pub(super) async fn open(
        &self,
        files: &mut BTreeMap<String, Vec<u8>>,
        is_read: impl Fn(&str) -> bool,
    ) -> Result<BTreeSet<String>, RenderError> {
        let mut opened = BTreeSet::new();
        for (file, content) in files.iter_mut().filter(|(file, _)| is_read(file)) {
            let Some(encrypted) = detect::encrypted(file, content) else {
                continue;
            };
            if opened.len() >= FILES {
                return Err(RenderError::TooLarge {
                    what: "the number of encrypted files".to_owned(),
                    limit: FILES.to_string(),
                });
            }
            *content = self.one(file, content, encrypted).await?;
            opened.insert(file.clone());
        }
        Ok(opened)
    }

    async fn one(
        &self,
        file: &str,
        content: &[u8],
        encrypted: Encrypted,
    ) -> Result<Vec<u8>, RenderError> {
        let Some(keys) = self.keys else {
            return Err(refused(
                file,
                "a file encrypted with SOPS",
                "name the Secret with the age key under decryption.sops in the Release",
            ));
        };
        if let Some(others) = encrypted.without_age() {
            return Err(refused(
                file,
                &format!("a file encrypted for {others} and not for age"),
                "encrypt it for an age key: Belay asks no key service while rendering",
            ));
        }
        let format = encrypted.format.name();
        let filter = Filter {
            args: vec![
                "decrypt".to_owned(),
                format!("--input-type={format}"),
                format!("--output-type={format}"),
            ],
            env: vec![
                ("SOPS_AGE_KEY", keys.identities()),
                ("SOPS_DECRYPTION_ORDER", "age"),
            ],
            stdin: content.to_vec(),
        };
        let finished = self.sops.sandbox.filter(file, filter).await?;
        match finished.code {
            Some(0) if encrypted.format == Format::Json || !finished.stdout.is_empty() => {
                Ok(finished.stdout)
            }
            Some(MAC_MISMATCH) => Err(refused(
                file,
                "an encrypted file that was changed after its encryption (its MAC does not fit)",
                "change it with `sops edit`, or encrypt it anew",
            )),
            Some(NO_KEY) => Err(refused(
                file,
                "a file encrypted for other age keys than those of the Secret",
                "add this Release's recipient with `sops updatekeys`, or put the fitting key into the Secret",
            )),
            _ => Err(refused(
                file,
                "an encrypted file that sops can't open",
                "see what `sops decrypt` says of it; its words are not repeated here",
            )),
        }
    }
}

/// The secrecy of what comes from a file.
pub(super) fn secrecy_of(file: &str, opened: &BTreeSet<String>) -> Secrecy {
    if opened.contains(file) {
        Secrecy::Secret
    } else {
        Secrecy::Open
    }
}

/// The secrecy of what comes from all files.
pub(super) fn secrecy_of_all(opened: &BTreeSet<String>) -> Secrecy {
    if opened.is_empty() {
        Secrecy::Open
    } else {
        Secrecy::Secret
    }
}

/// Whether an object holds something that is still encrypted.
pub(super) fn is_encrypted(object: &Value) -> bool {
    match object {
        Value::String(text) => text.starts_with(VALUE),
        Value::Array(items) => items.iter().any(is_encrypted),
        Value::Object(fields) => fields.values().any(is_encrypted),
        _ => false,
    }
}

fn refused(file: &str, what: &str, instead: &str) -> RenderError {
    RenderError::refused(file, what, instead)
}
