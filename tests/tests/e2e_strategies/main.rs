//! Who gets which version, by real requests through a real gateway: cohorts by cookie, and clients that stay with their version.

mod places;
mod visitor;

use std::process::ExitCode;

use belay_engine::rollout::status::Phase;
use belay_engine::traffic::Sessions;
use belay_lab::{Lab, Part, wait_for};
use belay_tests::plane::{SOON, Shop, Tests, main as run};
use belay_tests::scene::Scene;
use belay_tests::stage::Stage;
use belay_tests::workload::Workload;
use belay_tests::{Error, check};
use serde_json::{Value, json};

use crate::visitor::Visitor;

static STAGE: Stage = Stage::new();

/// Clients whose first request tells the share.
const CROWD: usize = 60;
/// As often in a row chance alone does not give the same version.
const IN_A_ROW: usize = 12;
/// Further requests of each.
const VISITS: usize = 4;

fn main() -> ExitCode {
    run(Tests::begin(), |tests| {
        tests
            .test("a_cookie_leads_its_cohort_and_nobody_else", cohort)
            .test("a_client_with_the_cookie_stays_with_its_version", sessions)
            .test("traefik_gives_the_cookie_itself", traefik)
            .test(
                "a_stateful_set_gets_its_share_and_loses_no_request_on_the_way",
                places::share,
            )
            .test(
                "a_stateful_set_goes_back_without_a_lost_request",
                places::back,
            )
    })
}

async fn lab() -> Result<&'static Lab, Error> {
    STAGE
        .lab(|| {
            Lab::builder()
                .nodes(2)
                .with(Part::Prometheus)
                .with(Part::Gateway)
        })
        .await
}

/// A shop at its first version, governed.
struct Governed {
    shop: Shop<'static>,
    scene: Scene,
    web: Workload,
}

impl Governed {
    /// With this route to Service `web`, which is applied already.
    async fn open(
        shop: Shop<'static>,
        kind: &str,
        steps: Value,
        cookie: Option<&str>,
    ) -> Result<Self, Error> {
        shop.deployment("web", "shop/web:v1", 2).await?;
        shop.service("web", "web").await?;
        shop.answers().await?;
        let routes = json!([{"kind": kind, "name": "web"}]);
        let mut traffic = json!({"service": "web", "routes": routes, "drain": "1s"});
        if let (Some(cookie), Some(fields)) = (cookie, traffic.as_object_mut()) {
            let affinity = json!({"cookie": cookie, "maxAge": "1h"});
            fields.insert("affinity".to_owned(), affinity);
        }
        shop.apply(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
            "spec": {"workloadRef": {"name": "web"}, "strategy": {"canary": {"steps": steps}}, "traffic": traffic},
        }))
        .await?;
        let web = Workload::existing(&shop.client, &shop.namespace, "web");
        web.settled(Phase::Healthy, "v1", SOON).await?;
        let scene = Scene {
            client: shop.client.clone(),
            namespace: shop.namespace.clone(),
        };
        Ok(Self { shop, scene, web })
    }

    fn visitor(&self) -> Result<Visitor, Error> {
        Visitor::new(self.shop.lab.gateway_url()?, self.shop.host())
    }

    /// Waits until the candidate's share is this, and a person is asked.
    async fn share_is(&self, percent: i32) -> Result<(), Error> {
        self.web
            .status_when(
                |status| match (&status.waiting_for, status.weight_percent) {
                    (Some(waiting), Some(share))
                        if waiting.reason == "Approval" && share == percent =>
                    {
                        Ok(())
                    }
                    other => Err(format!("{other:?}")),
                },
            )
            .await
    }

    /// Waits until a client with this cookie gets this version time after time: a route is in force a moment after its change.
    async fn leads(&self, cookie: &str, version: &str) -> Result<(), Error> {
        let visitor = self.visitor()?.with(cookie);
        let what = format!("{version} for {cookie}");
        let led = wait_for(&what, SOON, || async {
            let mut visitor = visitor.clone();
            for _ in 0..IN_A_ROW {
                let got = visitor.visit().await.map_err(|error| error.to_string())?;
                if got != version {
                    return Err(got);
                }
            }
            Ok(())
        });
        Ok(led.await?)
    }

    /// A crowd of new clients, each with the version that it got first.
    async fn crowd(&self) -> Result<Vec<(Visitor, String)>, Error> {
        let mut crowd = Vec::with_capacity(CROWD);
        for _ in 0..CROWD {
            let mut visitor = self.visitor()?;
            let version = visitor.visit().await?;
            crowd.push((visitor, version));
        }
        Ok(crowd)
    }
}

/// The share of v2 in percent.
fn share<'a>(versions: impl Iterator<Item = &'a String>) -> f64 {
    let (mut new, mut all) = (0_u32, 0_u32);
    for version in versions {
        new += u32::from(version == "v2");
        all += 1;
    }
    f64::from(new * 100) / f64::from(all.max(1))
}

fn near(share: f64, percent: f64) -> Result<(), Error> {
    // The gateway deals by turns, other clients take some of them.
    check((share - percent).abs() <= 5.0, || {
        format!("{share} % instead of {percent} %")
    })
}

async fn cohort() -> Result<(), Error> {
    let shop = Shop::open(lab().await?, "cohort").await?;
    shop.http_route("web", &[("web", 1)]).await?;
    let steps = json!([{"match": [{"cookies": [{"name": "group", "exact": "a$(b).c|`d`"}]}], "approval": true}]);
    let governed = Governed::open(shop, "HTTPRoute", steps, None).await?;
    governed.web.set_image("shop/web:v2").await?;
    governed.web.waits_for("Approval").await?;
    // Whoever has the cookie gets the new version, wherever it stands among others.
    let fits = [
        "group=a$(b).c|`d`",
        "x=1; group=a$(b).c|`d`",
        "group=a$(b).c|`d`; y=2",
        "x=1; group=a$(b).c|`d`; y=2",
    ];
    for cookie in fits {
        governed.leads(cookie, "v2").await?;
    }
    // Nobody else does: special letters mean what they are, and no part of a name or a value is enough.
    let others = [
        "",
        "group=a$(b)xc|`d`",
        "group=a",
        "group=a$(b).c|`d`2",
        "mygroup=a$(b).c|`d`",
        "x=group=a$(b).c|`d`",
    ];
    for cookie in others {
        let mut visitor = governed.visitor()?.with(cookie);
        for _ in 0..VISITS {
            let version = visitor.visit().await?;
            check(version == "v1", || format!("{version} for {cookie:?}"))?;
        }
    }
    // When it goes back, the cookie means nothing any more.
    governed.scene.act("web", "Abort").await?;
    governed.web.is_in(Phase::Rejected).await?;
    for cookie in fits {
        governed.leads(cookie, "v1").await?;
    }
    Ok(())
}

fn rising() -> Value {
    json!([{"weight": 20, "approval": true}, {"weight": 60, "approval": true}])
}

/// Traefik's provider for the Gateway API reads no filters of destinations, so here the client brings the cookies that other gateways
/// would have given it.
async fn sessions() -> Result<(), Error> {
    let shop = Shop::open(lab().await?, "sessions").await?;
    shop.http_route("web", &[("web", 1)]).await?;
    let governed = Governed::open(shop, "HTTPRoute", rising(), Some("shop")).await?;
    governed.web.set_image("shop/web:v2").await?;
    governed.share_is(20).await?;
    let candidate = governed.web.status().await?.candidate;
    let candidate = candidate.ok_or_else(|| Error::Broken("no candidate".into()))?;
    let trial = Sessions::trial(&candidate.version.hash, candidate.started_at);
    let (given, stayed) = (
        format!("shop={trial}.canary"),
        format!("shop={trial}.stable-20"),
    );
    governed.leads(&given, "v2").await?;
    governed.leads(&stayed, "v1").await?;
    for _ in 0..20 {
        for (cookie, wanted) in [(&given, "v2"), (&stayed, "v1")] {
            let version = governed.visitor()?.with(cookie).visit().await?;
            check(version == wanted, || format!("{version} for {cookie}"))?;
        }
    }
    // When the share grows from 20 to 60 %, half of those who stayed go over, and whoever has the candidate stays with it.
    governed.scene.act("web", "Approve").await?;
    governed.share_is(60).await?;
    governed
        .leads(&format!("shop={trial}.stable-60"), "v1")
        .await?;
    let mut versions = Vec::new();
    for _ in 0..CROWD {
        versions.push(governed.visitor()?.with(&stayed).visit().await?);
        let version = governed.visitor()?.with(&given).visit().await?;
        check(version == "v2", || format!("{version} for {given}"))?;
    }
    near(share(versions.iter()), 50.0)?;
    // When it goes back, all are on stable.
    governed.scene.act("web", "Abort").await?;
    governed.web.is_in(Phase::Rejected).await?;
    governed.leads(&given, "v1").await
}

async fn traefik() -> Result<(), Error> {
    let shop = Shop::open(lab().await?, "sticky").await?;
    let service = json!({
        "apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "metadata": {"name": "web"},
        "spec": {"weighted": {"services": [{"name": "web", "port": 80}]}},
    });
    shop.apply(service.clone()).await?;
    shop.apply(json!({
        "apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": {"name": "web"},
        "spec": {"entryPoints": ["web"], "routes": [{
            "kind": "Rule", "match": format!("Host(`{}`)", shop.host()),
            "services": [{"kind": "TraefikService", "name": "web"}],
        }]},
    }))
    .await?;
    let governed = Governed::open(shop, "TraefikService", rising(), Some("shop")).await?;
    governed.web.set_image("shop/web:v2").await?;
    governed.share_is(20).await?;
    // Traefik says nothing of when it has taken a change up: new clients are given a cookie then.
    wait_for("a cookie", SOON, || async {
        let mut visitor = governed.visitor().map_err(|error| error.to_string())?;
        visitor.visit().await.map_err(|error| error.to_string())?;
        visitor.cookie().map(drop).ok_or_else(|| "none".to_owned())
    })
    .await?;
    let mut first = governed.crowd().await?;
    near(share(first.iter().map(|(_, version)| version)), 20.0)?;
    for (visitor, version) in &mut first {
        for _ in 0..VISITS {
            let now = visitor.visit().await?;
            check(now == *version, || {
                format!("thrown from {version} to {now}")
            })?;
        }
    }
    // When the share grows, nobody of them moves, and of new clients as many as it says get the candidate.
    governed.scene.act("web", "Approve").await?;
    governed.share_is(60).await?;
    wait_for("the share of new clients", SOON, || async {
        let crowd = governed.crowd().await.map_err(|error| error.to_string())?;
        near(share(crowd.iter().map(|(_, version)| version)), 60.0)
            .map_err(|error| error.to_string())
    })
    .await?;
    for (visitor, version) in &mut first {
        let now = visitor.visit().await?;
        check(now == *version, || {
            format!("thrown from {version} to {now}")
        })?;
    }
    // When it goes back, all are on stable, whatever their cookies say, and Traefik gives no more.
    governed.scene.act("web", "Abort").await?;
    governed.web.is_in(Phase::Rejected).await?;
    for (visitor, _) in &mut first {
        let version = visitor.visit().await?;
        check(version == "v1", || format!("{version} after the rollback"))?;
    }
    let mut fresh = governed.visitor()?;
    fresh.visit().await?;
    check(fresh.cookie().is_none(), || format!("{fresh:?}"))
}
