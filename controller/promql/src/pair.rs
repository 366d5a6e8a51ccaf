//! Whether bad events are among all events.

use promql_parser::{label::Matcher, parser::VectorSelector};

use crate::{
    Code, Finding,
    expression::{matchers, metric, selectors},
    query::parse,
};

/// The mistakes that show only when the queries for bad events and for all events are seen together.
pub fn lint_pair(bad: &str, total: &str) -> Vec<Finding> {
    // What can't be parsed has been said where each was looked at alone.
    let (Ok(bad), Ok(total)) = (parse(bad), parse(total)) else {
        return Vec::new();
    };
    let (bad, total) = (selectors(&bad), selectors(&total));
    let ([bad], [total]) = (bad.as_slice(), total.as_slice()) else {
        return Vec::new();
    };
    outside(bad, total, "bad", "total").into_iter().collect()
}

/// What `part` takes although `whole`, of the same metric, does not; and a whole of which the part is all.
pub(crate) fn outside(
    part: &VectorSelector,
    whole: &VectorSelector,
    part_name: &str,
    whole_name: &str,
) -> Option<Finding> {
    let name = metric(part)?;
    if metric(whole) != Some(name) {
        return None;
    }
    let of_part: Vec<&Matcher> = labels(part).collect();
    let of_whole: Vec<&Matcher> = labels(whole).collect();
    // A narrower matcher on the same label is what a part is made of.
    let stray = of_whole.iter().find(|matcher| {
        !of_part.contains(matcher) && !of_part.iter().any(|other| other.name == matcher.name)
    });
    if let Some(Matcher {
        op,
        name: label,
        value,
    }) = stray
    {
        return Some(Finding::warning(
            Code::DifferentPopulations,
            format!(
                "{whole_name} is limited to {label}{op}\"{value}\" and {part_name} is not, so that {part_name} counts events that {whole_name} does not: write the same matcher in both"
            ),
        ));
    }
    let same =
        of_part.len() == of_whole.len() && of_part.iter().all(|matcher| of_whole.contains(matcher));
    same.then(|| {
        Finding::warning(
            Code::DifferentPopulations,
            format!("{part_name} and {whole_name} both take every event of {name}: limit {part_name} to the bad ones, for example code=~\"5..\""),
        )
    })
}

fn labels(selector: &VectorSelector) -> impl Iterator<Item = &Matcher> {
    matchers(selector).filter(|matcher| matcher.name != "__name__")
}
