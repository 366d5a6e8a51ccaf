//! One go at sending the objects of a set.

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    memory::Memory,
    progress::Progress,
    send::{Answer, Sending},
};
use crate::apply::{Prepared, server_side::Mode, turn::Part};

/// One go: what goes with every object, what was done before, and what is done now.
pub(super) struct Run<'a> {
    pub(super) sending: Sending<'a>,
    pub(super) progress: Progress<Timestamp>,
    /// What became of the objects that were sent in this go and are not noted yet.
    pub(super) answers: Vec<Answer>,
    /// No object is begun with after this.
    pub(super) deadline: Instant,
}

impl Run<'_> {
    /// Whether something of this turn is still to be sent. A version that was verified has run its Jobs, and does not again.
    pub(super) fn has_work(&mut self, stage: &[Prepared]) -> bool {
        for object in stage {
            if self.sending.mode == Mode::Return && object.turn.part != Part::Main {
                self.progress.did(&object.key);
            }
        }
        stage.iter().any(|object| self.progress.lacks(&object.key))
    }

    /// Sends what is left of one turn, as long as there is time.
    pub(super) async fn send(&mut self, stage: &[Prepared]) {
        let rest = stage
            .iter()
            .filter(|object| self.progress.lacks(&object.key));
        let outcomes = self.sending.stage(rest.collect(), self.deadline).await;
        for (object, outcome) in outcomes {
            self.progress.did(&object.key);
            match outcome {
                Ok(answer) => self.answers.push(answer),
                Err(failure) => self.progress.failed([failure]),
            }
        }
    }

    /// Whether a failure ends the attempt: on the way back none does.
    pub(super) fn is_over(&self) -> bool {
        self.sending.mode == Mode::Apply && self.progress.has_failed()
    }

    /// The next go continues here.
    pub(super) fn leave_to(self, memory: &mut Memory) {
        memory.alive = self.sending.alive;
        memory.sent = self.progress;
    }
}
