//! Routes and Services as objects: what they say, and what must be written so that they say something else.
//!
//! Every kind of route has one file here, with pure functions on the raw object. What is written is always computed anew from the
//! whole live object: first as it is without Belay, then as it is wanted. So fields that Belay doesn't know survive, a tool that
//! applies the route's source in mid-canary is simply answered, and nothing about the original must be remembered.
//!
//! Invariant: a route that was sent home is what it was before, to the letter, for every route that Belay agrees to lead; what
//! can't be brought back is refused before the first write.
//!
//! Invariant: of a route, only the lists of destinations are written, and never anything else.
//!
//! Deliberately absent: subsets (a Service for each version makes them needless), and deciding anything; that is the planner's.

mod acknowledged;
mod condition;
mod gateway;
mod names;
pub mod ownership;
mod rules;
pub mod services;
mod sessions;
mod traefik_service;
mod virtual_service;
mod weights;

use belay_engine::traffic::{Acknowledgement, RouteState, RouterKind, Sessions, Split};
use kube::api::ApiResource;
use serde_json::{Value, json};

pub use names::Names;

/// Why a route can't be led, with what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    /// A whole sentence about this route.
    pub fn about(&self, kind: RouterKind, name: &str) -> String {
        format!("{} {name} can't be led: {}", kind.as_str(), self.0)
    }
}

/// A change of a route: new values of some of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// JSON pointers to fields, with what they are to be; nothing for those that are to go.
    pub fields: Vec<(&'static str, Option<Value>)>,
}

impl Change {
    /// The operations of a JSON patch.
    pub fn operations(self) -> Vec<Value> {
        let operation = |(path, value): (&str, Option<Value>)| match value {
            // It replaces what is there.
            Some(value) => json!({"op": "add", "path": path, "value": value}),
            None => json!({"op": "remove", "path": path}),
        };
        self.fields.into_iter().map(operation).collect()
    }
}

/// One field of a route that Belay writes, as JSON pointer and as in `managedFields`.
pub(crate) type Field = (&'static str, &'static [&'static str]);

/// What one kind of route needs to be led.
trait Router {
    /// The fields that are written.
    const FIELDS: &'static [Field];

    /// The value of a field without anything of Belay's in it; nothing if there is nothing.
    fn home(names: &Names, value: &Value) -> Option<Value>;

    /// The value of a field that is home, with as much of the split in it as the field can have; nothing if the user's Service has no
    /// share there.
    fn split(
        names: &Names,
        field: &str,
        home: &Value,
        split: &Split,
    ) -> Result<Option<Value>, Refusal>;

    /// Whether cohorts and mirrors are possible in a field.
    fn takes_all(_field: &str) -> bool {
        true
    }

    /// The split that a field seems to have.
    fn guess(names: &Names, value: &Value) -> Option<Split>;

    /// The field by which the kind itself keeps clients where they are, if it can.
    fn sticky() -> Option<&'static dyn Sticky> {
        None
    }
}

/// A field that exists only while clients are kept on the version that they were given.
trait Sticky {
    /// JSON pointer to it.
    fn pointer(&self) -> &'static str;

    /// What it is to be.
    fn value(&self, sessions: &Sessions) -> Value;

    /// The sessions of a value that is Belay's.
    fn sessions(&self, value: &Value) -> Option<Sessions>;
}

/// The resource of raw routes of this kind.
pub fn resource(kind: RouterKind) -> ApiResource {
    let (group, version, plural) = match kind {
        RouterKind::HttpRoute => ("gateway.networking.k8s.io", "v1", "httproutes"),
        RouterKind::GrpcRoute => ("gateway.networking.k8s.io", "v1", "grpcroutes"),
        RouterKind::VirtualService => ("networking.istio.io", "v1", "virtualservices"),
        RouterKind::TraefikService => ("traefik.io", "v1alpha1", "traefikservices"),
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: kind.as_str().to_owned(),
        plural: plural.to_owned(),
    }
}

/// The fields of this kind that Belay writes, as in `managedFields`.
pub fn owned_fields(kind: RouterKind) -> Vec<&'static [&'static str]> {
    fields(kind).iter().map(|(_, path)| *path).collect()
}

/// Fields of the user's objects that Belay writes in place of their owner, of whatever kind.
pub fn led_fields() -> impl Iterator<Item = &'static ownership::Path> {
    let kinds = [
        RouterKind::HttpRoute,
        RouterKind::GrpcRoute,
        RouterKind::VirtualService,
        RouterKind::TraefikService,
    ];
    let routes = kinds.into_iter().flat_map(fields).map(|(_, path)| *path);
    routes.chain([services::SELECTOR])
}

/// What the route says. `object` has at least its spec; whether Belay owns fields of it is the caller's to look at.
pub fn read(kind: RouterKind, object: &Value, names: &Names) -> RouteState {
    match kind {
        RouterKind::HttpRoute => read_as::<gateway::Http>(object, names),
        RouterKind::GrpcRoute => read_as::<gateway::Grpc>(object, names),
        RouterKind::VirtualService => read_as::<virtual_service::Istio>(object, names),
        RouterKind::TraefikService => read_as::<traefik_service::Traefik>(object, names),
    }
}

/// What its router says of the route in its present version.
pub fn acknowledged(kind: RouterKind, object: &Value, generation: i64) -> Acknowledgement {
    match kind {
        RouterKind::HttpRoute | RouterKind::GrpcRoute => {
            acknowledged::by_gateways(object, generation)
        }
        RouterKind::VirtualService | RouterKind::TraefikService => Acknowledgement::NeverGiven,
    }
}

/// What must be written for the route to say `wanted`; without it, to be home. Nothing, if it says so already.
pub fn write(
    kind: RouterKind,
    object: &Value,
    names: &Names,
    wanted: Option<&Split>,
) -> Result<Option<Change>, Refusal> {
    let change = match kind {
        RouterKind::HttpRoute => change::<gateway::Http>(object, names, wanted),
        RouterKind::GrpcRoute => change::<gateway::Grpc>(object, names, wanted),
        RouterKind::VirtualService => change::<virtual_service::Istio>(object, names, wanted),
        RouterKind::TraefikService => change::<traefik_service::Traefik>(object, names, wanted),
    }?;
    Ok((!change.fields.is_empty()).then_some(change))
}

fn fields(kind: RouterKind) -> &'static [Field] {
    match kind {
        RouterKind::HttpRoute => gateway::Http::FIELDS,
        RouterKind::GrpcRoute => gateway::Grpc::FIELDS,
        RouterKind::VirtualService => virtual_service::Istio::FIELDS,
        RouterKind::TraefikService => traefik_service::Traefik::FIELDS,
    }
}

fn read_as<R: Router>(object: &Value, names: &Names) -> RouteState {
    let values = || {
        R::FIELDS
            .iter()
            .filter_map(|(pointer, _)| object.pointer(pointer))
    };
    let kept = R::sticky().map(|sticky| {
        let value = object.pointer(sticky.pointer());
        value.and_then(|value| sticky.sessions(value))
    });
    let is_kept = matches!(kept, Some(Some(_)));
    if !is_kept && values().all(|value| R::home(names, value).is_none()) {
        // Only what could be split, and brought back, is worth being called home.
        return match change::<R>(object, names, Some(&Split::share(1))) {
            Ok(_) => RouteState::Home,
            Err(refusal) => RouteState::Refused(refusal.0),
        };
    }
    let Some(mut guess) = values().find_map(|value| R::guess(names, value)) else {
        return RouteState::Mixed;
    };
    if let Some(kept) = kept {
        guess.sessions = kept;
    }
    match change::<R>(object, names, Some(&guess)) {
        Ok(change) if change.fields.is_empty() => RouteState::Split(guess.canonical()),
        _ => RouteState::Mixed,
    }
}

fn change<R: Router>(
    object: &Value,
    names: &Names,
    wanted: Option<&Split>,
) -> Result<Change, Refusal> {
    let wanted = wanted.map(|split| split.clone().canonical());
    let mut fields = Vec::new();
    let (mut has_share, mut has_all) = (false, false);
    for (pointer, _) in R::FIELDS {
        let Some(live) = object.pointer(pointer) else {
            continue;
        };
        let home = R::home(names, live).unwrap_or_else(|| live.clone());
        let target = match &wanted {
            None => home,
            Some(split) => match R::split(names, pointer, &home, split)? {
                None => home,
                Some(target) => {
                    has_share = true;
                    has_all |= R::takes_all(pointer) || !is_picky(split);
                    target
                }
            },
        };
        if target != *live {
            fields.push((*pointer, Some(target)));
        }
    }
    if wanted.is_some() && !has_share {
        return Err(Refusal::new(format!(
            "it sends no request to Service {}; make that Service one of its destinations, or take the route out of spec.traffic.routes",
            names.service
        )));
    }
    if has_share && !has_all {
        return Err(Refusal::new(format!(
            "only connections lead to Service {} by it, and those can neither be told apart nor copied nor kept by a cookie; use a weight alone",
            names.service
        )));
    }
    if let Some(sticky) = R::sticky() {
        let sessions = wanted.as_ref().and_then(|split| split.sessions.as_ref());
        fields.extend(stuck(sticky, object, sessions)?);
    }
    Ok(Change { fields })
}

/// The change of a field that keeps clients where they are.
fn stuck(
    sticky: &dyn Sticky,
    object: &Value,
    sessions: Option<&Sessions>,
) -> Result<Option<(&'static str, Option<Value>)>, Refusal> {
    let pointer = sticky.pointer();
    let live = object.pointer(pointer);
    let ours = live.is_some_and(|live| sticky.sessions(live).is_some());
    match sessions.map(|sessions| sticky.value(sessions)) {
        Some(_) if live.is_some() && !ours => Err(Refusal::new(
            "it keeps clients by a cookie of its own; take that out of the route, or affinity out of spec.traffic",
        )),
        Some(value) if live != Some(&value) => Ok(Some((pointer, Some(value)))),
        None if ours => Ok(Some((pointer, None))),
        _ => Ok(None),
    }
}

/// Whether the split is about single requests, not only about shares.
fn is_picky(split: &Split) -> bool {
    !split.cohorts.is_empty() || split.mirror_percent.is_some() || split.sessions.is_some()
}

#[cfg(test)]
mod tests;
