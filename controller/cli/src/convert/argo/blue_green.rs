//! The blue-green strategy.

use serde_json::{Map, Value, json};

use super::references::{self, Shelf};
use crate::convert::{fields::Fields, manifest::put, note::Notes, text::written};

/// What a strategy comes to: `strategy` and `traffic` of a Rollout, and `maxUnavailable` for the workload.
pub(super) struct Switched {
    pub(super) strategy: Value,
    pub(super) traffic: Value,
    pub(super) unavailable: Option<Value>,
}

/// Reads `spec.strategy.blueGreen`.
pub(super) fn blue_green(
    mut own: Fields,
    shelf: &Shelf<'_>,
    fallback: &str,
    notes: &mut Notes,
) -> Switched {
    let active_at = own.path("activeService");
    let active = own.text("activeService", notes).unwrap_or_else(|| {
        notes.left(
            &active_at,
            "name the Service of the workload's pods under traffic.service",
        );
        fallback.to_owned()
    });
    let preview_at = own.path("previewService");
    if let Some(name) = own.text("previewService", notes) {
        notes.differs(&preview_at, format!("the preview is reached by {active}-canary, which is there for the time of a rollout only; {name} can go"));
    }
    let mut preview = Map::new();
    put(
        &mut preview,
        "replicas",
        own.whole("previewReplicaCount", notes).filter(|n| *n >= 1),
    );
    let hold = own.span("autoPromotionSeconds", notes);
    let automatic = own.flag("autoPromotionEnabled", notes).unwrap_or(true);
    put(&mut preview, "hold", hold.map(written));
    // With a time, the switch came by itself even where it was not automatic.
    put(
        &mut preview,
        "approval",
        (!automatic && hold.is_none()).then_some(true),
    );
    put(
        &mut preview,
        "gates",
        gates(&mut own, "prePromotionAnalysis", shelf, notes),
    );
    let mut blue_green = Map::new();
    put(
        &mut blue_green,
        "gates",
        gates(&mut own, "postPromotionAnalysis", shelf, notes),
    );
    put(
        &mut blue_green,
        "scaleDownDelay",
        own.span("scaleDownDelaySeconds", notes).map(written),
    );
    if !preview.is_empty() {
        blue_green.insert("preview".to_owned(), preview.into());
    }
    let unavailable = own.take("maxUnavailable");
    own.end(&super::rollout::PODS, notes);
    Switched {
        strategy: json!({"blueGreen": blue_green}),
        traffic: json!({"service": active}),
        unavailable,
    }
}

fn gates(own: &mut Fields, name: &str, shelf: &Shelf<'_>, notes: &mut Notes) -> Option<Value> {
    let mut analysis = own.fields(name, notes)?;
    let at = analysis.path("templates");
    let mut gates = shelf.gates(&mut analysis, notes);
    analysis.end(&references::WORDS, notes);
    references::once(&mut gates, &[], &at, notes);
    (!gates.is_empty()).then(|| gates.into())
}
