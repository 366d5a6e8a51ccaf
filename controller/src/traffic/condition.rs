//! Conditions of cohorts, as routes write them: in lists (Gateway API) or by name (Istio).
//! A cookie is a condition on the header of that name, by a regular expression.
//!
//! Conditions are added to a match of the user's and found again as what one match has more than the other. A name that the match
//! already asks for is refused: two conditions on one header can't both be written down.

mod cookie;
mod keyed;
mod listed;

use belay_engine::traffic::{Condition, Match, Part, Text};
use serde_json::{Map, Value};

pub(super) use self::{keyed::Keyed, listed::Listed};
use super::Refusal;

/// The field of conditions on headers.
const HEADERS: &str = "headers";

/// The field of conditions on parameters of the query.
const PARAMETERS: &str = "queryParams";

/// Where conditions are, by the part of a request that they are about.
const PLACES: [(Part, &str); 2] = [(Part::Header, HEADERS), (Part::Query, PARAMETERS)];

/// The header that all cookies are in.
const COOKIE: &str = "cookie";

/// How a kind of route writes conditions into its matches.
pub(super) trait Conditions {
    /// `original` with the conditions of `cohort` beside its own.
    fn add(original: &Value, cohort: &Match) -> Result<Value, Refusal> {
        let mut with = original.clone();
        let fields = with
            .as_object_mut()
            .ok_or_else(|| Refusal::new("one of its matches is no object"))?;
        for condition in &cohort.all {
            Self::write(fields, Written::of(condition))?;
        }
        Ok(with)
    }

    /// Adds one condition to the fields of a match.
    fn write(fields: &mut Map<String, Value>, written: Written<'_>) -> Result<(), Refusal>;

    /// What `with` asks for beyond `plain`.
    fn added(plain: &Value, with: &Value) -> Option<Match>;

    /// The condition on a cookie that a match has.
    fn cookie(one: &Value) -> Option<Condition>;
}

/// A condition as it is written in a match.
pub(super) struct Written<'a> {
    /// The field that has conditions of this part of a request, with either kind of route.
    key: &'static str,
    /// The part in words.
    what: &'static str,
    name: &'a str,
    value: Text,
}

impl<'a> Written<'a> {
    fn of(condition: &'a Condition) -> Self {
        let Condition { part, name, value } = condition;
        let (key, what) = match part {
            Part::Header | Part::Cookie => (HEADERS, "header"),
            Part::Query => (PARAMETERS, "query parameter"),
        };
        let (name, value) = match part {
            Part::Header | Part::Query => (name.as_str(), value.clone()),
            Part::Cookie => (COOKIE, Text::Regex(cookie::pattern(name, value))),
        };
        Self {
            key,
            what,
            name,
            value,
        }
    }
}

fn taken(Written { what, name, .. }: &Written<'_>) -> Refusal {
    Refusal::new(format!(
        "one of its rules already looks at {what} {name}, and a cohort does, too; tell the cohort by something else"
    ))
}
