//! Variables in the objects of a real repository, and what they are remembered by.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod support;

use std::sync::Arc;

use belay_source::{
    RenderError, RenderRequest, Rendered, Renderer, RendererSettings, RepoPath, Secrecy, SourceHub,
    Substitution,
};
use support::{World, checkout_main};

struct Setup {
    world: World,
    hub: SourceHub,
    renderer: Renderer,
}

impl Setup {
    fn with(manifest: &str) -> Self {
        let world = World::new();
        world.origin.write("deploy/a.yaml", manifest).commit("one");
        Self {
            hub: world.hub(),
            renderer: Renderer::new(RendererSettings::default()),
            world,
        }
    }

    async fn render(
        &self,
        substitution: Option<Substitution>,
    ) -> Result<Arc<Rendered>, RenderError> {
        let checkout = checkout_main(&self.hub, &self.world.repository()).await;
        let mut request = RenderRequest::detect(RepoPath::parse("deploy").unwrap());
        request.substitution = substitution;
        self.renderer.render(&checkout, &request).await
    }
}

const MANIFEST: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: ${count}\n  paused: ${paused:=false}\n";

fn count(value: &str, secrecy: Secrecy) -> Substitution {
    Substitution::new().with("count", value, secrecy)
}

#[tokio::test]
async fn values_are_part_of_what_a_render_is_remembered_by() {
    // Given a manifest with a variable, when it is rendered with one value twice and with another one.
    let setup = Setup::with(MANIFEST);
    let first = setup.render(Some(count("3", Secrecy::Open))).await.unwrap();
    let again = setup.render(Some(count("3", Secrecy::Open))).await.unwrap();
    let other = setup.render(Some(count("4", Secrecy::Open))).await.unwrap();
    // Then equal values are recalled, and another value is other content.
    assert!(Arc::ptr_eq(&first, &again));
    assert_ne!(first.digest, other.digest);
    assert_eq!(first.objects[0].value["spec"]["replicas"], 3);
    assert_eq!(first.objects[0].value["spec"]["paused"], false);
    // And a refusal is remembered as well.
    for _ in 0..2 {
        let error = setup.render(Some(Substitution::new())).await.unwrap_err();
        assert_eq!(error.reason(), "InvalidVariable");
    }
    assert_eq!(setup.renderer.counts().performed, 3);
    // Without the feature nothing is looked at.
    let plain = setup.render(None).await.unwrap();
    assert_eq!(plain.objects[0].value["spec"]["replicas"], "${count}");
}

#[tokio::test]
async fn an_object_with_the_value_of_a_secret_is_marked_and_others_are_not() {
    let setup = Setup::with(&format!("{MANIFEST}---\n{}", support::config("b")));
    let rendered = setup
        .render(Some(count("3", Secrecy::Secret)))
        .await
        .unwrap();
    let marks: Vec<Secrecy> = rendered
        .objects
        .iter()
        .map(|object| object.secrecy)
        .collect();
    assert_eq!(marks, [Secrecy::Secret, Secrecy::Open]);
}
