//! What the controller has seen. Every object lags on its own and never goes back in time.

use std::collections::BTreeMap;

use belay_engine::{
    action::Request,
    rollout::{
        Plan, RolloutStatus,
        observed::{Deployment, ReplicaSet},
    },
};

use belay_engine::traffic::Seen;

use crate::{config::Live, world::World};

#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) deployment: Option<Deployment>,
    pub(crate) sets: BTreeMap<String, ReplicaSet>,
    pub(crate) actions: BTreeMap<String, Request>,
    pub(crate) version: u64,
    pub(crate) status: RolloutStatus,
    pub(crate) deleting: bool,
    pub(crate) plan: Result<Plan, String>,
    pub(crate) traffic: Seen,
    pub(crate) config: Option<Live>,
}

impl View {
    /// Nothing but the Rollout itself has arrived yet.
    pub(crate) fn new(world: &World) -> Self {
        Self {
            deployment: None,
            sets: BTreeMap::new(),
            actions: BTreeMap::new(),
            version: world.rollout.version,
            status: world.rollout.status.clone(),
            deleting: world.rollout.deleting,
            plan: world.plan.clone(),
            traffic: world.roads.seen(),
            config: world.config,
        }
    }

    /// Some objects' newest states arrive, each with the given chance in percent; says whether anything is new.
    pub(crate) fn arrive(&mut self, world: &mut World, percent: u8) -> bool {
        let mut news = false;
        if world.chance(percent) {
            let newest = world.workload.as_ref().map(|workload| &workload.shown);
            if self.deployment.as_ref() != newest {
                self.deployment = newest.cloned();
                news = true;
            }
        }
        let mut names: Vec<String> = world.sets.keys().chain(self.sets.keys()).cloned().collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            news |= world.chance(percent) && self.arrive_set(world, &name);
        }
        news |= self.arrive_traffic(world, percent);
        if world.chance(percent) && self.actions != world.actions {
            self.actions.clone_from(&world.actions);
            news = true;
        }
        if world.chance(percent) {
            news |= self.read_rollout(world);
        }
        if self.config != world.config && world.chance(percent) {
            self.config = world.config;
            news = true;
        }
        news
    }

    fn arrive_traffic(&mut self, world: &mut World, percent: u8) -> bool {
        let newest = world.roads.seen();
        let mut news = false;
        if world.chance(percent) && self.traffic.services != newest.services {
            self.traffic.services = newest.services;
            news = true;
        }
        for (seen, newest) in self.traffic.routes.iter_mut().zip(newest.routes) {
            if world.chance(percent) && *seen != newest {
                *seen = newest;
                news = true;
            }
        }
        news
    }

    /// Routes and Services are read anew: at a start, and after a write to them, whatever its answer.
    pub(crate) fn read_traffic(&mut self, world: &World) {
        self.traffic = world.roads.seen();
    }

    /// The Rollout itself is read, not merely seen; says whether that is news.
    pub(crate) fn read_rollout(&mut self, world: &World) -> bool {
        if self.version == world.rollout.version {
            return false;
        }
        self.version = world.rollout.version;
        self.status = world.rollout.status.clone();
        self.deleting = world.rollout.deleting;
        self.plan.clone_from(&world.plan);
        true
    }

    fn arrive_set(&mut self, world: &World, name: &str) -> bool {
        let newest = world.sets.get(name).map(|set| &set.shown);
        if self.sets.get(name) == newest {
            return false;
        }
        match newest {
            Some(set) => self.sets.insert(name.to_owned(), set.clone()),
            None => self.sets.remove(name),
        };
        true
    }
}
