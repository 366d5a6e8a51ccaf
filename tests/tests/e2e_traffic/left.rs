//! What may be left of a rollout: nothing.

use belay_lab::wait_for;
use belay_tests::Error;
use belay_tests::plane::Shop;
use k8s_openapi::api::core::v1::Service;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::lane::LIMIT;

/// The user's route and Service, with who owns what in them, and the names of all Services.
pub(crate) async fn state(shop: &Shop<'_>) -> Result<Value, Error> {
    let (client, namespace) = (shop.client.clone(), &shop.namespace);
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let resources = [
        ApiResource::from_gvk(&kind),
        ApiResource::erase::<Service>(&()),
    ];
    let mut objects = Vec::new();
    for resource in resources {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let object = api.get("web").await?;
        objects.push(
            json!({"spec": object.data.get("spec"), "labels": object.labels(),
            "annotations": object.annotations(), "owners": owners(&object)}),
        );
    }
    let services: Api<Service> = Api::namespaced(client, namespace);
    let services = services.list(&ListParams::default()).await?;
    let names: Vec<String> = services.iter().map(ResourceExt::name_any).collect();
    Ok(json!({"objects": objects, "services": names}))
}

/// Who owns which fields; what the gateway says of itself comes when it comes, and times differ.
fn owners(object: &DynamicObject) -> Vec<Value> {
    let of_the_spec = |entry: &Value| entry.get("subresource").is_none_or(|of| of != "status");
    let mut owners: Vec<Value> = object
        .managed_fields()
        .iter()
        .map(|entry| json!(entry))
        .filter(of_the_spec)
        .collect();
    for entry in &mut owners {
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("time");
        }
    }
    owners
}

/// Waits until everything is as it was.
pub(crate) async fn nothing_is_left(shop: &Shop<'_>, before: &Value) -> Result<(), Error> {
    let left = wait_for("everything to be as before", LIMIT, || async {
        let now = state(shop).await.map_err(|error| error.to_string())?;
        if now == *before {
            Ok(())
        } else {
            Err(format!("before {before:#}, now {now:#}"))
        }
    });
    Ok(left.await?)
}
