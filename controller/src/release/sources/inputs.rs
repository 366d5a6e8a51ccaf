//! ConfigMaps and Secrets that renders read.
//!
//! Each is watched by its name, in the name of the Release's service account, as long as a Release reads it; Releases that read
//! the same one with the same account share its watch. A quiet one costs no request.
//!
//! Invariant: an object that may not be read or is not known yet is never taken for one that does not exist.

mod watched;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use belay_api::release::InputKind;
use futures::future::select_all;
use tokio::sync::watch;

use super::trouble::Trouble;
use crate::{
    apply::{Identities, Identity},
    telemetry::Metrics,
    watch::ServerVersion,
};
use watched::Watched;

/// Longest wait for the first answer about an object.
const FIRST_ANSWER: Duration = Duration::from_secs(20);

/// Keys and values of an object.
pub(in crate::release) type Data = BTreeMap<String, Vec<u8>>;

/// One object that a render reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::release) struct Wanted {
    /// In whose name, and where.
    pub(in crate::release) identity: Identity,
    pub(in crate::release) kind: InputKind,
    pub(in crate::release) name: String,
    /// Whether it may be missing.
    pub(in crate::release) optional: bool,
}

/// What is known of an object.
#[derive(Clone)]
enum State {
    Unknown,
    Found(Arc<Data>),
    Missing,
    /// The API server does not let the account read it.
    Refused(String),
}

/// Which object in whose name.
type Key = (Identity, InputKind, String);

/// All objects that renders read.
pub(in crate::release) struct Inputs {
    identities: Arc<Identities>,
    server: ServerVersion,
    metrics: Arc<Metrics>,
    watched: Mutex<HashMap<Key, Weak<Watched>>>,
}

impl Inputs {
    pub(in crate::release) fn new(
        identities: Arc<Identities>,
        server: ServerVersion,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            identities,
            server,
            metrics,
            watched: Mutex::default(),
        }
    }

    /// Keeps the objects watched as long as the result lives.
    pub(in crate::release) fn follow(&self, wanted: &[Wanted]) -> Result<Followed, Trouble> {
        let followed = wanted.iter().map(|wanted| {
            let watched = self.watch(wanted)?;
            Ok(One {
                state: watched.subscribe(),
                wanted: wanted.clone(),
                _watched: watched,
            })
        });
        Ok(Followed(followed.collect::<Result<_, Trouble>>()?))
    }

    fn watch(&self, wanted: &Wanted) -> Result<Arc<Watched>, Trouble> {
        let Wanted {
            identity,
            kind,
            name,
            ..
        } = wanted;
        let key = (identity.clone(), *kind, name.clone());
        let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = all.get(&key).and_then(Weak::upgrade) {
            return Ok(watched);
        }
        all.retain(|_, watched| watched.strong_count() > 0);
        let client = self.identities.client(identity)?;
        let watched = Watched::start(client, &key, self.server, Arc::clone(&self.metrics));
        let watched = Arc::new(watched);
        all.insert(key, Arc::downgrade(&watched));
        Ok(watched)
    }
}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").finish_non_exhaustive()
    }
}

struct One {
    wanted: Wanted,
    state: watch::Receiver<State>,
    _watched: Arc<Watched>,
}

/// Objects that are watched for one Release.
pub(in crate::release) struct Followed(Vec<One>);

impl Followed {
    pub(in crate::release) const fn none() -> Self {
        Self(Vec::new())
    }

    /// From now on only later changes are changes.
    pub(in crate::release) fn mark_seen(&mut self) {
        for one in &mut self.0 {
            one.state.mark_unchanged();
        }
    }

    /// Ends when one of them is not as it was when it was last read; never when there is none.
    pub(in crate::release) async fn changed(&mut self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        let changes = self.0.iter_mut().map(|one| Box::pin(one.state.changed()));
        let (ended, ..) = select_all(changes).await;
        if ended.is_err() {
            // A watch ends only with the process.
            std::future::pending::<()>().await;
        }
    }

    /// What they hold.
    pub(in crate::release) async fn read(&mut self) -> Result<Contents, Trouble> {
        let mut contents = Contents::default();
        for one in &mut self.0 {
            let known = one.state.wait_for(|state| !matches!(state, State::Unknown));
            let state = tokio::time::timeout(FIRST_ANSWER, known).await;
            let state = match state {
                Ok(Ok(state)) => state.clone(),
                Ok(Err(_)) | Err(_) => State::Unknown,
            };
            let key = (one.wanted.kind, one.wanted.name.clone());
            if let Some(data) = judge(&one.wanted, state)? {
                contents.0.insert(key, data);
            }
        }
        Ok(contents)
    }
}

fn judge(wanted: &Wanted, state: State) -> Result<Option<Arc<Data>>, Trouble> {
    let Wanted {
        identity,
        kind,
        name,
        optional,
    } = wanted;
    let object = format!("{} {}/{name}", kind.name(), identity.namespace);
    match state {
        State::Found(data) => Ok(Some(data)),
        State::Missing if *optional => Ok(None),
        State::Missing => Err(Trouble::unavailable(format!(
            "{object} does not exist; create it, or say optional: true where the Release names it"
        ))),
        State::Refused(why) => Err(Trouble::unavailable(format!(
            "the service account {} may not read {object} ({why}); allow it get, list and watch",
            identity.name
        ))),
        State::Unknown => Err(Trouble::passing(format!(
            "{object} could not be read yet; the API server does not answer"
        ))),
    }
}

/// What the objects hold that exist.
#[derive(Default)]
pub(in crate::release) struct Contents(HashMap<(InputKind, String), Arc<Data>>);

impl Contents {
    pub(in crate::release) fn get(&self, kind: InputKind, name: &str) -> Option<&Data> {
        self.0.get(&(kind, name.to_owned())).map(Arc::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(optional: bool) -> Wanted {
        Wanted {
            identity: Identity {
                namespace: "shop".into(),
                name: "deployer".into(),
            },
            kind: InputKind::Secret,
            name: "env".into(),
            optional,
        }
    }

    #[test]
    fn missing_refused_and_unknown_are_told_apart() {
        assert!(matches!(judge(&wanted(true), State::Missing), Ok(None)));
        for (state, optional, words) in [
            (State::Missing, false, "Secret shop/env does not exist"),
            (
                State::Refused("no".into()),
                true,
                "deployer may not read Secret shop/env (no)",
            ),
            (State::Unknown, true, "could not be read yet"),
        ] {
            let trouble = judge(&wanted(optional), state).err().unwrap();
            let message = trouble.into_failure().message;
            assert!(message.contains(words), "{message}");
        }
    }
}
