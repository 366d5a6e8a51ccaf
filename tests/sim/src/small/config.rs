//! Configuration that goes with versions, for pods that take places: in every other history with an admission policy somebody
//! changes it. A stamped template is a content of its own.
//!
//! What is drawn for it comes from a source of its own, so that a seed means the same for everything else. Deliberately absent:
//! the copies that pods read.

use belay_engine::{
    config::{ConfigKind, Stamp, digest_with},
    quarantine,
    rollout::{
        observed::{Config, Hold, LiveConfig, Template},
        status::Phase,
    },
};
use fastrand::Rng;
use jiff::Timestamp;

use super::core::{Content, Core, Spec};

/// Contents that it may have; versions with the last one are bad.
const CONFIGS: u64 = 4;

/// The configuration of a history.
#[derive(Debug)]
pub(super) struct Live {
    rng: Rng,
    content: u64,
    changed_at: Timestamp,
}

impl Live {
    /// Of a history whose randomness is `rng`, which is left as it is.
    pub(super) fn of(rng: &Rng, hold: Hold) -> Option<Self> {
        const APART: u64 = 0x00C0_4F16;
        let mut rng = Rng::with_seed(rng.get_seed() ^ APART);
        let configured = rng.bool() && hold == Hold::Admission;
        configured.then_some(Self {
            rng,
            content: 0,
            changed_at: Timestamp::UNIX_EPOCH,
        })
    }

    fn stamp(&self) -> Option<Stamp> {
        let object = (ConfigKind::ConfigMap, "settings".to_owned());
        Stamp::of(&[(object, self.content.to_string())].into())
    }
}

impl<S: Spec, R: Clone + PartialEq> Core<S, R> {
    /// As decisions see it.
    pub(super) fn config(&self) -> Config {
        let Some(live) = self.config.as_ref().filter(|_| !self.deleting) else {
            return Config::AsIs;
        };
        Config::Live(LiveConfig {
            stamp: live.stamp(),
            changed_at: live.changed_at,
            unused: Vec::new(),
            lost: Vec::new(),
        })
    }

    /// Somebody changes it, perhaps.
    pub(crate) fn perhaps_configure(&mut self) {
        let now = self.time();
        let Some(live) = self.config.as_mut() else {
            return;
        };
        let content = live.rng.u64(0..CONFIGS);
        if live.rng.u8(0..3) == 0 && content != live.content {
            (live.content, live.changed_at) = (content, now);
            self.happens(&format!("somebody configures {content}"));
        }
    }

    /// What the template of `content` is when a tool writes it: the stamp that is there stays, unless the tool replaces the whole object.
    pub(crate) fn written(&mut self, content: usize) -> usize {
        let replaces = self
            .config
            .as_mut()
            .is_none_or(|live| live.rng.u8(0..5) == 0);
        let present = self.content(self.spec.content()).template.stamp.clone();
        self.variant(content, present.filter(|_| !replaces).as_ref())
    }

    /// The template of `content` with this stamp.
    pub(crate) fn variant(&mut self, content: usize, stamp: Option<&Stamp>) -> usize {
        let base = self.content(content).clone();
        let Template { bare, version, .. } = base.template;
        let template = Template::new(bare.clone(), stamp.cloned(), version);
        if let Some(known) = self.index(&template.digest) {
            return known;
        }
        let spoilt = stamp.is_some_and(|stamp| stamp.as_str().ends_with('3'));
        let origin = self.index(&bare).map(|index| self.content(index).bad);
        self.contents.push(Content {
            template,
            bad: spoilt || origin.unwrap_or(base.bad),
            ready_after: base.ready_after,
        });
        self.contents.len() - 1
    }

    /// Whether two templates are the same but for their stamps.
    pub(crate) fn same_base(&self, one: usize, other: usize) -> bool {
        self.content(one).template.bare == self.content(other).template.bare
    }

    /// Belay is about to put this stamp on the template. The stable version of pods that take places gets none without a release.
    pub(crate) fn check_stamp(&mut self, stamp: Option<&Stamp>) {
        let asked = &self.content(self.spec.content()).template;
        let stable = self.stable().map(|index| &self.content(index).template);
        let first =
            stable.is_some_and(|stable| stable.stamp.is_none() && stable.bare == asked.bare);
        if first && stamp.is_some() {
            let detail = format!("{stamp:?} on the stable version, which has none");
            self.breaks("first_stamp_comes_with_a_version", detail);
        }
    }

    /// Whether what has settled runs with the configuration as it is, unless that was rejected.
    pub(crate) fn check_configured(&self) -> Result<(), String> {
        let Some(live) = self.config.as_ref() else {
            return Ok(());
        };
        let (wanted, status) = (live.stamp(), &self.status);
        let asked = &self.content(self.spec.content()).template;
        let whole = digest_with(&asked.bare, wanted.as_ref());
        let rejected = quarantine::find(&status.quarantine, &whole).is_some();
        let noted = asked.stamp.is_none() || asked.stamp == wanted;
        if status.phase != Phase::Healthy || noted || rejected || status.config_set_aside.is_some()
        {
            return Ok(());
        }
        Err(format!("healthy with {:?}, not {wanted:?}", asked.stamp))
    }
}
