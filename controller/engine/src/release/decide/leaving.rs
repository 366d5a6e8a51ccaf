//! Deletion: the objects stay and run on, or go in reverse order; then the finalizer comes off. A suspended Release writes
//! nothing, so it leaves without touching its objects.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    cluster,
    pass::{Pass, after},
};
use crate::release::{
    Effect,
    observed::Task,
    plan::{DeletionPolicy, Suspension},
    status::Phase,
};

/// How long deletion waits for objects that do not go away. Then the Release goes, and says what it left.
const PATIENCE: Duration = Duration::from_mins(10);

pub(super) fn drive(pass: &mut Pass<'_>, since: Timestamp, policy: DeletionPolicy) {
    pass.enter(Phase::Terminating);
    let inventory = &pass.observed.inventory;
    let suspended = pass
        .plan
        .is_ok_and(|plan| plan.suspension == Suspension::Suspended);
    if inventory.objects == 0 || suspended {
        return pass.effect(Effect::Finish);
    }
    if let Some(barred) = pass.barred.clone() {
        return cluster::leave(pass, &barred, policy);
    }
    let blocker = inventory
        .leftovers
        .first()
        .map(|left| format!("{}: {}", left.object, left.message))
        .or_else(|| {
            pass.trouble(Task::Abandon, None)
                .map(|trouble| trouble.message.clone())
        });
    let deadline = after(pass.in_reach_from(since), PATIENCE);
    if deadline <= pass.now {
        let left = inventory.objects;
        pass.warning(
            "ObjectsLeft",
            format!(
                "{left} objects could not be given up in time and are left: {}",
                blocker.unwrap_or_default()
            ),
        );
        return pass.effect(Effect::Finish);
    }
    pass.wake(deadline);
    let what = match policy {
        DeletionPolicy::Orphan => "Takes Belay's marks off its objects, which run on",
        DeletionPolicy::Delete => "Deletes its objects",
    };
    pass.wait(
        "Terminating",
        blocker.map_or_else(|| what.to_owned(), |blocker| format!("{what}; {blocker}")),
    );
    pass.attempt(Task::Abandon, None, Effect::Abandon { policy });
}
