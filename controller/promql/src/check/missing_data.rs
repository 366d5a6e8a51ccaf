//! Constants that stand in for missing data: a gate must hold when nothing is measured, not pass on an invented number.
//!
//! In a numerator a constant is right: no errors have no series.

use promql_parser::parser::{Expr, token};

use crate::{
    Code, Finding, Role,
    expression::{all, bare, children, is_constant, quoted},
};

/// On which side of a division something stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Whole,
    Numerator,
    Denominator,
}

pub(super) fn check(expression: &Expr, role: Role, findings: &mut Vec<Finding>) {
    walk(expression, Side::Whole, role, findings);
}

fn walk(expression: &Expr, side: Side, role: Role, findings: &mut Vec<Finding>) {
    let Expr::Binary(binary) = expression else {
        for child in children(expression) {
            walk(child, side, role, findings);
        }
        return;
    };
    match binary.op.id() {
        token::T_DIV => {
            let left = if side == Side::Whole {
                Side::Numerator
            } else {
                side
            };
            walk(&binary.lhs, left, role, findings);
            walk(&binary.rhs, Side::Denominator, role, findings);
        }
        token::T_LOR if is_constant(&binary.rhs) => {
            findings.extend(judge(expression, &binary.lhs, side, role));
            walk(&binary.lhs, side, role, findings);
        }
        _ => {
            walk(&binary.lhs, side, role, findings);
            walk(&binary.rhs, side, role, findings);
        }
    }
}

fn judge(whole: &Expr, measured: &Expr, side: Side, role: Role) -> Option<Finding> {
    let text = quoted(whole);
    let code = Code::HidesMissingData;
    if role.wants_counters() {
        return Some(Finding::error(
            code,
            format!(
                "{text} puts a constant beside the counters: write the counters alone; where bad events have no series, Belay counts none"
            ),
        ));
    }
    match side {
        Side::Denominator => Some(Finding::error(
            code,
            format!(
                "{text} in a denominator makes a number of missing data: leave out the constant, so that no requests mean no data, which holds the change"
            ),
        )),
        Side::Numerator => None,
        Side::Whole if all(bare(measured)).iter().any(|below| is_division(below)) => {
            Some(Finding::error(
                code,
                format!(
                    "{text} answers with the constant when nothing is measured at all: put `or vector(0)` on the numerator alone"
                ),
            ))
        }
        Side::Whole => Some(Finding::warning(
            code,
            format!(
                "{text} answers with the constant when nothing is measured at all, also when Prometheus has lost its targets: leave out the constant, or be sure that absence is good news"
            ),
        )),
    }
}

fn is_division(expression: &Expr) -> bool {
    matches!(expression, Expr::Binary(binary) if binary.op.id() == token::T_DIV)
}
