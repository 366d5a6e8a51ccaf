//! Conditions of cohorts, as routes write them: in lists (Gateway API) or by name (Istio).
//! A cookie is a condition on the header of that name, by a regular expression.
//!
//! Conditions are added to a match of the user's and found again as what one match has more than the other. A name that the match
//! already asks for is refused: two conditions on one header can't both be written down.

mod cookie;
pub(super) mod keyed;
pub(super) mod listed;

use super::Refusal;

/// The header that all cookies are in.
const COOKIE: &str = "cookie";

fn taken(what: &str, name: &str) -> Refusal {
    Refusal::new(format!(
        "one of its rules already looks at {what} {name}, and a cohort does, too; tell the cohort by something else"
    ))
}
