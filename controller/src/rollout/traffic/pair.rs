//! Writes of Services: Belay's pair, and the pin of the user's own.

use belay_api::{
    Rollout,
    names::{FIELD_MANAGER, ROLLOUT_LABEL},
};
use belay_engine::rollout::Side;
use kube::{
    ResourceExt as _,
    api::{DeleteParams, DynamicObject, PostParams, Preconditions},
};
use serde_json::{Value, json};

use super::{Way, kept::Kept, roads::Named, seen::of};
use crate::{
    Error, Result,
    client::bounded,
    rollout::{Shell, candidate::owner_reference},
    traffic::{Names, services},
    watch::store::Source,
};

impl Shell {
    pub(in crate::rollout) async fn ensure_service(
        &self,
        rollout: &Rollout,
        service: &str,
        side: Side,
        hash: &str,
    ) -> Result<()> {
        let names = Names::new(&rollout.namespace().unwrap_or_default(), service);
        let user = self.service(&names, &names.service).await?.object();
        let place = of(Way::Services, &names, services::name(&names, side));
        let label = rollout.spec.workload_ref.kind.hash_label();
        let spec = services::spec(&user, label, hash);
        match self.world.roads.get(&place).await? {
            None => self.create_service(rollout, &place, &spec).await,
            Some(kept) if kept.owner_uid == rollout.uid() => {
                let operations: Vec<Value> = spec
                    .iter()
                    .map(|(key, value)| json!({"op": "add", "path": format!("/spec/{key}"), "value": value}))
                    .collect();
                self.write(&place, &kept.resource_version, &operations)
                    .await
                    .map(drop)
            }
            Some(_) => Err(Error::Traffic(format!(
                "Service {} is not Belay's",
                place.name
            ))),
        }
    }

    pub(in crate::rollout) async fn remove_service(
        &self,
        rollout: &Rollout,
        service: &str,
        side: Side,
    ) -> Result<()> {
        let names = Names::new(&rollout.namespace().unwrap_or_default(), service);
        let place = of(Way::Services, &names, services::name(&names, side));
        let Some(kept) = self.world.roads.get(&place).await? else {
            return Ok(());
        };
        if kept.owner_uid != rollout.uid() {
            return Ok(());
        }
        self.context.term.check()?;
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(kept.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let api = self.world.roads.api(Way::Services, &names.namespace);
        match bounded("removing a Service", api.delete(&place.name, &parameters)).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        self.world.roads.gone(&place, &kept.uid, Source::Answer);
        Ok(())
    }

    pub(in crate::rollout) async fn pin_service(
        &self,
        rollout: &Rollout,
        service: &str,
        hash: &str,
    ) -> Result<()> {
        let names = Names::new(&rollout.namespace().unwrap_or_default(), service);
        let kept = self.service(&names, service).await?;
        let place = of(Way::Services, &names, service);
        let label = rollout.spec.workload_ref.kind.hash_label();
        let pin = json!({"op": "add", "path": format!("/spec/selector/{label}"), "value": hash});
        self.write(&place, &kept.resource_version, &[pin])
            .await
            .map(drop)
    }

    pub(in crate::rollout) async fn unpin_service(
        &self,
        rollout: &Rollout,
        service: &str,
    ) -> Result<()> {
        let names = Names::new(&rollout.namespace().unwrap_or_default(), service);
        let kept = self.service(&names, service).await?;
        let place = of(Way::Services, &names, service);
        let written = match services::pin(&kept.object()) {
            Some((label, _)) => {
                let unpin = json!({"op": "remove", "path": format!("/spec/selector/{label}")});
                Some(self.write(&place, &kept.resource_version, &[unpin]).await?)
            }
            None => None,
        };
        self.give_back(&place, &kept, written, &[services::SELECTOR])
            .await
    }

    async fn service(&self, names: &Names, service: &str) -> Result<std::sync::Arc<Kept>> {
        let kept = self
            .world
            .roads
            .get(&of(Way::Services, names, service))
            .await?;
        kept.ok_or(Error::Stale("the Service is gone"))
    }

    async fn create_service(
        &self,
        rollout: &Rollout,
        place: &Named,
        spec: &serde_json::Map<String, Value>,
    ) -> Result<()> {
        let service: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": place.name,
                "namespace": place.namespace,
                "labels": {ROLLOUT_LABEL: rollout.name_any()},
                "ownerReferences": [owner_reference(rollout)],
            },
            "spec": spec,
        }))?;
        self.context.term.check()?;
        let api = self.world.roads.api(Way::Services, &place.namespace);
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let object = match bounded("creating a Service", api.create(&parameters, &service)).await {
            Err(Error::Kube(kube::Error::Api(status))) if status.is_already_exists() => {
                bounded("reading a Service", api.get(&place.name)).await?
            }
            outcome => outcome?,
        };
        self.world.roads.saw(Way::Services, &object, Source::Answer);
        Ok(())
    }
}
