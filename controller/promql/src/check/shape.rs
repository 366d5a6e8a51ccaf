//! Whether a query gives one number.

use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, token, value::ValueType,
};

use crate::{
    Code, Finding,
    expression::{bare, is_scalar, quoted},
};

pub(super) fn check(expression: &Expr, findings: &mut Vec<Finding>) {
    match expression.value_type() {
        ValueType::Matrix => findings.push(Finding::error(
            Code::NotANumber,
            format!("{} is a range of samples and no number: write a function around it, for example rate(…)", quoted(expression)),
        )),
        ValueType::String => findings.push(Finding::error(
            Code::NotANumber,
            format!("{} is a text and no number: write a query", quoted(expression)),
        )),
        ValueType::Scalar => {}
        ValueType::Vector => {
            if !is_one(expression) {
                findings.push(Finding::warning(
                    Code::SeveralSeries,
                    format!("{} may give several series, and a gate takes one number: write sum(…), max(…) or min(…) around it", quoted(expression)),
                ));
            }
        }
    }
}

/// Whether at most one series can come out.
fn is_one(expression: &Expr) -> bool {
    match bare(expression) {
        Expr::NumberLiteral(_) => true,
        Expr::Unary(unary) => is_one(&unary.expr),
        Expr::Aggregate(aggregate) => aggregates_to_one(aggregate),
        Expr::Call(call) => calls_one(call),
        Expr::Binary(binary) => joins_to_one(binary),
        _ => false,
    }
}

fn aggregates_to_one(aggregate: &AggregateExpr) -> bool {
    let is_grouped = match &aggregate.modifier {
        None => false,
        Some(LabelModifier::Include(labels)) => !labels.labels.is_empty(),
        Some(LabelModifier::Exclude(_)) => true,
    };
    let takes_many = matches!(
        aggregate.op.id(),
        token::T_TOPK | token::T_BOTTOMK | token::T_LIMITK | token::T_LIMIT_RATIO
    );
    if takes_many {
        let one = aggregate.param.as_deref().map(bare);
        return !is_grouped
            && matches!(one, Some(Expr::NumberLiteral(number)) if number.val <= 1.0)
            || is_one(&aggregate.expr);
    }
    aggregate.op.id() != token::T_COUNT_VALUES && (!is_grouped || is_one(&aggregate.expr))
}

fn calls_one(call: &Call) -> bool {
    if matches!(
        call.func.name,
        "vector" | "scalar" | "time" | "absent" | "absent_over_time" | "pi"
    ) {
        return true;
    }
    let of = call
        .args
        .args
        .iter()
        .find(|argument| argument.value_type() == ValueType::Vector);
    match (call.func.name, of.map(|argument| bare(argument))) {
        // The bounds of the buckets are used up.
        ("histogram_quantile", Some(Expr::Aggregate(aggregate))) => match &aggregate.modifier {
            Some(LabelModifier::Include(labels)) => labels.labels.iter().all(|label| label == "le"),
            Some(LabelModifier::Exclude(_)) => false,
            None => true,
        },
        (_, Some(of)) => is_one(of),
        (_, None) => call.func.arg_types.is_empty(),
    }
}

fn joins_to_one(binary: &BinaryExpr) -> bool {
    let (left, right) = (is_one(&binary.lhs), is_one(&binary.rhs));
    match binary.op.id() {
        token::T_LOR => left && right,
        token::T_LAND | token::T_LUNLESS => left,
        _ if is_scalar(&binary.lhs) => right,
        _ if is_scalar(&binary.rhs) => left,
        // One to one: there are no more pairs than the shorter side has series.
        _ => left || right,
    }
}
