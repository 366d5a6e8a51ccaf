//! From a cookie that keeps clients on a version to `traffic.affinity`. Leaves out how the cookie is set: Belay chooses its value.

use belay_engine::traffic::RouterKind;
use serde_json::{Map, Value};

use super::steps::Shape;
use crate::convert::{
    fields::Fields,
    manifest::put,
    note::{Effect, Notes},
};

/// Letters that the cookie's name may have; Flagger takes any.
fn fits(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=64).contains(&name.len()) && name.chars().all(letter)
}

/// `traffic.affinity`, where requests are shared by a route that can keep clients.
pub(super) fn affinity(
    analysis: &mut Fields,
    led: Option<RouterKind>,
    shape: &Shape,
    notes: &mut Notes,
) -> Option<Value> {
    let at = analysis.path("sessionAffinity");
    let mut own = analysis.fields("sessionAffinity", notes)?;
    let cookie = own.text("cookieName", notes).unwrap_or_default();
    let max_age = own.seconds("maxAge", notes);
    own.end(
        &[(
            "primaryCookieName",
            Effect::Differs,
            "one cookie tells either version",
        )],
        notes,
    );
    if !matches!(shape, Shape::Steps(_)) {
        notes.differs(
            &at,
            "without weights no client is given a version by chance; it is left out",
        );
        return None;
    }
    if !led.is_some_and(RouterKind::keeps_sessions) {
        notes.left(&at, "only HTTPRoute, VirtualService and TraefikService can keep clients by a cookie; lead one of these");
        return None;
    }
    if !fits(&cookie) {
        notes.left(&at, "the cookie's name may have letters, digits, - and _ only; choose another, and write it as traffic.affinity.cookie");
        return None;
    }
    let mut affinity = Map::from_iter([("cookie".to_owned(), cookie.into())]);
    put(&mut affinity, "maxAge", max_age);
    Some(affinity.into())
}
