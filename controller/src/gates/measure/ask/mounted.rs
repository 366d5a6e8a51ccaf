//! Credentials for the controller's own Prometheus, from files that are mounted: a Secret as a volume.
//!
//! | file | what it is |
//! |---|---|
//! | `token` | sent as `Authorization: Bearer` |
//! | `username`, `password` | sent as `Authorization: Basic` |
//! | `headers` | further headers, one `Name: value` a line |
//! | `ca.crt` | authorities to trust in place of the system's, in PEM |
//! | `tls.crt`, `tls.key` | the client's own certificate and its key, in PEM |
//!
//! Invariant: they go to the address that the operator named, and to no other; a gate with credentials or headers of its own gets
//! none of them, so that nobody can ask with the operator's credentials and headers of his own choice.

use std::{
    collections::HashMap,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use belay_api::analysis::{
    SecretKey,
    http::{BasicAuth, CaSource, ClientCertificate, HttpAuth, HttpHeader, HttpTls},
};
use tokio::{io::AsyncReadExt as _, sync::Mutex, time::Instant};

use crate::gates::{
    probe::http::{HttpQuestion, Known},
    question::Server,
};

/// How long what was read is used before the files are looked at again.
const AGE: Duration = Duration::from_secs(10);

/// Largest file that is read.
const FILE_BYTES: u64 = 256 * 1024;

const TOKEN: &str = "token";
const USERNAME: &str = "username";
const PASSWORD: &str = "password";
const HEADERS: &str = "headers";
const CA: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// The folder, and what was last read from it.
#[derive(Default)]
pub(super) struct Mounted {
    folder: Option<PathBuf>,
    read: Mutex<Option<(Instant, Arc<Ready>)>>,
}

/// A question that has the credentials in it, and their values.
pub(super) struct Ready {
    pub(super) question: HttpQuestion,
    pub(super) known: Known,
}

impl Mounted {
    /// What lies in `folder`; without one there is nothing.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            read: Mutex::default(),
        }
    }

    /// The credentials as they are now, or a few seconds ago; nothing without a folder.
    pub(super) async fn get(&self) -> Result<Option<Arc<Ready>>, String> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let mut read = self.read.lock().await;
        if let Some((at, ready)) = read.as_ref()
            && at.elapsed() < AGE
        {
            return Ok(Some(Arc::clone(ready)));
        }
        let ready = ready(folder)
            .await
            .map_err(|why| format!("the credentials of the controller's Prometheus: {why}"))?;
        let ready = Arc::new(ready);
        *read = Some((Instant::now(), Arc::clone(&ready)));
        Ok(Some(ready))
    }
}

async fn ready(folder: &Path) -> Result<Ready, String> {
    let mut files = HashMap::new();
    for name in [TOKEN, USERNAME, PASSWORD, HEADERS, CA, CERTIFICATE, KEY] {
        if let Some(text) = text(folder, name).await? {
            files.insert(name, text);
        }
    }
    let has = |name: &str| files.contains_key(name);
    if files.is_empty() {
        return Err(format!(
            "there is none of token, username, headers, ca.crt and tls.crt in {}",
            folder.display()
        ));
    }
    for (one, other) in [(USERNAME, PASSWORD), (CERTIFICATE, KEY)] {
        if has(one) != has(other) {
            return Err(format!(
                "{one} and {other} belong together: give both or neither"
            ));
        }
    }
    if has(TOKEN) && has(USERNAME) {
        return Err("there can be a token or a username, not both".to_owned());
    }
    let auth = HttpAuth {
        bearer: has(TOKEN).then(|| key(TOKEN)),
        basic: has(USERNAME).then(|| BasicAuth {
            username: key(USERNAME),
            password: key(PASSWORD),
        }),
    };
    let tls = HttpTls {
        ca: has(CA).then(|| CaSource {
            config_map_key: None,
            secret_key: Some(key(CA)),
        }),
        client: has(CERTIFICATE).then(|| ClientCertificate {
            certificate: key(CERTIFICATE),
            key: key(KEY),
        }),
    };
    let headers = headers(files.get(HEADERS).map_or("", String::as_str))?;
    let mut known = Known {
        ca: files.get(CA).cloned(),
        ..Known::default()
    };
    let mut named = Vec::new();
    for (place, (name, value)) in headers.into_iter().enumerate() {
        let secret = key(&format!("{HEADERS} {place}"));
        known.secrets.insert(secret.clone(), value);
        named.push(HttpHeader {
            name,
            value: None,
            secret_key: Some(secret),
            prefix: None,
        });
    }
    for (name, text) in files {
        known.secrets.insert(key(name), text);
    }
    let auth = (auth.bearer.is_some() || auth.basic.is_some()).then_some(auth);
    let tls = (tls.ca.is_some() || tls.client.is_some()).then_some(tls);
    Ok(Ready {
        question: Server::speaking(auth, named, tls),
        known,
    })
}

/// A file as if it were the key of a Secret, which it most likely is.
fn key(name: &str) -> SecretKey {
    SecretKey {
        name: "of the controller's Prometheus".to_owned(),
        key: name.to_owned(),
    }
}

/// The file's text; nothing if it is not there. No error quotes what is in it.
async fn text(folder: &Path, name: &str) -> Result<Option<String>, String> {
    let unreadable = |error: std::io::Error| format!("{name} can't be read: {}", error.kind());
    let file = match tokio::fs::File::open(folder.join(name)).await {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut text = String::new();
    let mut bounded = file.take(FILE_BYTES + 1);
    bounded
        .read_to_string(&mut text)
        .await
        .map_err(unreadable)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES {
        return Err(format!("{name} has more than {} KiB", FILE_BYTES / 1024));
    }
    Ok(Some(text))
}

/// Names and values of the lines of the file with headers.
fn headers(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| match line.split_once(':') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
            None => Err("headers must have one Name: value a line".to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn secret(mounted: &Mounted, name: &str) -> Result<Option<String>, String> {
        let ready = mounted.get().await?.unwrap();
        Ok(ready.known.secrets.get(&key(name)).cloned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_is_read_anew_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join(TOKEN);
        std::fs::write(&token, "one").unwrap();
        let mounted = Mounted::new(Some(folder.path().to_owned()));
        assert_eq!(secret(&mounted, TOKEN).await, Ok(Some("one".to_owned())));
        std::fs::write(&token, "two").unwrap();
        tokio::time::advance(AGE).await;
        assert_eq!(secret(&mounted, TOKEN).await, Ok(Some("two".to_owned())));
    }

    #[tokio::test]
    async fn what_does_not_fit_together_is_told_without_what_is_in_it() {
        let told = async |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            let mounted = Mounted::new(Some(folder.path().to_owned()));
            mounted.get().await.err().unwrap_or_default()
        };
        assert!(told(&[]).await.contains("there is none of token"));
        assert!(told(&[(USERNAME, "me")]).await.contains("belong together"));
        let both = [(TOKEN, "secret"), (USERNAME, "me"), (PASSWORD, "secret")];
        assert!(told(&both).await.contains("not both"));
        let header = told(&[(HEADERS, "secret")]).await;
        assert!(
            header.contains("Name: value") && !header.contains("secret"),
            "{header}"
        );
    }

    #[tokio::test]
    async fn without_a_folder_there_is_nothing() {
        assert!(Mounted::new(None).get().await.unwrap().is_none());
    }
}
