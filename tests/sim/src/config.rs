//! Configuration that goes with versions: somebody changes it, and a template with a stamp of it is a version of its own.

use std::collections::BTreeMap;

use belay_engine::{
    config::{ConfigKind, Stamp},
    rollout::{
        Effect,
        observed::{Config, Hold, LiveConfig, Owner, Template},
    },
};

use crate::{
    api::Refusal,
    world::{Content, Quality, World, at},
};

/// Contents that configuration may have; going back to an earlier one is as likely as a new one.
const CONFIGS: u64 = 4;

/// The live configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// Which content it has.
    pub(crate) content: u64,
    /// When it changed.
    pub(crate) changed_ms: i64,
}

impl Live {
    /// What is asked for before anything changed.
    pub(crate) const FIRST: Self = Self {
        content: 0,
        changed_ms: i64::MIN,
    };

    /// As the engine sees it.
    pub(crate) fn seen(self, hold: Hold) -> Config {
        if hold == Hold::AlwaysPaused {
            return Config::AsIs;
        }
        Config::Live(LiveConfig {
            stamp: stamp(self.content),
            changed_at: if self.changed_ms == i64::MIN {
                jiff::Timestamp::UNIX_EPOCH
            } else {
                at(self.changed_ms)
            },
            unused: Vec::new(),
            lost: Vec::new(),
        })
    }
}

fn stamp(content: u64) -> Option<Stamp> {
    let object = (ConfigKind::ConfigMap, "settings".to_owned());
    Stamp::of(&BTreeMap::from([(object, content.to_string())]))
}

impl World {
    pub(crate) fn configure_any(&mut self) {
        let content = self.rng.u64(0..CONFIGS);
        self.configure(content);
    }

    /// Somebody changes the ConfigMap.
    pub(crate) fn configure(&mut self, content: u64) {
        let changed_ms = self.clock_ms;
        if let Some(live) = &mut self.config
            && live.content != content
        {
            *live = Live {
                content,
                changed_ms,
            };
            self.tell(|_| format!("somebody: configures {content}"));
        }
    }

    /// The version with the template of `content` and this stamp. With every fourth configuration a version is bad, whatever its template.
    pub(crate) fn variant(&mut self, content: usize, stamp: Option<&Stamp>) -> usize {
        let template = self.template(content);
        let wanted = Template::new(template.bare, stamp.cloned(), template.version);
        if let Some(known) = self.content_of(&wanted.digest) {
            return known;
        }
        let base = self.content_of(&wanted.bare).unwrap_or(content);
        let base = self.contents.get(base).cloned();
        let spoilt = stamp.is_some_and(|stamp| stamp.as_str().ends_with('3'));
        let quality = base.as_ref().map_or(Quality::Good, |base| base.quality);
        self.contents.push(Content {
            template: wanted,
            quality: if spoilt { Quality::Bad } else { quality },
            ready_ms: base.and_then(|base| base.ready_ms),
        });
        self.contents.len() - 1
    }

    /// Carries out an effect on stamps.
    pub(crate) fn write_config(&mut self, effect: &Effect) -> Result<(), Refusal> {
        match effect {
            Effect::Stamp {
                stamp,
                resource_version,
            } => {
                self.at_version(resource_version)?;
                self.stamp_workload(stamp.as_ref())
            }
            Effect::StampSet {
                name,
                stamp,
                resource_version,
            } => self.stamp_set(name, resource_version, stamp.as_ref()),
            _ => Ok(()),
        }
    }

    /// The stamp as the API server has it on the workload's template.
    fn stamp_workload(&mut self, stamp: Option<&Stamp>) -> Result<(), Refusal> {
        let content = self.workload.as_ref().ok_or(Refusal::Gone)?.content;
        let content = self.variant(content, stamp);
        let template = self.template(content);
        if let Some(workload) = &mut self.workload {
            workload.content = content;
            workload.shown.template = template;
            workload.shown.paused = true;
        }
        self.changed_spec();
        Ok(())
    }

    /// The same on a ReplicaSet's template.
    fn stamp_set(
        &mut self,
        name: &str,
        version: &str,
        stamp: Option<&Stamp>,
    ) -> Result<(), Refusal> {
        let set = self.sets.get(name).ok_or(Refusal::Gone)?;
        if set.shown.resource_version != version {
            return Err(Refusal::Conflict);
        }
        if set.shown.owner != Owner::Deployment {
            self.breaks("stamps_are_no_releases", format!("{name} is a candidate"));
            return Err(Refusal::Conflict);
        }
        let content = set.content;
        let content = self.variant(content, stamp);
        let template = self.template(content);
        if let Some(set) = self.sets.get_mut(name) {
            set.content = content;
            set.shown.template = template;
        }
        self.changed_set(name);
        Ok(())
    }
}
