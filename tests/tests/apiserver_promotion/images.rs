//! `images`: what one environment runs apart from the others is part of its version.

use belay_engine::release::Phase;
use belay_tests::tenant::{Tenant, config_map, deployment};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use super::{lab, scene::Named};

async fn image(tenant: &Tenant) -> String {
    let web = tenant.api::<Deployment>().get("web").await.unwrap();
    let pod = web.spec.unwrap().template.spec.unwrap();
    pod.containers[0].image.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_the_spec_is_applied_verified_and_part_of_the_version() {
    let tenant = Tenant::create(lab().await, "images").await.unwrap();
    let files = [
        ("web.yaml", &*deployment("web", "web:v1", 1, "config")),
        ("config.yaml", &config_map("config", "one")),
    ];
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    let shop = Named(&tenant, "shop");
    let pinned = json!({"images": [{"name": "web", "newTag": "v2"}]});
    shop.create(tenant.repo.url(), "", pinned).await;
    let before = shop.is(Phase::Verified, &commit).await;
    assert_eq!(image(&tenant).await, "web:v2");
    // When the spec names another one, then that is a new version of the same commit.
    let renamed =
        json!({"images": [{"name": "web", "newName": "mirror.example.com/web", "newTag": "v3"}]});
    shop.change(renamed).await;
    let digest = before.verified.unwrap().content.digest;
    let after = shop
        .wait("verified with the other image", |status| {
            let verified = status.verified.as_ref();
            status.phase == Phase::Verified
                && verified.is_some_and(|verified| verified.content.digest != digest)
        })
        .await;
    assert!(after.asked.unwrap().revision.ends_with(&commit));
    assert_eq!(image(&tenant).await, "mirror.example.com/web:v3");
    // When it names one that no container has, then nothing changes, and it says so.
    shop.change(json!({"images": [{"name": "wbe", "newTag": "v4"}]}))
        .await;
    let status = shop.is(Phase::Refused, &commit).await;
    let message = status.refused.unwrap().message;
    assert!(message.contains("wbe"), "{message}");
    assert_eq!(image(&tenant).await, "mirror.example.com/web:v3");
}
