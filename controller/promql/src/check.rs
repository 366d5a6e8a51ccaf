//! The single checks.

mod comparison;
mod counters;
mod matchers;
mod missing_data;
mod pods;
mod quantiles;
mod ranges;
mod ratio;
mod shape;

use promql_parser::parser::Expr;

use crate::{Finding, Role, Settings};

/// Everything that is wrong with `expression` in its role.
pub(crate) fn all(expression: &Expr, role: Role, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    missing_data::check(expression, role, &mut findings);
    comparison::check(expression, role, &mut findings);
    counters::check(expression, role, &mut findings);
    matchers::check(expression, &mut findings);
    quantiles::check(expression, &mut findings);
    ranges::check(expression, settings.scrape_interval, &mut findings);
    if role.wants_counters() {
        if let Some(label) = &settings.pod_label {
            pods::check(expression, label, &mut findings);
        }
    } else {
        shape::check(expression, &mut findings);
        ratio::check(expression, &mut findings);
    }
    findings
}

#[cfg(test)]
mod tests;
