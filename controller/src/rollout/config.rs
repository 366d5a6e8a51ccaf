//! Configuration that goes with versions: what a template refers to, as it is now, and the copies that versions read.
//!
//! Invariant: content is read, hashed, written into a copy and dropped; it is never kept, logged or told.

mod content;
mod copies;
mod lost;
mod watches;

pub(super) use watches::Configs;

use std::collections::{BTreeMap, BTreeSet};

use belay_api::{
    Rollout,
    rollout::{ConfigMaps, Configuration, Secrets},
};
use belay_engine::{
    config::{ConfigKind, MAX_NAME_BYTES, Need, Reference, Stamp},
    rollout::observed::{Config, LiveConfig},
};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{
    Shell,
    project::{Set, Workload},
};
use crate::Result;
use content::{Found, hash};
use watches::Named;

impl Shell {
    /// What the workload's template refers to, for one decision. Costs a request for each object that changed.
    pub(super) async fn config(
        &self,
        rollout: &Rollout,
        workload: Option<&Workload>,
        sets: &[Set],
    ) -> Result<Config> {
        let (Some(workload), true) = (workload, self.hold.leads_to_config()) else {
            return Ok(Config::AsIs);
        };
        if rollout.metadata.deletion_timestamp.is_some() {
            return Ok(Config::AsIs);
        }
        let (namespace, name) = (&workload.namespace, rollout.name_any());
        let followed = followed(rollout, &workload.references);
        let configs = &self.world.configs;
        let mut used: BTreeSet<(ConfigKind, String)> = sets
            .iter()
            .filter_map(|set| set.view.template.stamp.as_ref())
            .chain(&workload.view.template.stamp)
            .flat_map(Stamp::copies)
            .collect();
        let copies = configs.copies(namespace, &name);
        let needed = lost::needed(rollout, sets);
        let originals = needed.iter().flat_map(Stamp::entries);
        let concerned = followed
            .iter()
            .map(|reference| (reference.kind, reference.name.clone()))
            .chain(originals.map(|(kind, name, _)| (kind, name.to_owned())))
            .chain(used.iter().cloned())
            .chain(copies.iter().cloned());
        let named = concerned.map(|(kind, name)| Named {
            kind,
            namespace: namespace.clone(),
            name,
        });
        configs.follow(namespace, &name, named.collect());

        let mut hashes = BTreeMap::new();
        let mut lacking = Vec::new();
        let mut changed_at = Timestamp::UNIX_EPOCH;
        for reference in followed {
            let (kind, wanted) = (reference.kind, &reference.name);
            if wanted.len() > MAX_NAME_BYTES {
                let message = format!(
                    "{} {wanted} can't go with the version, for its name is too long; shorten it to {MAX_NAME_BYTES} characters, or \
                     annotate it with belay.dev/config: Live.",
                    kind.name()
                );
                return Ok(Config::Unavailable(message));
            }
            let known = configs.content(kind, namespace, wanted).await?;
            changed_at = changed_at.max(known.changed_at);
            match known.found {
                Found::Present(content) => {
                    let hash = hash(&workload.view.uid, &content);
                    hashes.insert((kind, wanted.clone()), hash);
                }
                Found::Absent if reference.need == Need::Required => lacking.push(reference),
                Found::Absent | Found::Live => {}
                Found::Forbidden => return Ok(Config::Unavailable(forbidden(kind, namespace))),
            }
        }
        if !lacking.is_empty() {
            return Ok(Config::Unavailable(missing(&lacking)));
        }
        let stamp = Stamp::of(&hashes);
        used.extend(stamp.iter().flat_map(Stamp::copies));
        Ok(Config::Live(LiveConfig {
            stamp,
            changed_at,
            unused: copies.difference(&used).cloned().collect(),
            lost: self.lost(workload, &name, &needed).await?,
        }))
    }
}

/// References that go with the version as far as the Rollout is concerned.
fn followed<'a>(rollout: &Rollout, references: &'a [Reference]) -> Vec<&'a Reference> {
    let Configuration {
        config_maps,
        secrets,
    } = rollout.spec.config.unwrap_or_default();
    references
        .iter()
        .filter(|reference| match reference.kind {
            ConfigKind::ConfigMap => config_maps == ConfigMaps::WithVersion,
            ConfigKind::Secret => secrets == Secrets::WithVersion,
        })
        .collect()
}

fn missing(lacking: &[&Reference]) -> String {
    let names: Vec<String> = lacking
        .iter()
        .map(|reference| format!("{} {}", reference.kind.name(), reference.name))
        .collect();
    format!(
        "The template needs {}, not there now; create what is missing, or mark the reference as optional.",
        names.join(", ")
    )
}

fn forbidden(kind: ConfigKind, namespace: &str) -> String {
    match kind {
        ConfigKind::ConfigMap => {
            "Belay may not read ConfigMaps; allow it by config.enabled of its chart, or set spec.config.configMaps to Live.".to_owned()
        }
        ConfigKind::Secret => format!(
            "Belay may not read Secrets of this namespace; name {namespace} in config.secretNamespaces of its chart, or set \
             spec.config.secrets to Live."
        ),
    }
}
