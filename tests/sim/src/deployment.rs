//! The Deployment controller, as far as it matters: what it does with ReplicaSets while the Deployment is paused, scaled or
//! rolling. One call is one sync, which makes at most one kind of change, as the real one does.
//!
//! Written after observing and reading Kubernetes 1.36: while paused, a single active ReplicaSet follows `spec.replicas`,
//! several share them in proportion, and none at all wakes the one of the template or else the newest; un-paused, the oldest
//! ReplicaSet with the template's content grows within the surge and the others shrink within what may be unavailable.

use belay_engine::rollout::observed::Owner;

use crate::world::{Set, Workload, World};

impl World {
    /// One sync; says whether anything changed.
    pub(crate) fn sync_deployment(&mut self) -> bool {
        let Some(workload) = self.workload.clone() else {
            return false;
        };
        let acted = if workload.shown.paused {
            self.scale(&workload) || self.clean_up(&workload)
        } else if self.is_scaling(&workload) {
            self.scale(&workload)
        } else {
            self.roll(&workload)
        };
        let reported = self.report();
        if !acted && !reported {
            self.controller_idle = true;
        }
        acted || reported
    }

    /// Names of the Deployment's ReplicaSets, oldest first.
    fn owned(&self) -> Vec<String> {
        let mut sets: Vec<&Set> = self
            .sets
            .values()
            .filter(|set| set.shown.owner == Owner::Deployment && !set.shown.terminating)
            .collect();
        sets.sort_by_key(|set| set.created);
        sets.iter().map(|set| set.shown.name.clone()).collect()
    }

    /// The oldest ReplicaSet with the template's content.
    fn new_set(&self, workload: &Workload) -> Option<String> {
        let found = |name: &&String| {
            self.sets
                .get(*name)
                .is_some_and(|set| set.content == workload.content)
        };
        self.owned().iter().find(found).cloned()
    }

    fn desired(&self, name: &str) -> i32 {
        self.sets.get(name).map_or(0, |set| set.shown.desired)
    }

    fn set_desired(&mut self, workload: &Workload, name: &str, desired: i32) -> bool {
        let most = workload.shown.replicas + workload.max_surge;
        let Some(set) = self.sets.get_mut(name) else {
            return false;
        };
        set.annotated = Some((workload.shown.replicas, most));
        if set.shown.desired == desired {
            return false;
        }
        let from = std::mem::replace(&mut set.shown.desired, desired);
        self.tell(|_| format!("deployment controller: {name} {from} -> {desired}"));
        self.changed_set(name);
        self.check_growth(name, from);
        true
    }

    /// Whether an active ReplicaSet was last scaled for another number of replicas.
    fn is_scaling(&self, workload: &Workload) -> bool {
        self.owned()
            .iter()
            .filter_map(|name| self.sets.get(name))
            .any(|set| {
                let known = set
                    .annotated
                    .is_some_and(|(replicas, _)| replicas != workload.shown.replicas);
                set.shown.desired > 0 && known
            })
    }

    fn scale(&mut self, workload: &Workload) -> bool {
        let replicas = workload.shown.replicas;
        let owned = self.owned();
        let active: Vec<String> = owned
            .iter()
            .filter(|name| self.desired(name) > 0)
            .cloned()
            .collect();
        let new = self.new_set(workload);
        match active.as_slice() {
            [] => match new.or_else(|| owned.last().cloned()) {
                Some(name) => self.set_desired(workload, &name, replicas),
                None => false,
            },
            [only] => self.set_desired(workload, only, replicas),
            several
                if new
                    .as_deref()
                    .is_some_and(|new| self.saturated(workload, new)) =>
            {
                let olds = several
                    .iter()
                    .filter(|name| Some(*name) != new.as_ref())
                    .cloned();
                let olds: Vec<String> = olds.collect();
                {
                    let mut acted = false;
                    for name in &olds {
                        acted |= self.set_desired(workload, name, 0);
                    }
                    acted
                }
            }
            several => self.share_out(workload, several),
        }
    }

    fn saturated(&self, workload: &Workload, new: &str) -> bool {
        let replicas = workload.shown.replicas;
        self.sets.get(new).is_some_and(|set| {
            set.shown.desired == replicas
                && set.shown.available == replicas
                && set
                    .annotated
                    .is_some_and(|(annotated, _)| annotated == replicas)
        })
    }

    fn share_out(&mut self, workload: &Workload, active: &[String]) -> bool {
        let replicas = workload.shown.replicas;
        let allowed = if replicas > 0 {
            replicas + workload.max_surge
        } else {
            0
        };
        let present: i32 = active.iter().map(|name| self.desired(name)).sum();
        let to_add = allowed - present;
        let mut order = active.to_vec();
        order.sort_by_key(|name| {
            let created = self.sets.get(name).map_or(0, |set| set.created);
            let created = if to_add > 0 {
                u64::MAX - created
            } else {
                created
            };
            (-self.desired(name), created)
        });
        let mut added = 0;
        let mut sizes: Vec<(String, i32)> = Vec::new();
        for name in &order {
            let part = self.proportion(workload, name, to_add, added);
            added += part;
            sizes.push((name.clone(), self.desired(name) + part));
        }
        if let Some((_, first)) = sizes.first_mut() {
            *first = (*first + to_add - added).max(0);
        }
        sizes.iter().fold(false, |acted, (name, size)| {
            self.set_desired(workload, name, *size) || acted
        })
    }

    fn proportion(&self, workload: &Workload, name: &str, to_add: i32, added: i32) -> i32 {
        let Some(set) = self.sets.get(name) else {
            return 0;
        };
        if set.shown.desired == 0 || to_add == 0 || to_add == added {
            return 0;
        }
        let replicas = workload.shown.replicas;
        let fraction = if replicas == 0 {
            -set.shown.desired
        } else {
            let most = replicas + workload.max_surge;
            let before = set
                .annotated
                .map_or(workload.shown.total_replicas, |(_, most)| most);
            let scaled = (set.shown.desired * most * 2 + before).checked_div(before * 2);
            scaled.unwrap_or(set.shown.desired) - set.shown.desired
        };
        let rest = to_add - added;
        if to_add > 0 {
            fraction.min(rest)
        } else {
            fraction.max(rest)
        }
    }

    fn roll(&mut self, workload: &Workload) -> bool {
        let owned = self.owned();
        let replicas = workload.shown.replicas;
        let most = replicas + workload.max_surge;
        let Some(new) = self.new_set(workload) else {
            let total: i32 = owned.iter().map(|name| self.desired(name)).sum();
            let first = (most - total).clamp(0, replicas);
            let hash = self.native_hash(workload.content);
            self.tell(|_| format!("deployment controller: makes {hash} with {first}"));
            self.add_set(workload.content, Owner::Deployment, &hash, first);
            let name = format!("app-{hash}");
            self.renew_revision(&name);
            self.set_desired(workload, &name, first);
            self.check_growth(&name, 0);
            return true;
        };
        let renewed = self.renew_revision(&new);
        let total: i32 = owned.iter().map(|name| self.desired(name)).sum();
        let present = self.desired(&new);
        let wanted = if present > replicas {
            replicas
        } else {
            present + (most - total).clamp(0, (replicas - present).max(0))
        };
        if self.set_desired(workload, &new, wanted) {
            return true;
        }
        let olds: Vec<String> = owned.into_iter().filter(|name| *name != new).collect();
        self.shrink_old(workload, &new, &olds)
            || self.clean_up_when_complete(workload, &new, &olds)
            || renewed
    }

    /// The same for the same content, unless that name is taken by a ReplicaSet that is not the Deployment's.
    fn native_hash(&mut self, content: usize) -> String {
        let hash = format!("native-{content}");
        if self.sets.contains_key(&format!("app-{hash}")) {
            self.unique(&hash)
        } else {
            hash
        }
    }

    fn shrink_old(&mut self, workload: &Workload, new: &str, olds: &[String]) -> bool {
        let available =
            |world: &Self, name: &str| world.sets.get(name).map_or(0, |set| set.shown.available);
        let least = workload.shown.replicas - workload.max_unavailable;
        let total: i32 =
            olds.iter().map(|name| self.desired(name)).sum::<i32>() + self.desired(new);
        let new_missing = self.desired(new) - available(self, new);
        let mut room = total - least - new_missing;
        let mut acted = false;
        for name in olds {
            let broken = (self.desired(name) - available(self, name)).clamp(0, room.max(0));
            if broken > 0 {
                let size = self.desired(name) - broken;
                acted |= self.set_desired(workload, name, size);
                room -= broken;
            }
        }
        let all_available: i32 =
            olds.iter().map(|name| available(self, name)).sum::<i32>() + available(self, new);
        let mut surplus = (all_available - least).min(room);
        for name in olds {
            let part = self.desired(name).min(surplus.max(0));
            if part > 0 {
                let size = self.desired(name) - part;
                acted |= self.set_desired(workload, name, size);
                surplus -= part;
            }
        }
        acted
    }

    fn renew_revision(&mut self, name: &str) -> bool {
        let newest = self
            .sets
            .values()
            .map(|set| set.revision)
            .max()
            .unwrap_or(0);
        match self.sets.get_mut(name) {
            Some(set) if set.revision < newest || newest == 0 => {
                set.revision = newest + 1;
                self.changed_set(name);
                true
            }
            _ => false,
        }
    }

    fn clean_up_when_complete(&mut self, workload: &Workload, new: &str, olds: &[String]) -> bool {
        let replicas = workload.shown.replicas;
        let whole = self.sets.get(new).is_some_and(|set| {
            set.shown.desired == replicas
                && set.shown.total == replicas
                && set.shown.available == replicas
        });
        let alone = olds
            .iter()
            .filter_map(|name| self.sets.get(name))
            .all(|set| set.shown.total == 0);
        whole && alone && self.clean_up(workload)
    }

    /// Deletes old ReplicaSets beyond the history limit, oldest revision first.
    fn clean_up(&mut self, workload: &Workload) -> bool {
        let new = self.new_set(workload);
        let mut old: Vec<(u64, String)> = self
            .owned()
            .into_iter()
            .filter(|name| Some(name) != new.as_ref())
            .filter_map(|name| {
                let set = self.sets.get(&name)?;
                (set.shown.desired == 0 && set.shown.total == 0).then_some((set.revision, name))
            })
            .collect();
        old.sort();
        let limit = usize::try_from(workload.shown.revision_history_limit).unwrap_or(0);
        let surplus = old.len().saturating_sub(limit);
        for (_, name) in old.iter().take(surplus) {
            self.tell(|_| format!("deployment controller: cleans {name} up"));
            self.sets.remove(name);
        }
        surplus > 0
    }

    /// Brings the Deployment's status up to date.
    fn report(&mut self) -> bool {
        let owned = self.owned();
        let Some(workload) = self.workload.clone() else {
            return false;
        };
        let new = self.new_set(&workload);
        let sum = |field: fn(&Set) -> i32| -> i32 {
            owned
                .iter()
                .filter_map(|name| self.sets.get(name))
                .map(field)
                .sum()
        };
        let mut shown = workload.shown.clone();
        shown.observed_generation = shown.generation;
        shown.total_replicas = sum(|set| set.shown.total);
        shown.ready_replicas = sum(|set| set.shown.ready);
        shown.available_replicas = sum(|set| set.shown.available);
        shown.updated_replicas = new
            .and_then(|name| self.sets.get(&name))
            .map_or(0, |set| set.shown.total);
        if shown == workload.shown {
            return false;
        }
        shown.resource_version = self.fresh_version();
        if let Some(workload) = &mut self.workload {
            workload.shown = shown;
        }
        true
    }
}
