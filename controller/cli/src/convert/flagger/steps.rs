//! From weights and iterations to steps.

use std::time::Duration;

use belay_engine::traffic::{Condition, Match, Part, RouterKind, Split, Text};
use serde_json::{Map, Value, json};

use super::route::text_match;
use crate::convert::{
    fields::Fields,
    manifest::put,
    note::Notes,
    text::{self, written},
};

/// Most steps that a Rollout has.
const MOST_STEPS: usize = 30;

/// How often Flagger looks, and how many failed looks it takes.
pub(super) struct Tempo {
    pub(super) interval: Duration,
    pub(super) failure_limit: i64,
}

impl Tempo {
    /// A gate of this name at this pace, still without its question.
    pub(super) fn gate(&self, name: &str) -> Map<String, Value> {
        let mut gate = Map::new();
        gate.insert("name".to_owned(), text::name(name).into());
        gate.insert("interval".to_owned(), written(self.interval));
        let limit = Some(self.failure_limit).filter(|limit| *limit > 0);
        put(&mut gate, "failureLimit", limit);
        gate
    }

    pub(super) fn read(analysis: &mut Fields, notes: &mut Notes) -> Self {
        let interval = analysis
            .span("interval", notes)
            .unwrap_or(Duration::from_mins(1));
        let threshold = analysis
            .whole("threshold", notes)
            .unwrap_or(1)
            .clamp(1, 1001);
        Self {
            interval: interval.max(Duration::from_secs(10)),
            failure_limit: threshold - 1,
        }
    }
}

/// How the new version gets its share.
pub(super) enum Shape {
    /// A preview for this long, then everything.
    BlueGreen {
        hold: Duration,
    },
    /// A test with these cohorts for this long, then everything.
    Test {
        cohorts: Vec<Value>,
        duration: Duration,
    },
    Steps(Vec<Map<String, Value>>),
}

/// Gates and approvals that steps get.
pub(super) struct Asked<'a> {
    /// All gates of the Canary.
    pub(super) gates: &'a [Value],
    /// Those of the first step alone.
    pub(super) first: &'a [Value],
    /// Whether a person lets it begin, rise, and be promoted.
    pub(super) start: bool,
    pub(super) increase: bool,
    pub(super) promotion: bool,
}

impl Asked<'_> {
    /// The approval and gates of a shape with one step, beside `more` gates.
    fn at_the_only_step(&self, step: &mut Map<String, Value>, more: &[Value]) {
        let approval = self.start || self.increase || self.promotion;
        put(step, "approval", approval.then_some(true));
        let gates: Vec<&Value> = more.iter().chain(self.first).collect();
        put(step, "gates", (!gates.is_empty()).then(|| json!(gates)));
    }
}

impl Shape {
    /// `spec.strategy`.
    pub(super) fn strategy(self, asked: &Asked<'_>) -> Value {
        let mut steps = match self {
            Self::BlueGreen { hold } => {
                let mut preview = Map::from_iter([("hold".to_owned(), written(hold))]);
                asked.at_the_only_step(&mut preview, asked.gates);
                return json!({"blueGreen": {"preview": preview}});
            }
            Self::Test { cohorts, duration } => {
                // Flagger counts its iterations to the end, whatever they have shown.
                let test = json!({"match": cohorts, "duration": written(duration), "end": "Time"});
                let mut test = test.as_object().cloned().unwrap_or_default();
                asked.at_the_only_step(&mut test, &[]);
                return json!({"ab": test});
            }
            Self::Steps(steps) => steps,
        };
        let last = steps.len().saturating_sub(1);
        for (i, step) in steps.iter_mut().enumerate() {
            let approval = asked.increase || asked.start && i == 0 || asked.promotion && i == last;
            put(step, "approval", approval.then_some(true));
            let gates = asked.first.to_vec();
            put(
                step,
                "gates",
                (i == 0 && !gates.is_empty()).then_some(gates),
            );
        }
        json!({"canary": {"steps": steps}})
    }
}

/// Reads the shape out of the analysis. `led` is the kind of route, if there is one.
pub(super) fn shape(
    analysis: &mut Fields,
    tempo: &Tempo,
    led: Option<RouterKind>,
    provider: Option<&str>,
    notes: &mut Notes,
) -> Shape {
    let iterations = iterations(analysis, provider, notes);
    let mirror = mirror(analysis, led, notes);
    let cohorts_at = analysis.path("match");
    let cohorts = cohorts(analysis, notes);
    let weights = weights(analysis, notes);
    let hold = |looks: i64| {
        tempo
            .interval
            .saturating_mul(u32::try_from(looks).unwrap_or(1))
    };
    let able = cohorts.is_empty() || can(led, &cohort_split(), &cohorts_at, notes);
    match (iterations > 0, mirror) {
        (true, _) if !cohorts.is_empty() && able => {
            let duration = hold(iterations);
            Shape::Test { cohorts, duration }
        }
        (true, Some(share)) => {
            let step = json!({"mirror": share, "hold": written(hold(iterations))});
            let all = json!({"weight": 100});
            Shape::Steps(
                [step, all]
                    .iter()
                    .filter_map(Value::as_object)
                    .cloned()
                    .collect(),
            )
        }
        (true, None) => Shape::BlueGreen {
            hold: hold(iterations),
        },
        (false, mirror) => {
            if !cohorts.is_empty() {
                notes.differs(
                    &cohorts_at,
                    "without iterations the match was not used, and is left out",
                );
            }
            Shape::Steps(rising(
                &weights,
                mirror,
                tempo.interval,
                led.is_some(),
                notes,
            ))
        }
    }
}

/// Without a router Flagger takes ten looks, whatever weights are given.
fn iterations(analysis: &mut Fields, provider: Option<&str>, notes: &mut Notes) -> i64 {
    let iterations = analysis.whole("iterations", notes).unwrap_or_default();
    if provider != Some("kubernetes") || iterations > 0 {
        return iterations;
    }
    for name in ["stepWeight", "stepWeights", "maxWeight"] {
        if analysis.take(name).is_some() {
            notes.differs(&analysis.path(name), "provider kubernetes shares no requests: it is a preview of ten looks, and then everything at once");
        }
    }
    10
}

/// Steps of these weights.
fn rising(
    weights: &[u8],
    mirror: Option<u8>,
    interval: Duration,
    led: bool,
    notes: &mut Notes,
) -> Vec<Map<String, Value>> {
    let mut weights: Vec<(u8, u32)> = weights.iter().map(|weight| (*weight, 1)).collect();
    if !led && weights.iter().any(|(weight, _)| *weight > 50) {
        notes.differs("spec.analysis", "without a router a share above 50 % would take more pods than the workload has; steps above are at 50 %, with as many pods as the stable version");
        for (weight, _) in &mut weights {
            *weight = (*weight).min(50);
        }
        weights.dedup_by(|later, before| {
            let same = later.0 == before.0;
            before.1 += if same { later.1 } else { 0 };
            same
        });
    }
    if weights.len() + usize::from(mirror.is_some()) > MOST_STEPS {
        notes.differs("spec.analysis", format!("a Rollout has {MOST_STEPS} steps at most; some are left out, and the next one lasts as much longer"));
        thin(&mut weights, MOST_STEPS - usize::from(mirror.is_some()));
    }
    let mirrored = mirror.map(|share| {
        Map::from_iter([
            ("mirror".to_owned(), share.into()),
            ("hold".to_owned(), written(interval)),
        ])
    });
    let rising = weights.into_iter().map(|(weight, looks)| {
        let hold = written(interval.saturating_mul(looks));
        Map::from_iter([
            ("weight".to_owned(), weight.into()),
            ("hold".to_owned(), hold),
        ])
    });
    mirrored.into_iter().chain(rising).collect()
}

/// Joins neighbours, the higher weight for the time of both, until at most `most` are left.
fn thin(weights: &mut Vec<(u8, u32)>, most: usize) {
    let every = weights.len().div_ceil(most.max(1));
    *weights = weights
        .chunks(every)
        .filter_map(|chunk| {
            let looks = chunk.iter().map(|(_, looks)| looks).sum();
            chunk.last().map(|(weight, _)| (*weight, looks))
        })
        .collect();
}

/// The weights that Flagger goes through.
fn weights(analysis: &mut Fields, notes: &mut Notes) -> Vec<u8> {
    let step = analysis.whole("stepWeight", notes).unwrap_or_default();
    let at = analysis.path("stepWeights");
    let listed: Vec<i64> = analysis
        .items("stepWeights", notes)
        .iter()
        .filter_map(Value::as_i64)
        .collect();
    let most = analysis.whole("maxWeight", notes).filter(|most| *most > 0);
    // The list ends where it ends, whatever maxWeight says.
    let cap = listed.last().copied().or(most).unwrap_or(100).min(100);
    let mut weights = Vec::new();
    if step > 0 {
        let mut weight = 0;
        while weight < cap {
            weight = (weight + step).min(100);
            weights.push(weight);
        }
    } else {
        for weight in &listed {
            if weights.last().is_some_and(|before| before >= weight) {
                notes.differs(&at, format!("Flagger would stand still before {weight}, which is not above the weight before; it is left out"));
            } else {
                weights.push(*weight);
            }
        }
    }
    if weights.is_empty() {
        weights.push(100);
    }
    let fitting = weights
        .into_iter()
        .filter_map(|weight| u8::try_from(weight).ok());
    fitting
        .filter(|weight| (1..=100).contains(weight))
        .collect()
}

fn mirror(analysis: &mut Fields, led: Option<RouterKind>, notes: &mut Notes) -> Option<u8> {
    let at = analysis.path("mirror");
    let wanted = analysis.flag("mirror", notes).unwrap_or_default();
    let share = analysis
        .whole("mirrorWeight", notes)
        .filter(|share| (1..=100).contains(share));
    let share = u8::try_from(share.unwrap_or(100)).unwrap_or(100);
    let split = Split {
        mirror_percent: Some(share),
        ..Split::share(0)
    };
    (wanted && can(led, &split, &at, notes)).then_some(share)
}

fn can(led: Option<RouterKind>, split: &Split, at: &str, notes: &mut Notes) -> bool {
    let lacks = match led {
        Some(kind) => kind.lacks(split),
        None => Some(
            "only a router can tell requests apart or copy them, and none is led here".to_owned(),
        ),
    };
    if let Some(why) = &lacks {
        notes.left(at, format!("{why}; lead a route that can"));
    }
    lacks.is_none()
}

fn cohort_split() -> Split {
    let header = Condition {
        part: Part::Header,
        name: String::new(),
        value: Text::Exact(String::new()),
    };
    Split {
        cohorts: vec![Match { all: vec![header] }],
        ..Split::share(0)
    }
}

/// The cohorts of `match`, by header.
fn cohorts(analysis: &mut Fields, notes: &mut Notes) -> Vec<Value> {
    let at = analysis.path("match");
    let mut cohorts = Vec::new();
    for mut one in analysis.each("match", notes) {
        let place = one.path("headers");
        let mut conditions = Vec::new();
        let headers = one.fields("headers", notes);
        for (mut headers, key) in headers.into_iter().flat_map(|own| {
            let names = own.names();
            names.into_iter().map(move |name| (own.clone(), name))
        }) {
            let found = headers
                .fields(&key, notes)
                .and_then(|own| text_match(own, notes));
            conditions.extend(found.map(|(how, value)| match how {
                "exact" => json!({"name": key, "exact": value}),
                "prefix" => json!({"name": key, "regex": text::beginning(&value)}),
                "suffix" => json!({"name": key, "regex": text::ending(&value)}),
                _ => json!({"name": key, "regex": value}),
            }));
        }
        for name in one.names() {
            one.take(&name);
            notes.left(&one.path(&name), "cohorts are told apart by headers, cookies and query parameters; write it as one of these");
        }
        one.end(&[], notes);
        if conditions.is_empty() {
            notes.left(&place, "nothing is left of this match, and it is left out");
        } else {
            cohorts.push(json!({"headers": conditions}));
        }
    }
    if cohorts.len() > 4 {
        notes.left(
            &at,
            "at most four cohorts at a time; the last ones are left out",
        );
        cohorts.truncate(4);
    }
    cohorts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights_of(analysis: &Value) -> Vec<u8> {
        let mut notes = Notes::default();
        weights(
            &mut Fields::of("", analysis.clone(), &mut notes),
            &mut notes,
        )
    }

    #[test]
    fn weights_are_those_that_flagger_goes_through() {
        for (analysis, expected) in [
            (json!({"stepWeight": 30, "maxWeight": 50}), vec![30, 60]),
            (
                json!({"stepWeights": [10, 20, 60], "maxWeight": 50}),
                vec![10, 20, 60],
            ),
            (
                json!({"stepWeight": 5, "stepWeights": [10, 20], "maxWeight": 50}),
                vec![5, 10, 15, 20],
            ),
            (json!({"stepWeights": [10, 30, 20]}), vec![10, 30]),
            (json!({}), vec![100]),
            (json!({"stepWeight": 40}), vec![40, 80, 100]),
        ] {
            assert_eq!(weights_of(&analysis), expected, "{analysis}");
        }
    }

    #[test]
    fn many_small_steps_become_fewer_that_last_as_long_together() {
        let weights: Vec<u8> = (1..=100).collect();
        let mut notes = Notes::default();
        let steps = rising(&weights, None, Duration::from_mins(1), true, &mut notes);
        assert!(steps.len() <= MOST_STEPS);
        assert_eq!(steps.last().unwrap()["weight"], 100);
        let together: Duration = steps
            .iter()
            .filter_map(|step| text::span(&step["hold"]))
            .sum();
        assert_eq!(together, Duration::from_mins(100));
    }

    #[test]
    fn without_a_router_shares_end_at_half() {
        let mut notes = Notes::default();
        let steps = rising(
            &[25, 50, 75, 100],
            None,
            Duration::from_mins(1),
            false,
            &mut notes,
        );
        let weights: Vec<&Value> = steps.iter().map(|step| &step["weight"]).collect();
        assert_eq!(weights, [25, 50]);
        assert_eq!(steps[1]["hold"], "3m");
    }
}
