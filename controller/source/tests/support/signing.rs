//! Keys made by the real `gpg` and `ssh-keygen`, and commits and tags signed with them.
#![allow(dead_code, unreachable_pub, reason = "a module of test binaries")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use belay_source::TrustedKeys;
use tempfile::TempDir;

use crate::support::Origin;

/// Whether the programs are there; a test that is left out says so.
pub fn can_sign() -> bool {
    let missing: Vec<&str> = ["gpg", "ssh-keygen"]
        .into_iter()
        .filter(|program| {
            let run = Command::new(program).arg("--version").output();
            run.is_err()
        })
        .collect();
    if !missing.is_empty() {
        eprintln!("LEFT OUT: signatures can't be tested without {missing:?}");
    }
    missing.is_empty()
}

/// A signer's secret keys.
pub struct Signer {
    folder: TempDir,
}

impl Signer {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("gnupg");
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .create(&home)
            .unwrap();
        let signer = Self { folder };
        signer.run(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", "key"],
        );
        signer
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: &str, args: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path());
        run(command.env("GNUPGHOME", self.path("gnupg")))
    }

    fn gpg(&self, args: &[&str]) -> String {
        let quiet = [
            "--batch",
            "--quiet",
            "--no-tty",
            "--passphrase",
            "",
            "--pinentry-mode",
            "loopback",
        ];
        self.run("gpg", &[&quiet, args].concat())
    }

    /// Makes a PGP key that is valid for `validity`, as gpg writes it (`0` is for ever).
    pub fn make_pgp(&self, name: &str, validity: &str) {
        let user = format!("{name} <{name}@example.com>");
        self.gpg(&["--quick-generate-key", &user, "ed25519", "sign", validity]);
    }

    /// The same, made and used at another time.
    pub fn make_pgp_at(&self, time: &str, name: &str, validity: &str) {
        let user = format!("{name} <{name}@example.com>");
        self.gpg(&[
            "--faked-system-time",
            time,
            "--quick-generate-key",
            &user,
            "ed25519",
            "sign",
            validity,
        ]);
    }

    pub fn fingerprint(&self, name: &str) -> String {
        let listed = self.gpg(&[
            "--with-colons",
            "--list-keys",
            &format!("{name}@example.com"),
        ]);
        let line = listed
            .lines()
            .find(|line| line.starts_with("fpr:"))
            .unwrap();
        line.trim_end_matches(':')
            .rsplit(':')
            .next()
            .unwrap()
            .to_owned()
    }

    pub fn pgp_public(&self, name: &str) -> String {
        self.gpg(&["--armor", "--export", &format!("{name}@example.com")])
    }

    /// Revokes a key of this signer's.
    pub fn revoke(&self, name: &str) {
        let file = format!("gnupg/openpgp-revocs.d/{}.rev", self.fingerprint(name));
        let text = std::fs::read_to_string(self.path(&file)).unwrap();
        // A colon keeps the certificate from being used by mistake.
        let usable = text.replace(":-----BEGIN", "-----BEGIN");
        std::fs::write(self.path("revocation"), usable).unwrap();
        self.gpg(&["--import", "revocation"]);
    }

    pub fn ssh_public(&self) -> String {
        std::fs::read_to_string(self.path("key.pub")).unwrap()
    }

    pub fn ssh_fingerprint(&self) -> String {
        let line = self.run("ssh-keygen", &["-l", "-f", "key.pub"]);
        line.split(' ').nth(1).unwrap().to_owned()
    }

    /// Runs git in the repository with options that make it sign by SSH.
    pub fn git_ssh(&self, origin: &Origin, args: &[&str]) {
        let key = format!("user.signingKey={}", self.path("key").display());
        let options = ["-c", "gpg.format=ssh", "-c", &key];
        self.git(origin, &[&options, args].concat());
    }

    /// Runs git in the repository with options that make it sign by PGP.
    pub fn git_pgp(&self, origin: &Origin, name: &str, args: &[&str]) {
        let key = format!("user.signingKey={name}@example.com");
        self.git(origin, &[&["-c", &*key], args].concat());
    }

    fn git(&self, origin: &Origin, args: &[&str]) {
        let mut command = Command::new("git");
        command.args(args).current_dir(origin.path());
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GNUPGHOME", self.path("gnupg"));
        run(&mut command);
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        // The agent that gpg started for signing.
        let _ = Command::new("gpgconf")
            .args(["--kill", "all"])
            .env("GNUPGHOME", self.path("gnupg"))
            .status();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Keys as a Secret named `shop/keys` holds them.
pub fn keys(entries: &[(&str, &str)]) -> TrustedKeys {
    let entries = entries.iter().map(|(name, text)| (*name, text.as_bytes()));
    TrustedKeys::parse("Secret shop/keys", entries).unwrap()
}

/// Command lines of all processes that name this folder.
pub fn processes_about(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}
