//! The task that keeps one other cluster in sight.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use belay_api::{Release, release::InputKind};
use belay_engine::release::cluster::ClusterId;
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::{sync::Notify, time::sleep};

use super::{Key, Tools, kubeconfig::Kubeconfig, probe};
use crate::{
    apply::{Kinds, Target},
    client,
    release::{
        lock,
        sources::{FollowedInputs, Wanted},
    },
};

/// First and longest wait before a cluster that is away is asked again.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const RETRY_LIMIT: Duration = Duration::from_secs(30);

/// Doubts of a short time are answered together: when a cluster goes away, all its watches end.
const TOGETHER: Duration = Duration::from_millis(500);

/// What is known of a cluster.
#[derive(Clone, Default)]
pub(super) enum Known {
    /// Nothing yet.
    #[default]
    Nothing,
    /// It answers.
    Answers {
        target: Target,
        id: ClusterId,
        since: Timestamp,
    },
    /// It can't be reached.
    Away { since: Timestamp, message: String },
}

/// What a task found out, and who wants to hear of it.
#[derive(Default)]
pub(super) struct Link {
    known: Mutex<Known>,
    /// By UID of the Release.
    users: Mutex<HashMap<String, ObjectRef<Release>>>,
}

impl Link {
    pub(super) fn known(&self) -> Known {
        lock(&self.known).clone()
    }

    pub(super) fn join(&self, uid: String, release: ObjectRef<Release>) {
        lock(&self.users).insert(uid, release);
    }

    /// Says whether nobody is left.
    pub(super) fn leave(&self, uid: &str) -> bool {
        let mut users = lock(&self.users);
        users.remove(uid);
        users.is_empty()
    }

    fn answers(&self, target: &Target, id: ClusterId) -> bool {
        let mut known = lock(&self.known);
        let since = match &*known {
            Known::Answers {
                target: before,
                id: same,
                since,
            } if before.via == target.via => {
                if *same == id {
                    return false;
                }
                *since
            }
            // Another credential for a cluster that answers is no outage.
            Known::Answers { since, .. } => *since,
            Known::Nothing | Known::Away { .. } => Timestamp::now(),
        };
        *known = Known::Answers {
            target: target.clone(),
            id,
            since,
        };
        true
    }

    fn is_away(&self, why: &str) -> bool {
        let mut known = lock(&self.known);
        let since = match &*known {
            Known::Away { message, .. } if message == why => return false,
            Known::Away { since, .. } => *since,
            Known::Nothing | Known::Answers { .. } => Timestamp::now(),
        };
        *known = Known::Away {
            since,
            message: why.to_owned(),
        };
        true
    }
}

/// One connection: what a kubeconfig leads to.
struct Connection {
    /// What it was made from.
    text: Vec<u8>,
    target: Target,
    address: String,
    doubts: Arc<Notify>,
}

/// Keeps `link` up to date until it is ended.
pub(super) async fn follow(tools: Arc<Tools>, key: Key, link: Arc<Link>) {
    let wanted = [Wanted {
        identity: key.identity.clone(),
        kind: InputKind::Secret,
        name: key.secret.name.clone(),
        optional: false,
    }];
    let task = Task { tools, key, link };
    let mut retry = FIRST_RETRY;
    loop {
        match task.tools.inputs.follow(&wanted) {
            Ok(secret) => return task.run(secret).await,
            Err(trouble) => task.away(&trouble.into_failure().message),
        }
        sleep(retry).await;
        retry = (retry * 2).min(RETRY_LIMIT);
    }
}

struct Task {
    tools: Arc<Tools>,
    key: Key,
    link: Arc<Link>,
}

impl Task {
    async fn run(&self, mut secret: FollowedInputs) {
        let mut connection: Option<Connection> = None;
        loop {
            secret.mark_seen();
            match self.connection(&mut secret, connection.take()).await {
                Ok(next) => {
                    tokio::select! {
                        () = secret.changed() => {}
                        () = self.keep_in_sight(&next) => {}
                    }
                    connection = Some(next);
                }
                Err(why) => {
                    self.away(&why);
                    // An API server that did not answer is asked again.
                    tokio::select! {
                        () = secret.changed() => {}
                        () = sleep(RETRY_LIMIT) => {}
                    }
                }
            }
        }
    }

    /// The connection that the Secret leads to: the former one, as long as the kubeconfig is the same.
    async fn connection(
        &self,
        secret: &mut FollowedInputs,
        former: Option<Connection>,
    ) -> Result<Connection, String> {
        let name = &self.key.secret.name;
        let contents = secret.read().await;
        let contents = contents.map_err(|trouble| trouble.into_failure().message)?;
        let data = contents.get(InputKind::Secret, name);
        let keys = self.key.secret.keys();
        let text = keys.iter().find_map(|key| data?.get(*key));
        let object = format!("Secret {}/{name}", self.key.identity.namespace);
        let Some(text) = text else {
            return Err(format!(
                "{object} has no key {}; put the kubeconfig there, or name its key in spec.kubeConfig.secretRef.key",
                keys.join(" or ")
            ));
        };
        if let Some(former) = former.filter(|former| former.text == *text) {
            return Ok(former);
        }
        let refused = |why: String| format!("the kubeconfig in {object} is not used: {why}");
        let kubeconfig = Kubeconfig::read(text, self.tools.reach).map_err(refused)?;
        self.connect(text, kubeconfig).map_err(refused)
    }

    fn connect(&self, text: &[u8], kubeconfig: Kubeconfig) -> Result<Connection, String> {
        let tools = &self.tools;
        let address = kubeconfig.address;
        // What is wrong with a certificate may quote it.
        let client = client::foreign(kubeconfig.config, tools.reach, &tools.metrics).map_err(|_| {
            "its certificates, key or token can't be used; write them as kubectl config view --raw --flatten does".to_owned()
        })?;
        let doubts = Arc::new(Notify::new());
        Ok(Connection {
            text: text.to_vec(),
            target: Target {
                via: tools.via(&self.key),
                kinds: Arc::new(Kinds::new(client.clone())),
                client,
                server: probe::OLDEST,
                doubts: Some(Arc::clone(&doubts)),
            },
            address,
            doubts,
        })
    }

    /// Asks the cluster, and again when somebody has a doubt, or after a while when it is away.
    async fn keep_in_sight(&self, connection: &Connection) {
        let mut retry = FIRST_RETRY;
        let mut target = connection.target.clone();
        loop {
            match probe::ask(&target.client, &connection.address).await {
                Ok(found) => {
                    retry = FIRST_RETRY;
                    target.server = found.server;
                    if self.link.answers(&target, found.id) {
                        self.tell("answers");
                    }
                    connection.doubts.notified().await;
                    sleep(TOGETHER).await;
                }
                Err(why) => {
                    self.away(&why);
                    sleep(retry).await;
                    retry = (retry * 2).min(RETRY_LIMIT);
                }
            }
        }
    }

    fn away(&self, why: &str) {
        if self.link.is_away(why) {
            self.tell(why);
        }
    }

    /// Has all who use the link looked at.
    fn tell(&self, what: &str) {
        let Key { identity, secret } = &self.key;
        tracing::info!(
            namespace = identity.namespace,
            secret = secret.name,
            what,
            "another cluster"
        );
        for release in lock(&self.link.users).values() {
            self.tools.triggers.trigger_ref(release.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_begins_once_however_often_its_reason_changes() {
        let link = Link::default();
        assert!(link.is_away("refused"));
        assert!(!link.is_away("refused"));
        let Known::Away { since, .. } = link.known() else {
            panic!("it is away");
        };
        assert!(link.is_away("too slow"));
        let Known::Away {
            since: later,
            message,
        } = link.known()
        else {
            panic!("it is away");
        };
        assert_eq!((later, message.as_str()), (since, "too slow"));
    }
}
