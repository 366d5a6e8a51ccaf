//! A private key for a Git server over SSH, and what `ssh` is told about it.
//!
//! Invariant: `ssh` reads no file but those written here for one run (and the key is never on a command line or in a configuration of
//! git's); it trusts no host that is not in `known_hosts`, asks nobody, talks to no agent and forwards nothing. The passphrase of an
//! encrypted key is in the environment of that run, and given out for the question for a passphrase alone.

use std::ffi::OsString;
use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::SourceError;

/// Run by `git` through a shell, so it holds no word from outside.
const COMMAND: &str = r#"exec "$BELAY_SSH_PROGRAM" -F "$BELAY_SSH_CONFIGURATION""#;
const ASKPASS: &str = "#!/bin/sh\n\
    # Answers ssh's question for the passphrase of a key, and nothing else.\n\
    case \"$1\" in\n\
    'Enter passphrase for '*) printf '%s\\n' \"$BELAY_SSH_PASSPHRASE\" ;;\n\
    *) exit 1 ;;\n\
    esac\n";
/// Everything that `ssh` could take from elsewhere is said here.
const SETTINGS: &str = "\
    IdentitiesOnly yes\n\
    IdentityAgent none\n\
    AddKeysToAgent no\n\
    GlobalKnownHostsFile /dev/null\n\
    StrictHostKeyChecking yes\n\
    UpdateHostKeys no\n\
    CheckHostIP no\n\
    VerifyHostKeyDNS no\n\
    PreferredAuthentications publickey\n\
    PubkeyAuthentication yes\n\
    PasswordAuthentication no\n\
    KbdInteractiveAuthentication no\n\
    GSSAPIAuthentication no\n\
    HostbasedAuthentication no\n\
    NumberOfPasswordPrompts 1\n\
    ForwardAgent no\n\
    ForwardX11 no\n\
    ClearAllForwardings yes\n\
    PermitLocalCommand no\n\
    ProxyCommand none\n\
    ControlMaster no\n\
    ControlPath none\n\
    CanonicalizeHostname no\n\
    RequestTTY no\n\
    EscapeChar none\n\
    ConnectionAttempts 1\n\
    ConnectTimeout 15\n\
    ServerAliveInterval 10\n\
    ServerAliveCountMax 3\n\
    LogLevel ERROR\n";

/// A private key and the servers that it may be used with. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SshKey {
    private_key: String,
    passphrase: Option<String>,
    known_hosts: String,
}

/// Programs for SSH.
#[derive(Debug)]
pub(crate) struct SshPrograms {
    pub(crate) ssh: PathBuf,
    pub(crate) askpass: PathBuf,
}

impl SshKey {
    pub(crate) fn new(
        private_key: &str,
        passphrase: Option<&str>,
        known_hosts: &str,
    ) -> Result<Self, SourceError> {
        let refuse = |what: &str, instead: &str| Err(SourceError::refused(what, instead));
        if !is_private_key(private_key) {
            return refuse(
                "the SSH key",
                "it is no private key in PEM; put the whole file (-----BEGIN … PRIVATE KEY----- to -----END …) into the Secret",
            );
        }
        if passphrase.is_none() && is_encrypted(private_key) {
            return refuse(
                "the SSH key",
                "it is encrypted; put its passphrase into the Secret under password",
            );
        }
        let hosts = known_hosts.lines().map(str::trim);
        let count = hosts
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .count();
        if count == 0 {
            return refuse(
                "the SSH key",
                "known_hosts is missing, so any server could pose as this one; put the server's host keys into the Secret under \
                 known_hosts (from ssh-keyscan, compared with what the server's owner publishes)",
            );
        }
        Ok(Self {
            private_key: lines_of(private_key),
            passphrase: passphrase.map(str::to_owned),
            known_hosts: lines_of(known_hosts),
        })
    }

    /// Whether a passphrase opens it.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.passphrase.is_some()
    }

    /// What must not be shown.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.passphrase.iter().cloned().collect()
    }

    /// Writes the files for one run into `folder`, and gives the environment that makes git use them.
    pub(crate) fn lay_out(
        &self,
        folder: &Path,
        programs: &SshPrograms,
    ) -> Result<Vec<(OsString, OsString)>, SourceError> {
        let place = |name: &str| folder.join(name);
        write_private(&place("identity"), &self.private_key)?;
        write_private(&place("known_hosts"), &self.known_hosts)?;
        let batch = if self.passphrase.is_none() {
            "yes"
        } else {
            "no"
        };
        let configuration = format!(
            "IdentityFile {}\nUserKnownHostsFile {}\nBatchMode {batch}\n{SETTINGS}",
            quoted(&place("identity"))?,
            quoted(&place("known_hosts"))?,
        );
        write_private(&place("configuration"), &configuration)?;
        let mut env: Vec<(OsString, OsString)> = vec![
            ("GIT_SSH_COMMAND".into(), COMMAND.into()),
            ("GIT_SSH_VARIANT".into(), "ssh".into()),
            ("BELAY_SSH_PROGRAM".into(), programs.ssh.clone().into()),
            (
                "BELAY_SSH_CONFIGURATION".into(),
                place("configuration").into(),
            ),
        ];
        if let Some(passphrase) = &self.passphrase {
            env.push(("SSH_ASKPASS".into(), programs.askpass.clone().into()));
            env.push(("SSH_ASKPASS_REQUIRE".into(), "force".into()));
            env.push(("BELAY_SSH_PASSPHRASE".into(), passphrase.into()));
        }
        Ok(env)
    }
}

impl SshPrograms {
    /// Writes the program that answers the question for a passphrase. It holds no secret.
    pub(crate) fn new(ssh: PathBuf, cache: &Path) -> Result<Self, SourceError> {
        let askpass = cache.join("askpass");
        let is_there = std::fs::read(&askpass).is_ok_and(|text| text == ASKPASS.as_bytes());
        if !is_there {
            std::fs::write(&askpass, ASKPASS).map_err(SourceError::cache)?;
        }
        std::fs::set_permissions(&askpass, Permissions::from_mode(0o700))
            .map_err(SourceError::cache)?;
        Ok(Self { ssh, askpass })
    }
}

/// Writes a file that only this user may read, as `ssh` wants it.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), SourceError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(SourceError::cache)?;
    file.write_all(text.as_bytes()).map_err(SourceError::cache)
}

/// With Unix line ends and one at the end: `ssh` takes no other key.
fn lines_of(text: &str) -> String {
    let mut lines = text.trim().replace("\r\n", "\n");
    lines.push('\n');
    lines
}

/// A path as a value of ssh's configuration.
fn quoted(path: &Path) -> Result<String, SourceError> {
    let text = path.to_string_lossy();
    if text.contains(['"', '\\', '$']) || text.chars().any(char::is_control) {
        return Err(SourceError::cache(
            "its path holds a quotation mark, $ or \\",
        ));
    }
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

fn is_private_key(text: &str) -> bool {
    let first = text.trim().lines().next().unwrap_or_default().trim();
    first.starts_with("-----BEGIN ") && first.ends_with("PRIVATE KEY-----")
}

/// Whether the key needs a passphrase: by its PEM head, or by the name of the cipher in OpenSSH's own format.
fn is_encrypted(text: &str) -> bool {
    if text.contains("ENCRYPTED") {
        return true;
    }
    let encoded: String = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('-'))
        .collect();
    let Ok(blob) = STANDARD.decode(encoded) else {
        return false;
    };
    let Some(rest) = blob.strip_prefix(b"openssh-key-v1\0") else {
        return false;
    };
    !rest.starts_with(b"\0\0\0\x04none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openssh(cipher: &str) -> String {
        let length = u32::try_from(cipher.len()).unwrap().to_be_bytes();
        let blob = [b"openssh-key-v1\0", &length[..], cipher.as_bytes(), b"more"].concat();
        let encoded = STANDARD.encode(blob);
        format!(
            "-----BEGIN OPENSSH PRIVATE KEY-----\r\n{encoded}\r\n-----END OPENSSH PRIVATE KEY-----"
        )
    }

    const HOSTS: &str = "git.example.com ssh-ed25519 AAAA";

    fn refusal(key: &str, passphrase: Option<&str>, hosts: &str) -> String {
        SshKey::new(key, passphrase, hosts)
            .err()
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_key_needs_known_hosts_and_if_encrypted_its_passphrase() {
        assert!(SshKey::new(&openssh("none"), None, HOSTS).is_ok());
        assert!(SshKey::new(&openssh("aes256-ctr"), Some("hush"), HOSTS).is_ok());
        assert!(refusal(&openssh("aes256-ctr"), None, HOSTS).contains("encrypted"));
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        assert!(refusal(old, None, HOSTS).contains("encrypted"));
        for hosts in ["", "\n# none yet\n"] {
            assert!(refusal(&openssh("none"), None, hosts).contains("known_hosts"));
        }
        let error = refusal("ssh-ed25519 hush-hush", None, HOSTS);
        assert!(error.contains("no private key") && !error.contains("hush-hush"));
    }

    #[test]
    fn what_ssh_reads_is_for_this_user_alone_and_ends_with_a_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let programs = SshPrograms::new("ssh".into(), folder.path()).unwrap();
        let key = SshKey::new(&openssh("aes256-ctr"), Some("hush-hush"), HOSTS).unwrap();
        let env = key.lay_out(folder.path(), &programs).unwrap();
        for name in ["identity", "known_hosts", "configuration"] {
            let path = folder.path().join(name);
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name}");
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.ends_with('\n') && !text.contains('\r') && !text.contains("hush-hush"));
        }
        let command = env
            .iter()
            .find(|(name, _)| name == "GIT_SSH_COMMAND")
            .unwrap();
        assert_eq!(command.1, COMMAND);
    }
}
