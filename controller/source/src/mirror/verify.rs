//! Checking signatures: `git verify-commit` and `git verify-tag`, which run `gpg` or `ssh-keygen`.
//!
//! Invariant: every check has a folder of its own with nothing in it but the given public keys and the programs' settings; it is gone
//! afterwards. `gpg` starts no other program and uses no network. What is checked is the very object that the copy holds under the id
//! that is followed; a tag object must also name this commit and carry its reference's name.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use super::Mirror;
use crate::git::{Call, Extra, Side, Tool, words};
use crate::reference::Candidate;
use crate::signature::{Format, Signed, Verdict, of_pgp, of_ssh};
use crate::{
    KeyKind, Oid, Repository, Signature, SignaturePolicy, SignedObject, SourceError, TrustedKeys,
};

/// Results kept.
const ACCEPTED: usize = 64;
/// Read by every run of gpg.
const GPG_SETTINGS: &str = "batch\nno-tty\nno-autostart\nno-auto-key-retrieve\nno-auto-key-import\nauto-key-locate clear,nodefault\n\
                            disable-dirmngr\ntrust-model always\nno-greeting\n";

/// Signatures that were accepted.
#[derive(Debug, Default)]
pub(super) struct Accepted(Mutex<Known>);

/// By the fingerprint of what was checked.
#[derive(Debug, Default)]
struct Known {
    results: BTreeMap<String, Vec<Signature>>,
    /// Oldest first.
    order: VecDeque<String>,
}

impl Accepted {
    fn get(&self, check: &str) -> Option<Vec<Signature>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.results.get(check).cloned()
    }

    fn put(&self, check: String, found: &[Signature]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = known
            .results
            .insert(check.clone(), found.to_vec())
            .is_none();
        if is_new {
            known.order.push_back(check);
        }
        if known.order.len() > ACCEPTED
            && let Some(oldest) = known.order.pop_front()
        {
            known.results.remove(&oldest);
        }
    }
}

/// What is being checked.
struct Subject<'a> {
    object: SignedObject,
    id: &'a Oid,
    /// For messages.
    name: String,
}

impl Mirror {
    /// Checks the signatures that `policy` asks for. The commit is in the copy.
    pub(crate) async fn verify(
        &self,
        repository: &Repository,
        candidate: &Candidate,
        policy: &SignaturePolicy,
    ) -> Result<Vec<Signature>, SourceError> {
        let check = policy.fingerprint(candidate);
        if let Some(found) = self.accepted.get(&check) {
            return Ok(found);
        }
        let mut subjects = Vec::new();
        if policy.mode.wants_tag() {
            subjects.push(self.tag(repository, candidate).await?);
        }
        if policy.mode.wants_commit() {
            subjects.push(Subject {
                object: SignedObject::Commit,
                id: &candidate.commit,
                name: format!("commit {}", candidate.commit),
            });
        }
        let mut desk: Option<Desk> = None;
        let mut found = Vec::new();
        for subject in &subjects {
            let kind = self
                .kind(repository, candidate, subject, &policy.keys)
                .await?;
            let desk = match &desk {
                Some(desk) => desk,
                None => desk.insert(self.desk(repository, &policy.keys).await?),
            };
            found.push(
                self.check_one(repository, subject, kind, desk, &policy.keys)
                    .await?,
            );
        }
        self.accepted.put(check, &found);
        Ok(found)
    }

    /// Brings the tag object into the copy.
    async fn tag<'a>(
        &self,
        repository: &Repository,
        candidate: &'a Candidate,
    ) -> Result<Subject<'a>, SourceError> {
        let name = candidate.reference.to_string();
        let (Some(id), Some(full_name)) = (&candidate.tag, candidate.reference.full_name()) else {
            return Err(unverified(
                &name,
                "it is no tag object, so it can't be signed; make it with git tag --sign",
            ));
        };
        let _alone = self.alone().await?;
        let present = self
            .local(repository, &["cat-file", "-e", id.as_str()])
            .await;
        if present.is_err() {
            let keep = format!("refs/belay/tag/{id}");
            let shallow = ["--depth=1", "--filter=blob:none"];
            let by_id = self
                .fetch(repository, &shallow, &[format!("+{id}:{keep}")])
                .await;
            match by_id {
                Err(SourceError::RefNotFound { .. }) => {
                    self.fetch(repository, &shallow, &[format!("+{full_name}:{keep}")])
                        .await?;
                }
                result => result?,
            }
        }
        Ok(Subject {
            object: SignedObject::Tag,
            id,
            name,
        })
    }

    /// The kind of key that can check the signature, if it has one that can be checked.
    async fn kind(
        &self,
        repository: &Repository,
        candidate: &Candidate,
        subject: &Subject<'_>,
        keys: &TrustedKeys,
    ) -> Result<(KeyKind, Option<String>), SourceError> {
        let (kind, sign) = match subject.object {
            SignedObject::Commit => ("commit", "git commit --gpg-sign"),
            SignedObject::Tag => ("tag", "git tag --sign"),
        };
        let object = {
            let _shared = self.shared().await?;
            self.local(repository, &["cat-file", kind, subject.id.as_str()])
                .await?
        };
        let signed = match subject.object {
            SignedObject::Commit => Signed::commit(&object),
            SignedObject::Tag => Signed::tag(&object),
        };
        if let Some((id, kind, name)) = &signed.tag {
            let is_this = kind == "commit" && id == candidate.commit.as_str();
            if !is_this || Some(name.as_str()) != candidate.reference.tag_name() {
                return Err(unverified(
                    &subject.name,
                    "its tag object is about another commit or carries another name; sign a tag of this name for this commit",
                ));
            }
        }
        let (kind, key) = match signed.format {
            Format::Pgp => (KeyKind::Pgp, None),
            Format::Ssh(key) => (KeyKind::Ssh, key),
            Format::Unsigned => {
                let why = format!(
                    "it is not signed; sign it ({sign}) with a key of {}",
                    keys.identity()
                );
                return Err(unverified(&subject.name, why));
            }
            Format::X509 => {
                return Err(unverified(
                    &subject.name,
                    "it is signed by an X.509 certificate, which is not supported; sign it with a PGP or SSH key",
                ));
            }
        };
        if !keys.has(kind) {
            let key = key.map(|key| format!(" {key}")).unwrap_or_default();
            let why = format!(
                "it is signed with the {kind} key{key}, and {} holds no {kind} key; add the public key, or sign with a key of the Secret",
                keys.identity()
            );
            return Err(unverified(&subject.name, why));
        }
        Ok((kind, key))
    }

    async fn check_one(
        &self,
        repository: &Repository,
        subject: &Subject<'_>,
        (kind, key): (KeyKind, Option<String>),
        desk: &Desk,
        keys: &TrustedKeys,
    ) -> Result<Signature, SourceError> {
        let command = match subject.object {
            SignedObject::Commit => "verify-commit",
            SignedObject::Tag => "verify-tag",
        };
        let finished = {
            let _shared = self.shared().await?;
            let call = Call {
                args: words(&[command, "--raw", "--", subject.id.as_str()]),
                extra: desk.extra(self),
                ..self.call(repository, Side::Copy)
            };
            self.git.finish(call).await?
        };
        let is_success = finished.status.success();
        let verdict = match kind {
            KeyKind::Pgp => of_pgp(is_success, &finished.stderr),
            KeyKind::Ssh => of_ssh(is_success, &finished.stderr, key.as_deref()),
        };
        if !is_success && cannot_run(&finished.stderr) {
            return Err(missing_program(self, kind));
        }
        let secret = keys.identity();
        let (key, why) = match verdict {
            Verdict::Good { key, signer } => {
                return Ok(Signature {
                    object: subject.object,
                    kind,
                    key,
                    signer,
                });
            }
            Verdict::Unknown { key } => (
                key,
                format!(
                    "which is not in {secret}; add its public key there, or sign with a key that is"
                ),
            ),
            Verdict::Expired { key } => (
                key,
                format!(
                    "which has expired; put its renewed public key into {secret}, or sign with a valid key"
                ),
            ),
            Verdict::Revoked { key } => (key, "which is revoked; sign with a valid key".to_owned()),
            Verdict::Bad { key } if keys.revoked().is_some() && kind == KeyKind::Ssh => (
                key,
                format!(
                    "and the signature does not fit, or the key is among revoked_keys of {secret}; sign anew with a valid key"
                ),
            ),
            Verdict::Bad { key } => (key, "and the signature does not fit; sign anew".to_owned()),
        };
        Err(unverified(
            &subject.name,
            format!("it is signed with the {kind} key {key}, {why}"),
        ))
    }

    async fn desk(&self, repository: &Repository, keys: &TrustedKeys) -> Result<Desk, SourceError> {
        let desk = Desk(self.git.folder()?);
        desk.lay_out(keys).map_err(SourceError::cache)?;
        if keys.has(KeyKind::Pgp) {
            self.import(repository, &desk, keys).await?;
        }
        Ok(desk)
    }

    async fn import(
        &self,
        repository: &Repository,
        desk: &Desk,
        keys: &TrustedKeys,
    ) -> Result<(), SourceError> {
        let tool = Tool {
            operation: "reading the public keys for",
            program: &self.programs.gpg,
            args: &["--quiet", "--import"],
            env: desk.environment(),
            directory: desk.0.path(),
            stdin: keys.pgp().as_bytes().to_vec(),
        };
        let finished = self.git.tool(tool, repository).await?;
        if finished.status.success() {
            return Ok(());
        }
        Err(SourceError::refused(
            format!("verifying with {}", keys.identity()),
            "gpg can't read one of its .asc keys; export it anew with gpg --armor --export",
        ))
    }
}

/// A folder for one check, in the mode 0700.
struct Desk(TempDir);

impl Desk {
    fn lay_out(&self, keys: &TrustedKeys) -> std::io::Result<()> {
        let folder = self.0.path();
        for name in ["gnupg", "tmp"] {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(folder.join(name))?;
        }
        std::fs::write(folder.join("gnupg/gpg.conf"), GPG_SETTINGS)?;
        // Newer versions would keep keys in a daemon where this file is missing.
        std::fs::write(folder.join("gnupg/common.conf"), "")?;
        std::fs::write(folder.join("allowed_signers"), keys.ssh())?;
        match keys.revoked() {
            Some(revoked) => std::fs::write(folder.join("revoked_keys"), revoked),
            None => Ok(()),
        }
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let folder = self.0.path();
        let place = |name: &str| folder.join(name).into_os_string();
        vec![
            ("HOME".into(), folder.as_os_str().to_owned()),
            ("GNUPGHOME".into(), place("gnupg")),
            ("TMPDIR".into(), place("tmp")),
        ]
    }

    fn extra(&self, mirror: &Mirror) -> Extra {
        let place = |name: &str| self.0.path().join(name);
        let entry = |name: &str, value: &Path| (name.to_owned(), value.as_os_str().to_owned());
        let mut configuration = vec![
            entry("gpg.program", &mirror.programs.gpg),
            entry("gpg.openpgp.program", &mirror.programs.gpg),
            entry("gpg.x509.program", Path::new("/bin/false")),
            entry("gpg.ssh.program", &mirror.programs.ssh_keygen),
            entry("gpg.ssh.allowedSignersFile", &place("allowed_signers")),
        ];
        if place("revoked_keys").exists() {
            configuration.push(entry("gpg.ssh.revocationFile", &place("revoked_keys")));
        }
        Extra {
            env: self.environment(),
            configuration,
        }
    }
}

/// Whether git said that it can't start the program. What the program itself says never begins so.
fn cannot_run(complaint: &str) -> bool {
    let mut lines = complaint.lines();
    lines.any(|line| {
        line.starts_with("fatal: cannot run ") || line.starts_with("error: cannot run ")
    })
}

fn missing_program(mirror: &Mirror, kind: KeyKind) -> SourceError {
    let program = match kind {
        KeyKind::Pgp => &mirror.programs.gpg,
        KeyKind::Ssh => &mirror.programs.ssh_keygen,
    };
    SourceError::ProgramMissing {
        program: program.display().to_string(),
        detail: "git can't run it".to_owned(),
    }
}

fn unverified(what: &str, why: impl Into<String>) -> SourceError {
    SourceError::Unverified {
        what: what.to_owned(),
        why: why.into(),
    }
}
