//! How much a route of the Gateway API may hold. The API server would refuse the write; this says it before the first one, and
//! what to change. A route that is over a limit of its own is not this module's business.

use serde_json::Value;

use crate::traffic::{Refusal, rules::list};

/// Rules that a route can have.
const MOST_RULES: usize = 16;

/// Matches that a rule can have.
const MOST_MATCHES: usize = 64;

/// Matches that all rules of a route can have together.
const MOST_MATCHES_OF_ALL: usize = 128;

/// Whether `rules`, made from the rules that are `home`, fit into one route.
pub(super) fn check(rules: &[Value], home: &Value) -> Result<(), Refusal> {
    if home.as_array().is_some_and(|own| own.len() >= rules.len()) {
        return Ok(());
    }
    let matches = |rule: &Value| list(rule, "matches").len();
    let refused = |has: String, most: usize| {
        Err(Refusal::new(format!(
            "with rules for cohorts, and for clients that stay, before each of its own {has}, and {most} are the most; divide it into several routes, or use fewer cohorts",
        )))
    };
    if let Some(most) = rules
        .iter()
        .map(matches)
        .max()
        .filter(|most| *most > MOST_MATCHES)
    {
        return refused(format!("a rule would have {most} matches"), MOST_MATCHES);
    }
    if rules.len() > MOST_RULES {
        return refused(format!("it would have {} rules", rules.len()), MOST_RULES);
    }
    let all: usize = rules.iter().map(matches).sum();
    if all > MOST_MATCHES_OF_ALL {
        return refused(format!("it would have {all} matches"), MOST_MATCHES_OF_ALL);
    }
    Ok(())
}
