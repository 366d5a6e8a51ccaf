//! How a Prometheus is spoken to: credentials and tenant headers from Secrets, certificates, and which addresses may be asked.
//!
//! Invariant: two gates share an answer only if they present the same credentials. An address from a template is held to the same
//! limits as that of a probe; the controller's own default is its operator's word and is not.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Url;
use sha2::{Digest as _, Sha256};

use super::Asker;
use crate::{
    gates::{
        Gated,
        measure::Task,
        probe::{
            address::Reach,
            http::{HttpQuestion, Known},
        },
        question::Server,
    },
    prometheus::{About, Access, Question, Reply, Words},
};

/// Ways of access that are kept at the same time.
const KEPT: usize = 256;

/// A Prometheus, and how a gate speaks to it.
#[derive(Clone, Debug)]
pub(super) struct Whom {
    server: String,
    access: Arc<Access>,
    timeout: Duration,
    words: Words,
}

impl Whom {
    /// Its base URL, perhaps with credentials.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// The same for the same access.
    pub(super) fn access_id(&self) -> [u8; 32] {
        self.access.id()
    }

    /// Whether what it says of a query may be shown.
    pub(super) const fn words(&self) -> Words {
        self.words
    }
}

/// Ways of access that were used lately, by what they are made of.
#[derive(Default)]
pub(super) struct Accesses(Mutex<HashMap<[u8; 32], Arc<Access>>>);

impl Asker {
    /// Asks `whom`, or joins somebody who asks the same.
    pub(super) async fn put(&self, whom: &Whom, query: String, about: About) -> Arc<Reply> {
        let Whom {
            server,
            access,
            timeout,
            words,
        } = whom.clone();
        let question = Question {
            server,
            access,
            query,
            about,
            timeout,
            words,
        };
        self.prometheus.ask(question).await
    }

    /// The Prometheus that `server` means, and the access to it.
    pub(super) async fn whom<K: Gated>(
        &self,
        task: &Task<K>,
        server: &Server,
    ) -> Result<Whom, String> {
        let (address, reach) = match (&server.address, &self.default_server) {
            (Some(address), _) => (address, self.reach),
            (None, Some(default)) => (default, Reach::Anywhere),
            (None, None) => {
                return Err("no Prometheus to ask: give prometheus.address in the template, or start the controller with --prometheus-url".to_owned());
            }
        };
        if let Ok(url) = Url::parse(address) {
            reach.check(&url).map_err(|refused| refused.to_string())?;
        }
        Ok(Whom {
            server: address.clone(),
            access: self.access(task, server, reach).await?,
            timeout: server.timeout,
            words: task.question.arguments.words(),
        })
    }

    /// The access that the gate itself describes; else, to the controller's own Prometheus, the one that is mounted.
    async fn access<K: Gated>(
        &self,
        task: &Task<K>,
        server: &Server,
        reach: Reach,
    ) -> Result<Arc<Access>, String> {
        if server.address.is_none()
            && server.access.is_plain()
            && let Some(ready) = self.mounted.get().await?
        {
            return self.accesses.get(reach, &ready.question, &ready.known);
        }
        let known = self.known(task, &server.access).await?;
        self.accesses.get(reach, &server.access, &known)
    }
}

impl Accesses {
    fn get(
        &self,
        reach: Reach,
        question: &HttpQuestion,
        known: &Known,
    ) -> Result<Arc<Access>, String> {
        let id = fingerprint(reach, question, known);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(access) = kept.get(&id) {
            return Ok(Arc::clone(access));
        }
        let (headers, client) = question.access(reach, known)?;
        let access = Arc::new(Access::new(id, headers, client));
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(id, Arc::clone(&access));
        Ok(access)
    }
}

/// The same for what is accessed in the same way, without the secrets themselves.
fn fingerprint(reach: Reach, question: &HttpQuestion, known: &Known) -> [u8; 32] {
    let mut secrets: Vec<_> = known
        .secrets
        .iter()
        .map(|(key, value)| (&key.name, &key.key, value))
        .collect();
    secrets.sort();
    let made_of = format!(
        "{reach:?} {question:?} {:?} {secrets:?} {:?}",
        known.values, known.ca
    );
    Sha256::digest(made_of.as_bytes()).into()
}
