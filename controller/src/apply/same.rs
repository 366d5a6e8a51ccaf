//! Objects that are not sent again while the source says the same and nobody changed them.
//!
//! What was sent is remembered as a short digest in the inventory, and forgotten before anything else is sent for the object: so a
//! controller that ends in between sends it again. Nobody changed it while the watch shows Belay's account of fields as it was.
//!
//! Left out, and so always sent: Secrets, for a digest of a short secret gives it away; workloads, whose templates and replicas others
//! write, too; Jobs; what others need to be served first; and objects with words about how they are treated.

use belay_engine::{digest::Digest, release::words::Words};
use serde_json::Value;

use super::{Prepared, failure::Secrecy, order::Rank, server_side, turn::Part};

/// A text that is the same for the same body; nothing for an object that is always sent.
pub fn digest(object: &Prepared) -> Option<String> {
    let is_always_sent = object.turn.part != Part::Main
        || object.turn.rank == Rank::Foundation
        || object.key.group == "batch"
        || object.workload_kind().is_some()
        || object.body.pointer("/spec/replicas").is_some()
        || object.words != Words::default()
        || server_side::secrecy(object) == Secrecy::Secret;
    (!is_always_sent).then(|| of(&object.body))
}

fn of(body: &Value) -> String {
    Digest::of(body).short()
}
