//! The lab's data plane, without Belay: what it shows of Belay is worth as much as it is true to a real one.
//!
//! Weights are the shares of real answers, pods that are not ready get nothing, pods that are deleted drain, and pods that don't
//! drain lose requests, which the client counts.

use std::process::ExitCode;

use belay_lab::{Failure, Lab, Part, SharedLab, Tally, wait_for};
use belay_tests::plane::{SOON, Shop, Tests, from_now_on, main as run, share_becomes};
use belay_tests::{Error, check};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::DeleteParams};
use reqwest::{Client, StatusCode, header::CONNECTION};
use serde_json::{Value, json};

static LAB: SharedLab = SharedLab::new();

fn main() -> ExitCode {
    run(Tests::begin(), |tests| {
        tests
            .test("the_weights_of_a_route_are_the_shares_of_answers", weights)
            .test("a_traefik_service_splits_by_weight", traefik_service)
            .test("a_pod_answers_at_its_address_from_ready_to_gone", life)
            .test("prometheus_scrapes_pods_and_gateway", scraped)
            .test("pods_that_are_not_ready_get_no_requests", readiness)
            .test("a_rolling_update_loses_no_request", rolling_update)
            .test("pods_that_do_not_drain_lose_requests", hard_stop)
    })
}

async fn lab() -> Result<&'static Lab, Error> {
    let lab = LAB.get(|| {
        Lab::builder()
            .nodes(2)
            .with(Part::Prometheus)
            .with(Part::Gateway)
    });
    Ok(lab.await?)
}

fn nothing_lost(tally: &Tally) -> Result<(), Error> {
    check(tally.lost() == 0 && tally.under_way == 0, || {
        format!("requests were lost: {tally:#?}")
    })
}

/// Two versions behind Services of their own.
async fn two_versions(shop: &Shop<'_>) -> Result<(), Error> {
    for version in ["v1", "v2"] {
        let name = format!("web-{version}");
        shop.deployment(&name, &format!("shop/web:{version}"), 3)
            .await?;
        shop.service(&name, &name).await?;
    }
    Ok(())
}

async fn weights() -> Result<(), Error> {
    // Given two versions at 80 and 20 %.
    let shop = Shop::open(lab().await?, "weights").await?;
    two_versions(&shop).await?;
    shop.http_route("web", &[("web-v1", 80), ("web-v2", 20)])
        .await?;
    shop.answers().await?;
    // When requests come, then the versions answer in these shares, also after the weights were changed, and none gets lost.
    let traffic = shop.traffic()?.per_second(150.0).start()?;
    for (stable, canary) in [(80, 20), (50, 50), (0, 100)] {
        shop.http_route("web", &[("web-v1", stable), ("web-v2", canary)])
            .await?;
        share_becomes(&traffic, "v2", canary.into()).await?;
        let tally = from_now_on(&traffic, 600).await?;
        let share = tally.share("v2") * 100.0;
        check((share - f64::from(canary)).abs() <= 2.0, || {
            format!("{share} % of the answers at a weight of {canary}: {tally:?}")
        })?;
    }
    nothing_lost(&traffic.stop().await)
}

async fn traefik_service() -> Result<(), Error> {
    // Given an IngressRoute to a TraefikService of two weighted Services.
    let shop = Shop::open(lab().await?, "traefik").await?;
    two_versions(&shop).await?;
    shop.apply(json!({
        "apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "metadata": {"name": "web"},
        "spec": {"weighted": {"services": [
            {"name": "web-v1", "port": 80, "weight": 70}, {"name": "web-v2", "port": 80, "weight": 30},
        ]}},
    }))
    .await?;
    shop.apply(json!({
        "apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": {"name": "web"},
        "spec": {"entryPoints": ["web"], "routes": [{
            "kind": "Rule", "match": format!("Host(`{}`)", shop.host()),
            "services": [{"kind": "TraefikService", "name": "web"}],
        }]},
    }))
    .await?;
    shop.answers().await?;
    // When requests come, then the versions answer in these shares.
    let traffic = shop.traffic()?.per_second(100.0).start()?;
    share_becomes(&traffic, "v2", 30.0).await?;
    let share = from_now_on(&traffic, 400).await?.share("v2") * 100.0;
    check((28.0..=32.0).contains(&share), || format!("{share} %"))?;
    nothing_lost(&traffic.stop().await)
}

/// A pod's address, as anybody in the cluster reaches it.
fn url(pod: &Pod, path: &str) -> Result<String, Error> {
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    let address = address.ok_or_else(|| Error::Broken("a pod has no address".into()))?;
    Ok(format!("http://{address}:8080{path}"))
}

async fn only_pod(shop: &Shop<'_>, app: &str) -> Result<Pod, Error> {
    let pods = shop.pods(app).await?;
    let pod = pods.into_iter().next();
    pod.ok_or_else(|| Error::Broken(format!("{app} has no pod")))
}

async fn life() -> Result<(), Error> {
    // Given a pod that is ready and one that will never be.
    let shop = Shop::open(lab().await?, "life").await?;
    shop.deployment("web", "shop/web:v1", 1).await?;
    let pod = only_pod(&shop, "web").await?;
    let pods: Api<Pod> = Api::namespaced(shop.client.clone(), &shop.namespace);
    let unready: Pod = serde_json::from_value(json!({
        "metadata": {"name": "unready", "labels": {"app": "unready"}},
        "spec": {"containers": [{"name": "main", "image": "shop/web:v1-neverready"}]},
    }))?;
    pods.create(&kube::api::PostParams::default(), &unready)
        .await?;
    let unready = wait_for("the other pod to run", SOON, || async {
        let pod = pods.get("unready").await;
        let pod = pod.map_err(|error| error.to_string())?;
        url(&pod, "/").map_err(|error| error.to_string())
    });
    let client = Client::builder().no_proxy().build()?;
    let refused = client.get(unready.await?).send().await;
    check(refused.is_err(), || {
        format!("a pod that is not ready answered: {refused:?}")
    })?;

    // When it is asked, then it names itself and keeps the connection.
    let address = url(&pod, "/")?;
    let answer = client.get(&address).send().await?;
    let name = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
    let said = (name("x-pod"), name("x-version"), name("connection"));
    check(
        said == (Some(pod.name_any()), Some("v1".into()), None),
        || format!("{said:?}"),
    )?;
    // When it is deleted, then it goes on answering, and ends the connection.
    pods.delete(&pod.name_any(), &DeleteParams::default())
        .await?;
    let closing = wait_for("an answer that ends the connection", SOON, || async {
        let answer = client.get(&address).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let closes = answer.headers().get(CONNECTION).is_some();
        (closes && answer.status() == StatusCode::OK)
            .then_some(())
            .ok_or_else(|| format!("{answer:?}"))
    });
    closing.await?;
    // When its grace period is over, then nobody answers any more.
    let gone = wait_for("the pod's address to be dead", SOON, || async {
        match client.get(&address).send().await {
            Ok(answer) => Err(format!("{answer:?}")),
            Err(_) => Ok(()),
        }
    });
    Ok(gone.await?)
}

async fn query(lab: &Lab, query: &str) -> Result<f64, String> {
    let url = lab.prometheus_url().map_err(|error| error.to_string())? + "/api/v1/query";
    let client = Client::builder().no_proxy().build();
    let client = client.map_err(|error| error.to_string())?;
    let answer = client.get(url).query(&[("query", query)]).send().await;
    let answer = answer.map_err(|error| error.to_string())?;
    let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
    let value = answer.pointer("/data/result/0/value/1");
    let value = value.and_then(|value| value.as_str()?.parse().ok());
    value.ok_or_else(|| answer.to_string())
}

async fn scraped() -> Result<(), Error> {
    // Given traffic of which a tenth fails.
    let lab = lab().await?;
    let shop = Shop::open(lab, "scraped").await?;
    shop.deployment("web", "shop/web:v1-err10", 2).await?;
    shop.service("web", "web").await?;
    shop.http_route("web", &[("web", 1)]).await?;
    shop.answers().await?;
    let traffic = shop.traffic()?.per_second(50.0).start()?;
    // When Prometheus has scraped, then the pods' own counters and the gateway's tell of it.
    let namespace = &shop.namespace;
    let count = format!("http_requests_total{{namespace=\"{namespace}\",service=\"web\"");
    let queries = [
        format!("sum(rate({count},code=\"500\"}}[10s])) / sum(rate({count}}}[10s])) > 0.01 < 0.3"),
        format!("count(count by (pod) ({count},version=\"v1-err10\"}})) == 2"),
        format!("sum(traefik_service_requests_total{{service=~\".*{namespace}.*\"}}) > 0"),
    ];
    for text in queries {
        wait_for(&text, SOON, || query(lab, &text)).await?;
    }
    let tally = traffic.stop().await;
    check(tally.failed.contains_key(&Failure::Pod(500)), || {
        format!("no failure of a pod was counted: {tally:?}")
    })?;
    nothing_lost(&tally)
}

async fn readiness() -> Result<(), Error> {
    // Given a Service with pods that are ready and pods that will never be.
    let shop = Shop::open(lab().await?, "ready").await?;
    shop.deployment("web", "shop/web:v1", 2).await?;
    shop.service("web", "web").await?;
    shop.http_route("web", &[("web", 1)]).await?;
    shop.answers().await?;
    let traffic = shop.traffic()?.per_second(100.0).start()?;
    for number in 0..2 {
        let pods: Api<Pod> = Api::namespaced(shop.client.clone(), &shop.namespace);
        let pod = serde_json::from_value(json!({
            "metadata": {"name": format!("unready-{number}"), "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "shop/web:v2-neverready"}]},
        }))?;
        pods.create(&kube::api::PostParams::default(), &pod).await?;
    }
    // When one more comes that is ready late, then it gets requests from then on; the others get none, and nothing gets lost.
    let pods: Api<Pod> = Api::namespaced(shop.client.clone(), &shop.namespace);
    let late = serde_json::from_value(json!({
        "metadata": {"name": "late", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "shop/web:v3-slow-3s"}]},
    }))?;
    pods.create(&kube::api::PostParams::default(), &late)
        .await?;
    wait_for("answers of the late pod", SOON, || async {
        let tally = traffic.tally();
        let answers = tally.pods.get("late").copied().unwrap_or_default();
        (answers > 50)
            .then_some(())
            .ok_or_else(|| format!("{tally:?}"))
    })
    .await?;
    let tally = traffic.stop().await;
    check(tally.share("v2-neverready") == 0.0, || {
        format!("a pod that is not ready answered: {tally:?}")
    })?;
    nothing_lost(&tally)
}

async fn rolling_update() -> Result<(), Error> {
    // Given a plain Deployment under load.
    let shop = Shop::open(lab().await?, "rolling").await?;
    shop.deployment("web", "shop/web:v1-slow-1s", 6).await?;
    shop.service("web", "web").await?;
    shop.http_route("web", &[("web", 1)]).await?;
    shop.answers().await?;
    let traffic = shop.traffic()?.per_second(150.0).start()?;
    share_becomes(&traffic, "v1-slow-1s", 100.0).await?;
    // When it rolls to another version and back, then no request gets lost.
    for image in ["v2-slow-1s", "v1-slow-1s"] {
        shop.deployment("web", &format!("shop/web:{image}"), 6)
            .await?;
        share_becomes(&traffic, image, 100.0).await?;
    }
    nothing_lost(&traffic.stop().await)
}

async fn hard_stop() -> Result<(), Error> {
    // Given slow pods that end at once when they are deleted, with requests under way at all times.
    let shop = Shop::open(lab().await?, "hard").await?;
    shop.deployment("web", "shop/web:v1-lat300-hardstop", 2)
        .await?;
    shop.service("web", "web").await?;
    shop.http_route("web", &[("web", 1)]).await?;
    shop.answers().await?;
    let traffic = shop.traffic()?.per_second(100.0).start()?;
    from_now_on(&traffic, 100).await?;
    // When one is deleted, then requests get lost, and the client says how.
    let pods: Api<Pod> = Api::namespaced(shop.client.clone(), &shop.namespace);
    let pod = only_pod(&shop, "web").await?;
    pods.delete(&pod.name_any(), &DeleteParams::default())
        .await?;
    let lost = wait_for("lost requests", SOON, || async {
        let tally = traffic.tally();
        (tally.lost() > 0)
            .then(|| tally.clone())
            .ok_or_else(|| format!("{tally:?}"))
    });
    let lost = lost.await?;
    check(lost.failed.contains_key(&Failure::Gateway(502)), || {
        format!("{lost:?}")
    })
}
