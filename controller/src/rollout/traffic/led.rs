//! Writes of routes.
//!
//! Invariant: what is written is computed from the very version of the object that the write names as its precondition.

use std::sync::Arc;

use belay_api::Rollout;
use belay_engine::traffic::{RouteId, Split};
use kube::{
    ResourceExt as _,
    api::{DynamicObject, PatchParams, ValidationDirective},
};
use serde_json::{Value, json};

use super::{Way, kept::Kept, roads::Named, seen::of};
use crate::{
    Error, Result,
    client::bounded,
    rollout::{
        Shell,
        act::{gone_is_stale, guarded},
    },
    traffic::{self, Names, ownership},
    watch::store::Source,
};

impl Shell {
    pub(in crate::rollout) async fn set_route(
        &self,
        rollout: &Rollout,
        id: &RouteId,
        service: &str,
        split: &Split,
        resource_version: &str,
    ) -> Result<()> {
        let names = Names::new(&rollout.namespace().unwrap_or_default(), service);
        let place = of(Way::Routes(id.kind), &names, &id.name);
        let kept = self.kept(&place, resource_version).await?;
        let change = traffic::write(id.kind, &kept.object(), &names, Some(split))
            .map_err(|refusal| Error::Traffic(refusal.about(id.kind, &id.name)))?;
        if let Some(change) = change {
            self.write(&place, resource_version, &change.operations())
                .await?;
        }
        Ok(())
    }

    pub(in crate::rollout) async fn send_route_home(
        &self,
        rollout: &Rollout,
        id: &RouteId,
        service: &str,
        resource_version: &str,
    ) -> Result<()> {
        let names = Names::new(&rollout.namespace().unwrap_or_default(), service);
        let place = of(Way::Routes(id.kind), &names, &id.name);
        let kept = self.kept(&place, resource_version).await?;
        let change = traffic::write(id.kind, &kept.object(), &names, None)
            .map_err(|refusal| Error::Traffic(refusal.about(id.kind, &id.name)))?;
        let written = match change {
            Some(change) => Some(
                self.write(&place, resource_version, &change.operations())
                    .await?,
            ),
            None => None,
        };
        let fields = traffic::owned_fields(id.kind);
        self.give_back(&place, &kept, written, &fields).await
    }

    /// The object as it is known, provided it is that of the decision.
    pub(super) async fn kept(&self, place: &Named, resource_version: &str) -> Result<Arc<Kept>> {
        let kept = self.world.roads.get(place).await?;
        kept.filter(|kept| kept.resource_version == resource_version)
            .ok_or(Error::Stale("the route is another one now"))
    }

    /// One JSON patch under the manager of fields that are Belay's for a time, provided the object still has this version.
    pub(super) async fn write(
        &self,
        place: &Named,
        resource_version: &str,
        operations: &[Value],
    ) -> Result<DynamicObject> {
        self.context.term.check()?;
        let patch = guarded(resource_version, operations)?;
        let parameters = PatchParams {
            field_manager: Some(ownership::MANAGER.to_owned()),
            // A field that an older version of the kind would drop must not look written.
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let api = self.world.roads.api(place.way, &place.namespace);
        let write = api.patch(&place.name, &parameters, &patch);
        let written = bounded("writing a route or Service", write)
            .await
            .map_err(gone_is_stale)?;
        self.world.roads.saw(place.way, &written, Source::Answer);
        Ok(written)
    }

    /// Hands Belay's fields of an object to their heirs. `written` is the object after the last write, if there was one.
    pub(super) async fn give_back(
        &self,
        place: &Named,
        kept: &Kept,
        written: Option<DynamicObject>,
        fields: &[&ownership::Path],
    ) -> Result<()> {
        let object = match written {
            Some(object) => object,
            None if kept.is_held => {
                let api = self.world.roads.api(place.way, &place.namespace);
                bounded("reading a route or Service", api.get(&place.name))
                    .await
                    .map_err(gone_is_stale)?
            }
            None => return Ok(()),
        };
        let Some(managed) = ownership::given_back(object.managed_fields(), fields) else {
            return Ok(());
        };
        let version = object.resource_version().unwrap_or_default();
        let hand_over =
            json!({"op": "replace", "path": "/metadata/managedFields", "value": managed});
        self.write(place, &version, &[hand_over]).await.map(drop)
    }
}
