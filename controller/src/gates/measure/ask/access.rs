//! How a Prometheus is spoken to: credentials and tenant headers from Secrets, certificates, and which addresses may be asked.
//!
//! Invariant: two gates share an answer only if they present the same credentials. An address from a template is held to the same
//! limits as that of a probe; the controller's own default is its operator's word and is not.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
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
    prometheus::Access,
};

/// Ways of access that are kept at the same time.
const KEPT: usize = 256;

/// Ways of access that were used lately, by what they are made of.
#[derive(Default)]
pub(super) struct Accesses(Mutex<HashMap<[u8; 32], Arc<Access>>>);

impl Asker {
    /// The address of `server` and the access to it.
    pub(super) async fn server<K: Gated>(
        &self,
        task: &Task<K>,
        server: &Server,
    ) -> Result<(String, Arc<Access>), String> {
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
        let known = self.known(task, &server.access).await?;
        let access = self.accesses.get(reach, &server.access, &known)?;
        Ok((address.clone(), access))
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
