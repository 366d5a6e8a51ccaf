//! Divisions of a metric by itself: what is counted above must be among what is counted below.

use promql_parser::parser::{Expr, token};

use crate::{
    Finding,
    expression::{all, selectors},
    pair::outside,
};

pub(super) fn check(expression: &Expr, findings: &mut Vec<Finding>) {
    for one in all(expression) {
        let Expr::Binary(binary) = one else { continue };
        if binary.op.id() != token::T_DIV {
            continue;
        }
        let (above, below) = (selectors(&binary.lhs), selectors(&binary.rhs));
        if let ([above], [below]) = (above.as_slice(), below.as_slice()) {
            findings.extend(outside(above, below, "the numerator", "the denominator"));
        }
    }
}
