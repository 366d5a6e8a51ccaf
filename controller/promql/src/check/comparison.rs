//! Comparisons without `bool`: they drop series instead of answering, and a dropped series reads as no data.

use promql_parser::parser::{Expr, token};

use crate::{
    Code, Finding, Role,
    expression::{bare, children, is_comparison, quoted},
};

pub(super) fn check(expression: &Expr, role: Role, findings: &mut Vec<Finding>) {
    let outermost = bare(expression);
    if let Some(text) = filtering(outermost) {
        findings.push(if role.wants_counters() {
            Finding::warning(
                Code::FilteringComparison,
                format!("{text} drops counters by their value: leave out the comparison"),
            )
        } else {
            Finding::error(
                Code::FilteringComparison,
                format!("{text} has no answer when the comparison is false, which reads as no data: write the number alone, and the bound under threshold"),
            )
        });
        for child in children(outermost) {
            inner(child, findings);
        }
    } else {
        inner(outermost, findings);
    }
}

fn inner(expression: &Expr, findings: &mut Vec<Finding>) {
    if let Expr::Binary(binary) = expression
        && matches!(binary.op.id(), token::T_LAND | token::T_LUNLESS)
    {
        // `x and y > 10` asks for x only where there is enough of y: that is what a filter is for.
        inner(&binary.lhs, findings);
        return;
    }
    if let Some(text) = filtering(expression) {
        findings.push(Finding::warning(
            Code::FilteringComparison,
            format!("{text} drops what does not fit, so that nothing is left to answer when none does: write `bool` after the operator to get 0 and 1"),
        ));
    }
    for child in children(expression) {
        inner(child, findings);
    }
}

fn filtering(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Binary(binary) if is_comparison(binary.op.id()) && !binary.return_bool() => {
            Some(quoted(expression))
        }
        _ => None,
    }
}
