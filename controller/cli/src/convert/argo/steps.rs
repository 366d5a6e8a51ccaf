//! A canary's list of steps: settings and waits become steps that are both.
//!
//! Invariant: a wait never ends up in a step with more requests for the new version than it had. Where that can't be said, the
//! wait is left out and noted.

use std::time::Duration;

use belay_engine::traffic::{Condition, Match, Part, Split, Text};
use serde_json::{Map, Value, json};

use super::{
    references::{self, Shelf},
    traffic::Routing,
};
use crate::convert::{
    fields::Fields,
    manifest::put,
    note::{Effect, Notes},
    text::{self, written},
};

/// Most steps that a Rollout has.
const MOST_STEPS: usize = 30;

/// What steps stand in.
pub(super) struct Frame<'a> {
    pub(super) routing: Option<&'a Routing>,
    pub(super) shelf: &'a Shelf<'a>,
    /// Least pods of the candidate.
    pub(super) least_pods: Option<i64>,
}

/// One of Belay's steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Planned {
    fields: Map<String, Value>,
    pub(super) gates: Vec<Value>,
    /// Where its gates stood.
    pub(super) at: String,
    /// The last of the peer's steps that is in it.
    pub(super) last: usize,
}

impl Planned {
    pub(super) fn written(mut self) -> Value {
        if !self.gates.is_empty() {
            self.fields.insert("gates".to_owned(), self.gates.into());
        }
        self.fields.into()
    }
}

/// What the routes and pods are set to.
#[derive(Clone, Debug, Default)]
struct Settings {
    weight: Option<u8>,
    replicas: Option<Value>,
    cohorts: Vec<(String, Vec<Value>)>,
    mirrors: Vec<(String, u8)>,
}

/// What is waited for.
#[derive(Clone, Debug, Default)]
struct Waits {
    hold: Duration,
    approval: bool,
    gates: Vec<Value>,
}

impl Waits {
    fn is_empty(&self) -> bool {
        self.hold.is_zero() && !self.approval && self.gates.is_empty()
    }
}

struct Fold<'a> {
    frame: &'a Frame<'a>,
    settings: Settings,
    waits: Waits,
    /// Whether settings changed since the last step.
    changed: bool,
    weighed: bool,
    at: String,
    index: usize,
    planned: Vec<Planned>,
}

/// The steps of a canary.
pub(super) fn steps(canary: &mut Fields, frame: &Frame<'_>, notes: &mut Notes) -> Vec<Planned> {
    let at = canary.path("steps");
    let mut fold = Fold {
        frame,
        settings: Settings::default(),
        waits: Waits::default(),
        changed: false,
        weighed: false,
        at: String::new(),
        index: 0,
        planned: Vec::new(),
    };
    for (index, step) in canary.each("steps", notes).into_iter().enumerate() {
        fold.step(index, step, notes);
    }
    // Giving everything to the new version at the end, without a wait, is what a promotion is.
    let is_promotion = frame.routing.is_none() && fold.settings.weight == Some(100);
    if !(is_promotion && fold.waits.is_empty()) {
        fold.flush(notes);
    }
    if fold.planned.len() > MOST_STEPS {
        notes.left(
            &at,
            format!("there are more than {MOST_STEPS} steps; those after that are left out"),
        );
        fold.planned.truncate(MOST_STEPS);
    }
    if fold.planned.is_empty() {
        notes.differs(
            &at,
            "a Rollout has one step at least: it is a small one before everything else",
        );
        let small = match frame.routing {
            Some(_) => ("weight", json!(10)),
            None => ("replicas", json!(1)),
        };
        let fields = Map::from_iter([(small.0.to_owned(), small.1)]);
        return vec![Planned {
            fields,
            ..Planned::default()
        }];
    }
    fold.planned
}

impl Fold<'_> {
    fn step(&mut self, index: usize, mut step: Fields, notes: &mut Notes) {
        if let Some(weight) = step.whole("setWeight", notes) {
            self.set_weight(weight, &step.path("setWeight"), notes);
        }
        if let Some(scale) = step.fields("setCanaryScale", notes) {
            self.scale(scale, notes);
        }
        if let Some(route) = step.fields("setHeaderRoute", notes) {
            self.header_route(route, notes);
        }
        if let Some(route) = step.fields("setMirrorRoute", notes) {
            self.mirror_route(route, notes);
        }
        if let Some(pause) = step.fields("pause", notes) {
            self.pause(pause, notes);
        }
        if let Some(mut analysis) = step.fields("analysis", notes) {
            self.after_approval(notes);
            self.at = analysis.path("templates");
            let mut gates = self.frame.shelf.gates(&mut analysis, notes);
            analysis.end(&references::WORDS, notes);
            self.waits.gates.append(&mut gates);
            references::once(&mut self.waits.gates, &[], &self.at, notes);
        }
        self.index = index;
        step.end(
            &[
                ("experiment", Effect::Left, "there are no experiments: a gate with prometheus.compare judges the new version against the stable one"),
                ("plugin", Effect::Left, "there are no plugins: ask by a gate with http or job"),
            ],
            notes,
        );
    }

    fn set_weight(&mut self, weight: i64, at: &str, notes: &mut Notes) {
        let most = self
            .frame
            .routing
            .map_or(100, |routing| routing.most_weight);
        let Some(percent) = text::percent(weight, most) else {
            notes.left(at, "a weight is from 0 to 100");
            return;
        };
        if most != 100 {
            notes.differs(
                at,
                format!("weights are percentages: {weight} of {most} is {percent} %"),
            );
        }
        let before = self.settings.weight.unwrap_or_default();
        if percent < before {
            notes.left(
                at,
                "shares only rise: this step is left out, and what follows keeps the share before",
            );
            return;
        }
        if self.weighed || !self.waits.is_empty() {
            self.flush(notes);
        }
        let led = self.frame.routing.is_some();
        if percent > 50 && !led {
            notes.differs(at, "without a router a share above 50 % would take more pods than the workload has; the step is at 50 %, with as many pods as the stable version");
        }
        self.settings.weight = Some(percent);
        (self.weighed, self.changed) = (true, true);
    }

    fn scale(&mut self, mut scale: Fields, notes: &mut Notes) {
        let at = scale.path("weight");
        let replicas = scale.whole("replicas", notes);
        let weight = scale.whole("weight", notes);
        scale.take("matchTrafficWeight");
        scale.end(&[], notes);
        if self.frame.routing.is_none() {
            notes.left(&at, "without a router the share is the number of pods; say replicas instead of weight in the step");
            return;
        }
        self.before_change(notes);
        self.settings.replicas = match (replicas, weight) {
            (Some(replicas), _) if replicas >= 1 => Some(replicas.into()),
            (None, Some(weight)) if weight >= 1 => {
                if weight > 100 {
                    notes.differs(&at, "at most as many pods as the workload has");
                }
                Some(format!("{}%", weight.min(100)).into())
            }
            _ => None,
        };
        if self.settings.replicas.is_some() {
            notes.differs(&at, "it is the least number of pods: a weight takes as many of the workload's replicas as its share");
        }
    }

    fn header_route(&mut self, mut route: Fields, notes: &mut Notes) {
        let at = route.path("match");
        let name = route.text("name", notes).unwrap_or_default();
        let mut cohorts = Vec::new();
        for mut one in route.each("match", notes) {
            let header = one.text("headerName", notes);
            let value = one
                .fields("headerValue", notes)
                .and_then(|value| string_match(value, notes));
            one.end(&[], notes);
            if let (Some(header), Some((how, value))) = (header, value) {
                cohorts.push(json!({"headers": [{"name": header, how: value}]}));
            }
        }
        route.end(&[], notes);
        let probe = Split {
            canary_percent: 0,
            cohorts: vec![Match {
                all: vec![Condition {
                    part: Part::Header,
                    name: String::new(),
                    value: Text::Exact(String::new()),
                }],
            }],
            mirror_percent: None,
            sessions: None,
        };
        if !cohorts.is_empty() && !self.can(&probe, &at, notes) {
            return;
        }
        self.before_change(notes);
        self.settings.cohorts.retain(|(other, _)| *other != name);
        if !cohorts.is_empty() {
            self.settings.cohorts.push((name, cohorts));
        }
        if self
            .settings
            .cohorts
            .iter()
            .map(|(_, own)| own.len())
            .sum::<usize>()
            > 4
        {
            notes.left(
                &at,
                "at most four cohorts at a time; the last ones are left out",
            );
        }
    }

    fn mirror_route(&mut self, mut route: Fields, notes: &mut Notes) {
        let at = route.path("percentage");
        let name = route.text("name", notes).unwrap_or_default();
        let matches = !route.items("match", notes).is_empty();
        let percentage = route.whole("percentage", notes);
        if matches {
            notes.left(&route.path("match"), "copies are taken of all requests that the stable version gets; a match can't narrow them");
        }
        route.end(&[], notes);
        let share = percentage.unwrap_or(if matches { 100 } else { 0 });
        let share = u8::try_from(share.clamp(0, 100)).unwrap_or_default();
        let probe = Split {
            mirror_percent: Some(share),
            ..Split::share(0)
        };
        if share > 0 && !self.can(&probe, &at, notes) {
            return;
        }
        self.before_change(notes);
        self.settings.mirrors.retain(|(other, _)| *other != name);
        if share > 0 {
            self.settings.mirrors.push((name, share));
        }
    }

    /// Whether every route can do this.
    fn can(&self, split: &Split, at: &str, notes: &mut Notes) -> bool {
        let Some(routing) = self.frame.routing else {
            notes.left(
                at,
                "only a router can tell requests apart or copy them, and none is led here",
            );
            return false;
        };
        let lacks = routing
            .routes
            .iter()
            .find_map(|(kind, _)| kind.lacks(split));
        if let Some(why) = &lacks {
            notes.left(at, format!("{why}; lead another kind of route"));
        }
        lacks.is_none()
    }

    fn pause(&mut self, mut pause: Fields, notes: &mut Notes) {
        let endless = !pause.has("duration");
        let hold = pause.span("duration", notes);
        pause.end(&[], notes);
        self.after_approval(notes);
        if endless {
            self.waits.approval = true;
        }
        self.waits.hold += hold.unwrap_or_default();
    }

    /// In a step the approval is the last thing; what follows it needs a step of its own.
    fn after_approval(&mut self, notes: &mut Notes) {
        if self.waits.approval {
            self.flush(notes);
        }
    }

    fn before_change(&mut self, notes: &mut Notes) {
        if !self.waits.is_empty() {
            self.flush(notes);
        }
        self.changed = true;
    }

    /// Ends the present step.
    fn flush(&mut self, notes: &mut Notes) {
        let waits = std::mem::take(&mut self.waits);
        let changed = std::mem::take(&mut self.changed);
        self.weighed = false;
        if !changed && waits.is_empty() {
            return;
        }
        let mut fields = Map::new();
        let weight = self.settings.weight.filter(|weight| *weight >= 1);
        let cohorts: Vec<Value> = self
            .settings
            .cohorts
            .iter()
            .flat_map(|(_, own)| own.clone())
            .take(4)
            .collect();
        let mirror = self.settings.mirrors.iter().map(|(_, share)| *share).max();
        let led = self.frame.routing.is_some();
        put(
            &mut fields,
            "weight",
            weight.map(|weight| if led { weight } else { weight.min(50) }),
        );
        if !cohorts.is_empty() {
            fields.insert("match".to_owned(), cohorts.into());
        }
        put(&mut fields, "mirror", mirror);
        if fields.is_empty() {
            if !waits.is_empty() {
                notes.left(
                    &format!("spec.strategy.canary.steps[{}]", self.index),
                    "the new version gets no request here, and there are no such steps; wait in a first step with a small weight or a match, or take blueGreen, which has a preview",
                );
            }
            return;
        }
        let least = self.frame.least_pods.map(Value::from);
        put(
            &mut fields,
            "replicas",
            self.settings.replicas.clone().or(least),
        );
        put(
            &mut fields,
            "hold",
            (!waits.hold.is_zero()).then(|| written(waits.hold)),
        );
        put(&mut fields, "approval", waits.approval.then_some(true));
        self.planned.push(Planned {
            fields,
            gates: waits.gates,
            at: std::mem::take(&mut self.at),
            last: self.index,
        });
    }
}

/// How a text is matched, as Belay writes it.
fn string_match(mut value: Fields, notes: &mut Notes) -> Option<(&'static str, String)> {
    let exact = value.text("exact", notes).map(|text| ("exact", text));
    let prefix = value
        .text("prefix", notes)
        .map(|text| ("regex", text::beginning(&text)));
    let regex = value.text("regex", notes).map(|text| ("regex", text));
    value.end(&[], notes);
    exact.or(prefix).or(regex)
}
