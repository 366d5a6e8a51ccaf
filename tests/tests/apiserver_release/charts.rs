//! Charts from elsewhere than the repository: from a real OCI registry, and from a Helm repository.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
};
use belay_engine::release::Phase;
use belay_tests::{
    registry::{Artifact, Registry, digest},
    tenant::Tenant,
};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::{SOON, inputs::allow_secret, lab, oci::RUNS};

/// A tenant with a login that its account may read, and with values in its repository. Gives the commit, too.
async fn tenant(name: &str, (user, password): (&str, &str)) -> (Tenant, String) {
    let tenant = Tenant::create(lab().await, name).await.unwrap();
    let login = json!({"username": user, "password": password});
    let secret = json!({"metadata": {"name": "charts"}, "stringData": login});
    tenant.make::<Secret>(secret).await.unwrap();
    allow_secret(&tenant, "charts").await;
    let values = [("values/prod.yaml", "color: blue\n")];
    let commit = tenant.repo.commit(&values, "Values").await.unwrap();
    (tenant, commit)
}

/// The chart `web` at `version`, whose ConfigMap says what it was made of.
fn packed(version: &str) -> Artifact {
    let description = format!("apiVersion: v2\nname: web\nversion: {version}\n");
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  value: {{ .Chart.Version }}-{{ .Values.color }}\n";
    let files = [
        ("web/Chart.yaml", description.as_str()),
        ("web/values.yaml", "color: red\n"),
        ("web/templates/config.yaml", template),
    ];
    Artifact::chart(&files).unwrap()
}

fn render(repository: &str) -> Value {
    let chart = json!({"repository": repository, "name": "web", "version": "1.x", "secretRef": {"name": "charts"}});
    json!({"render": {"helm": {"chart": chart, "valuesFiles": ["values/prod.yaml"]}}})
}

async fn value_is(tenant: &Tenant, value: &str) {
    tenant.value_is("shop", Some(value), SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_of_a_private_registry_is_rendered_with_values_from_git() {
    let _runs = RUNS.read().await;
    // Given two versions of a chart, and a Release with values of its own.
    let (tenant, commit) = tenant("oci-chart", lab().await.registry_login()).await;
    let registry = Registry::of(lab().await).unwrap();
    let place = format!("{}/web", tenant.namespace);
    let push = async |version: &str| {
        let chart = packed(version);
        registry.push(&place, version, &chart).await.unwrap();
    };
    push("1.2.0").await;
    push("1.10.0").await;
    let more = render(&registry.url(&tenant.namespace));
    tenant.release(&more).await.unwrap();
    // Then the highest version in the range is rendered.
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    value_is(&tenant, "1.10.0-blue").await;
    // When a higher version is pushed, then it is brought in without a commit.
    push("1.10.1").await;
    value_is(&tenant, "1.10.1-blue").await;
}

/// The charts of a Helm repository by their versions.
type Charts = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A Helm repository over HTTP, as a folder of a web server behind a login.
async fn served(charts: Charts) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/stable/{file}", axum::routing::get(file))
        .with_state(charts);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/stable")
}

async fn file(
    State(charts): State<Charts>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Vec<u8>, StatusCode> {
    // bot:sesame
    let login = headers.get(header::AUTHORIZATION);
    if login.is_none_or(|login| login != "Basic Ym90OnNlc2FtZQ==") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let charts = charts.lock().unwrap();
    if file == "index.yaml" {
        let mut index = "apiVersion: v1\nentries:\n  web:\n".to_owned();
        for (version, bytes) in charts.iter() {
            let digest = digest(bytes);
            let digits = digest.trim_start_matches("sha256:");
            writeln!(
                index,
                "  - {{version: {version}, digest: {digits}, urls: [web-{version}.tgz]}}"
            )
            .unwrap();
        }
        return Ok(index.into_bytes());
    }
    let version = file
        .strip_prefix("web-")
        .and_then(|rest| rest.strip_suffix(".tgz"));
    let chart = version.and_then(|version| charts.get(version));
    chart.cloned().ok_or(StatusCode::NOT_FOUND)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_of_a_private_helm_repository_is_rendered_with_values_from_git() {
    // Given a repository with two versions of a chart.
    let (tenant, commit) = tenant("helm-chart", ("bot", "sesame")).await;
    let charts = Charts::default();
    let add = |version: &str| {
        let chart = packed(version).layer().to_vec();
        charts.lock().unwrap().insert(version.to_owned(), chart);
    };
    add("1.2.0");
    add("1.10.0");
    let more = render(&served(Arc::clone(&charts)).await);
    tenant.release(&more).await.unwrap();
    // Then the highest version in the range is rendered, and a higher one when it comes.
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    value_is(&tenant, "1.10.0-blue").await;
    add("1.10.1");
    value_is(&tenant, "1.10.1-blue").await;
}
