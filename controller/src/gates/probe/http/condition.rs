//! Conditions on a JSON answer.
//!
//! Invariant: a value that is not there is no data, unless the condition is about just that; a value of the wrong type is an error.
//! Neither passes nor fails a measurement.

use belay_api::analysis::http::{CountBounds, JsonCondition};
use serde_json::Value;

use super::{super::redact::Redactor, path::Path};
use crate::text;

/// Longest text of an answer that is shown.
const SHOWN_BYTES: usize = 64;

/// A condition that was checked when its template was read. Its texts have no more holes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    path: Path,
    exists: Option<bool>,
    count: Option<CountBounds>,
    equals: Option<String>,
    not_equals: Option<String>,
    min: Option<f64>,
    max: Option<f64>,
}

/// What one condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It holds; with the value that it was about.
    Yes(String),
    /// It is broken; with the value, and how.
    No(String, String),
    /// There is nothing to judge.
    NoData(String),
    /// It can't be judged.
    Error(String),
}

impl Condition {
    /// The condition of a template, with `fill` for its holes.
    pub(super) fn new(
        spec: &JsonCondition,
        fill: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, String> {
        Ok(Self {
            path: Path::parse(&fill(&spec.path)?)?,
            exists: spec.exists,
            count: spec.count,
            equals: spec.equals.as_deref().map(&fill).transpose()?,
            not_equals: spec.not_equals.as_deref().map(&fill).transpose()?,
            min: spec.min,
            max: spec.max,
        })
    }

    /// What it says about `document`, without what `redactor` knows.
    pub(super) fn judge(&self, document: &Value, redactor: &Redactor) -> Held {
        let values = match self.path.of(document) {
            Ok(values) => values,
            Err(why) => return Held::Error(why),
        };
        if let Some(broken) = self.presence(values.len()) {
            return broken;
        }
        if values.is_empty() {
            let about_absence = self.exists == Some(false) || self.count.is_some();
            return if about_absence {
                Held::Yes("nothing".to_owned())
            } else {
                Held::NoData(format!("{} gave nothing", self.path.text()))
            };
        }
        let mut shown = None;
        for value in &values {
            match self.judge_one(value, redactor) {
                Held::Yes(text) => shown = shown.or(Some(text)),
                other => return other,
            }
        }
        match (self.compares(), shown) {
            (true, Some(text)) => Held::Yes(text),
            _ => Held::Yes(format!("{} found", values.len())),
        }
    }

    fn compares(&self) -> bool {
        self.equals.is_some()
            || self.not_equals.is_some()
            || self.min.is_some()
            || self.max.is_some()
    }

    /// How the number of values breaks it, if it does.
    fn presence(&self, count: usize) -> Option<Held> {
        let path = self.path.text();
        let why = match (self.exists, self.count) {
            (Some(true), _) if count == 0 => format!("{path} gave nothing"),
            (Some(false), _) if count > 0 => format!("{path} gave {count} values, none is allowed"),
            (_, Some(bounds)) => {
                outside(count, bounds).map(|side| format!("{path} gave {count} values, {side}"))?
            }
            _ => return None,
        };
        Some(Held::No(format!("{count} found"), why))
    }

    fn judge_one(&self, value: &Value, redactor: &Redactor) -> Held {
        let path = self.path.text();
        if !self.compares() {
            return Held::Yes(String::new());
        }
        let text = match value {
            Value::Null => return Held::NoData(format!("{path} is null")),
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Held::Error(format!(
                    "{path} is not a single value; go on to one of its parts"
                ));
            }
        };
        // Before it is cut: half a secret would not be recognised.
        let shown = shown(&redactor.apply(&text));
        if let Some(wanted) = self.equals.as_deref().filter(|wanted| !same(&text, wanted)) {
            let why = format!("{path} is {shown}, not {wanted}");
            return Held::No(shown, why);
        }
        if let Some(unwanted) = self
            .not_equals
            .as_deref()
            .filter(|unwanted| same(&text, unwanted))
        {
            return Held::No(shown, format!("{path} is {unwanted}"));
        }
        if self.min.is_none() && self.max.is_none() {
            return Held::Yes(shown);
        }
        self.judge_number(&text, shown)
    }

    fn judge_number(&self, text: &str, shown: String) -> Held {
        let path = self.path.text();
        let number = match text.trim().parse::<f64>() {
            Ok(number) if number.is_nan() => {
                return Held::NoData(format!(
                    "{path} is NaN, as a division of zero by zero gives"
                ));
            }
            Ok(number) if number.is_finite() => number,
            _ => return Held::Error(format!("{path} is {shown}, which is not a number")),
        };
        let why = match (self.min, self.max) {
            (_, Some(max)) if number > max => {
                format!("{path} is {shown}, above the maximum of {max}")
            }
            (Some(min), _) if number < min => {
                format!("{path} is {shown}, below the minimum of {min}")
            }
            _ => return Held::Yes(shown),
        };
        Held::No(shown, why)
    }
}

fn outside(count: usize, bounds: CountBounds) -> Option<String> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    match bounds {
        CountBounds { max: Some(max), .. } if count > max => {
            Some(format!("above the maximum of {max}"))
        }
        CountBounds { min: Some(min), .. } if count < min => {
            Some(format!("below the minimum of {min}"))
        }
        _ => None,
    }
}

/// Numbers are the same however they are written.
fn same(value: &str, wanted: &str) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    match (number(value), number(wanted)) {
        #[expect(clippy::float_cmp, reason = "the author asks for equality")]
        (Some(value), Some(wanted)) => value == wanted,
        _ => value == wanted,
    }
}

/// The beginning of `text` on one line, and a sign if there is more.
fn shown(text: &str) -> String {
    let mut shown = text::line(text, SHOWN_BYTES);
    if text.len() > SHOWN_BYTES {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(spec: Value, document: &Value) -> Held {
        let spec: JsonCondition = serde_json::from_value(spec).unwrap();
        let plain = |text: &str| Ok(text.to_owned());
        Condition::new(&spec, plain)
            .unwrap()
            .judge(document, &Redactor::default())
    }

    #[test]
    fn bounds_are_kept_or_broken_by_numbers_and_texts_of_numbers() {
        let document = json!({"rate": 0.5, "text": "0.5"});
        for path in ["$.rate", "$.text"] {
            assert_eq!(
                judge(json!({"path": path, "max": 0.5}), &document),
                Held::Yes("0.5".into())
            );
            assert_eq!(
                judge(json!({"path": path, "max": 0.4}), &document),
                Held::No(
                    "0.5".into(),
                    format!("{path} is 0.5, above the maximum of 0.4")
                )
            );
            assert!(matches!(
                judge(json!({"path": path, "min": 0.6}), &document),
                Held::No(..)
            ));
        }
    }

    #[test]
    fn what_is_absent_or_null_is_no_data_and_what_is_no_number_an_error() {
        let document = json!({"null": null, "nan": "NaN", "word": "high", "list": [1]});
        for path in ["$.absent", "$.null", "$.nan"] {
            assert!(
                matches!(
                    judge(json!({"path": path, "max": 1}), &document),
                    Held::NoData(_)
                ),
                "{path}"
            );
        }
        for path in ["$.word", "$.list"] {
            assert!(
                matches!(
                    judge(json!({"path": path, "max": 1}), &document),
                    Held::Error(_)
                ),
                "{path}"
            );
        }
    }

    #[test]
    fn presence_itself_can_be_asked_for() {
        let document = json!({"alerts": [{"state": "firing"}], "none": []});
        assert!(matches!(
            judge(json!({"path": "$.alerts[0]", "exists": true}), &document),
            Held::Yes(_)
        ));
        assert!(matches!(
            judge(json!({"path": "$.alerts[1]", "exists": true}), &document),
            Held::No(..)
        ));
        assert!(matches!(
            judge(json!({"path": "$.alerts[0]", "exists": false}), &document),
            Held::No(..)
        ));
        assert!(matches!(
            judge(json!({"path": "$.none[*]", "count": {"max": 0}}), &document),
            Held::Yes(_)
        ));
        let firing = json!({"path": "$.alerts[?@.state == 'firing']", "count": {"max": 0}});
        assert!(matches!(judge(firing, &document), Held::No(..)));
    }

    #[test]
    fn every_value_must_hold_it() {
        let document = json!([{"s": "ok"}, {"s": "bad"}]);
        assert_eq!(
            judge(json!({"path": "$[*].s", "equals": "ok"}), &document),
            Held::No("bad".into(), "$[*].s is bad, not ok".into())
        );
        assert!(matches!(
            judge(json!({"path": "$[*].s", "notEquals": "ok"}), &document),
            Held::No(..)
        ));
        assert!(matches!(
            judge(json!({"path": "$[*].s", "notEquals": "x"}), &document),
            Held::Yes(_)
        ));
        let numbers = json!({"n": 3.0, "b": true});
        assert!(matches!(
            judge(json!({"path": "$.n", "equals": "3"}), &numbers),
            Held::Yes(_)
        ));
        assert!(matches!(
            judge(json!({"path": "$.b", "equals": "true"}), &numbers),
            Held::Yes(_)
        ));
    }

    #[test]
    fn a_secret_is_blotted_out_before_an_answer_is_cut() {
        let spec = serde_json::from_value(json!({"path": "$.text", "equals": "x"})).unwrap();
        let condition = Condition::new(&spec, |text| Ok(text.to_owned())).unwrap();
        let redactor = Redactor::new(["hunter2-hunter2"]);
        for before in 40..70 {
            let document = json!({"text": format!("{}hunter2-hunter2", "x".repeat(before))});
            let Held::No(value, why) = condition.judge(&document, &redactor) else {
                panic!("it is not x");
            };
            assert!(!value.contains("hun") && !why.contains("hun"), "{value}");
        }
    }

    #[test]
    fn long_answers_are_not_repeated_whole() {
        let document = json!({"text": "ä".repeat(200)});
        let Held::No(value, _) = judge(json!({"path": "$.text", "equals": "x"}), &document) else {
            panic!("it is not x");
        };
        assert!(value.len() < 80, "{value}");
    }
}
