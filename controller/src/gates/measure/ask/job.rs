//! A Job, once for each measurement that counts.

use belay_engine::gate::Result as GateResult;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::{Asker, Measured};
use crate::gates::{
    Gated,
    measure::Task,
    probe::job::{JobQuestion, Ticket},
};

impl Asker {
    pub(super) async fn job<K: Gated>(
        &self,
        task: &Task<K>,
        question: &JobQuestion,
    ) -> Result<Measured, String> {
        // The answer is as old as its question, however long the Job runs.
        let at = Timestamp::now();
        let Some(place) = &task.place else {
            let why = "the Job starts once the pods of this step are ready".to_owned();
            return Ok((at, GateResult::Continue { why }));
        };
        let ticket = Ticket {
            namespace: task.object.namespace.clone().unwrap_or_default(),
            owner: OwnerReference {
                api_version: K::api_version(&()).into_owned(),
                kind: K::kind(&()).into_owned(),
                name: task.object.name.clone(),
                uid: task.uid.clone(),
                controller: Some(true),
                // The account need not be allowed to change the owner's finalizers.
                block_owner_deletion: None,
            },
            trial: task.trial.label(),
            gate: task.gate.clone(),
            segment: place.segment.clone(),
            round: place.round,
        };
        let values = self.values(task).await?;
        let secret: Vec<&str> = task.question.arguments.secret_names();
        let result = Box::pin(self.jobs.run(question, &ticket, &values, &secret)).await?;
        Ok((at, result))
    }
}
