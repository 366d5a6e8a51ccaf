//! Who leads the requests.

use std::time::Duration;

use belay_engine::traffic::RouterKind;
use serde_json::{Value, json};

use crate::convert::{
    fields::Fields,
    note::{Effect, Notes},
    text::written,
};

/// Routes to lead, and the Service that they lead to.
#[derive(Clone, Debug)]
pub(super) struct Routing {
    pub(super) service: String,
    pub(super) routes: Vec<(RouterKind, String)>,
    pub(super) drain: Option<Duration>,
    /// What weights are out of.
    pub(super) most_weight: i64,
}

impl Routing {
    /// As it is written.
    pub(super) fn written(&self) -> Value {
        let routes = self.routes.iter();
        let routes: Vec<Value> = routes
            .map(|(kind, name)| json!({"kind": kind.as_str(), "name": name}))
            .collect();
        let mut traffic = json!({"service": self.service, "routes": routes});
        if let (Some(drain), Some(own)) = (self.drain, traffic.as_object_mut()) {
            own.insert("drain".to_owned(), written(drain));
        }
        traffic
    }
}

/// Routers that Belay does not lead.
const OTHERS: [(&str, Effect, &str); 6] = [
    ("nginx", Effect::Left, NOT_LED),
    ("alb", Effect::Left, NOT_LED),
    ("smi", Effect::Left, NOT_LED),
    ("ambassador", Effect::Left, NOT_LED),
    ("appMesh", Effect::Left, NOT_LED),
    ("apisix", Effect::Left, NOT_LED),
];
const NOT_LED: &str = "Belay leads HTTPRoute and GRPCRoute (Gateway API), VirtualService (Istio) and TraefikService (Traefik); put one of these in front, or go by the share of pods";

/// The routes of a canary's `trafficRouting`, with its Services. `fallback` is the Service's name when none is said.
pub(super) fn routing(
    canary: &mut Fields,
    namespace: Option<&str>,
    fallback: &str,
    notes: &mut Notes,
) -> Option<Routing> {
    let service = services(canary, notes);
    let drain_at = canary.path("scaleDownDelaySeconds");
    let drain = canary.span("scaleDownDelaySeconds", notes);
    let at = canary.path("trafficRouting");
    let asked = canary.fields("trafficRouting", notes);
    let (routes, most_weight) =
        asked.map_or_else(Default::default, |own| routes(own, namespace, notes));
    if routes.is_empty() {
        if service.is_some() {
            notes.differs(&canary.path("stableService"), "without a router requests are shared by the number of pods: let this Service select the workload's own labels, and no version");
        }
        return None;
    }
    if drain.is_some() {
        notes.differs(&drain_at, "it is the time that connections have to end (traffic.drain) before pods go; five seconds are usual");
    }
    let service = service.unwrap_or_else(|| {
        notes.left(&at, "no stableService is named: name the Service of the workload's pods under traffic.service, and let the routes lead to it");
        fallback.to_owned()
    });
    Some(Routing {
        service,
        routes,
        drain,
        most_weight: most_weight.unwrap_or(100),
    })
}

/// The routes of `trafficRouting`, and what its weights are out of.
fn routes(
    mut own: Fields,
    namespace: Option<&str>,
    notes: &mut Notes,
) -> (Vec<(RouterKind, String)>, Option<i64>) {
    let mut routes = Vec::new();
    if let Some(istio) = own.fields("istio", notes) {
        routes.append(&mut self::istio(istio, namespace, notes));
    }
    if let Some(mut traefik) = own.fields("traefik", notes) {
        let name = traefik.text("weightedTraefikServiceName", notes);
        routes.extend(name.map(|name| (RouterKind::TraefikService, name)));
        traefik.end(&[], notes);
    }
    if let Some(plugins) = own.fields("plugins", notes) {
        routes.append(&mut self::plugins(plugins, namespace, notes));
    }
    if own.take("managedRoutes").is_some() {
        notes.differs(
            &own.path("managedRoutes"),
            "rules for cohorts and mirrors are made and taken away without names of yours",
        );
    }
    let most_weight = own
        .whole("maxTrafficWeight", notes)
        .filter(|most| *most > 0);
    own.end(&OTHERS, notes);
    (routes, most_weight)
}

fn services(canary: &mut Fields, notes: &mut Notes) -> Option<String> {
    let stable = canary.text("stableService", notes);
    let at = canary.path("canaryService");
    if let Some(name) = canary.text("canaryService", notes) {
        let ours = stable.as_ref().map(|stable| format!("{stable}-canary"));
        notes.differs(&at, if ours.as_ref() == Some(&name) {
            format!("Belay makes a Service of this very name for the time of a rollout: take {name} out of the routes, and delete it, before the Rollout is made")
        } else {
            format!("Belay makes two Services for the time of a rollout, with -stable and -canary after its name; {name} can go once no route leads to it")
        });
    }
    let at = canary.path("pingPong");
    let ping = canary.fields("pingPong", notes).and_then(|mut own| {
        notes.differs(&at, "one Service is enough, since none changes its version: the ping Service is the workload's, let the routes lead to it alone");
        let ping = own.text("pingService", notes);
        own.take("pongService");
        own.end(&[], notes);
        ping
    });
    stable.or(ping)
}

fn istio(
    mut istio: Fields,
    namespace: Option<&str>,
    notes: &mut Notes,
) -> Vec<(RouterKind, String)> {
    let mut all = istio.each("virtualServices", notes);
    all.extend(istio.fields("virtualService", notes));
    let mut routes = Vec::new();
    for mut one in all {
        let at = one.path("name");
        if let Some(name) = one.text("name", notes) {
            let (name, elsewhere) = match name.split_once('.') {
                Some((name, other)) => (name.to_owned(), Some(other) != namespace),
                None => (name, false),
            };
            if elsewhere {
                notes.left(
                    &at,
                    "a route must be in the Rollout's own namespace; move it there",
                );
            } else {
                routes.push((RouterKind::VirtualService, name));
            }
        }
        let rules = "every rule that leads to the Service is led; rules that are not to be shared lead to another Service";
        one.end(
            &[
                ("routes", Effect::Differs, rules),
                ("tlsRoutes", Effect::Differs, rules),
                ("tcpRoutes", Effect::Differs, rules),
            ],
            notes,
        );
    }
    istio.end(
        &[("destinationRule", Effect::Left, "versions are told apart by Services, not by subsets: take the subsets out of the VirtualService's destinations, and let them lead to the Service alone")],
        notes,
    );
    routes
}

/// The plugin for the Gateway API; others have no counterpart.
fn plugins(
    mut plugins: Fields,
    namespace: Option<&str>,
    notes: &mut Notes,
) -> Vec<(RouterKind, String)> {
    let mut routes = Vec::new();
    for plugin in plugins.names() {
        let at = plugins.path(&plugin);
        if !plugin.to_ascii_lowercase().ends_with("gatewayapi") {
            plugins.take(&plugin);
            notes.left(&at, NOT_LED);
            continue;
        }
        let Some(mut own) = plugins.fields(&plugin, notes) else {
            continue;
        };
        let elsewhere = own.text("namespace", notes);
        if elsewhere.is_some() && namespace.is_some() && elsewhere.as_deref() != namespace {
            notes.left(
                &own.path("namespace"),
                "routes must be in the Rollout's own namespace; move them there",
            );
        }
        for (kind, one, several) in [
            (RouterKind::HttpRoute, "httpRoute", "httpRoutes"),
            (RouterKind::GrpcRoute, "grpcRoute", "grpcRoutes"),
        ] {
            routes.extend(own.text(one, notes).map(|name| (kind, name)));
            for mut route in own.each(several, notes) {
                routes.extend(route.text("name", notes).map(|name| (kind, name)));
                route.take("useHeaderRoutes");
                route.end(&[], notes);
            }
        }
        own.take("configMap");
        own.end(
            &[
                ("tcpRoute", Effect::Left, NOT_LED),
                ("tcpRoutes", Effect::Left, NOT_LED),
                ("tlsRoute", Effect::Left, NOT_LED),
                ("tlsRoutes", Effect::Left, NOT_LED),
            ],
            notes,
        );
    }
    plugins.end(&[], notes);
    routes
}
