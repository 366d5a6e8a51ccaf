//! Whether each pod's counter can still be told from the others'.

use promql_parser::parser::{BinaryExpr, Call, Expr, LabelModifier, token};

use crate::{
    Code, Finding,
    expression::{bare, grouping_keeps, is_scalar, quoted},
};

pub(super) fn check(expression: &Expr, pod: &str, findings: &mut Vec<Finding>) {
    if let Some(loser) = loses(expression, pod) {
        findings.push(Finding::error(
            Code::PodLabelLost,
            format!("{} has no label {pod} any more, and without it the new version's pods can't be told from the others: write the counter alone, or sum by ({pod}) (…)", quoted(loser)),
        ));
    }
}

/// The part that loses the label.
fn loses<'e>(expression: &'e Expr, pod: &str) -> Option<&'e Expr> {
    match bare(expression) {
        Expr::VectorSelector(_) | Expr::MatrixSelector(_) => None,
        whole @ Expr::Aggregate(aggregate) => {
            if grouping_keeps(aggregate.modifier.as_ref(), pod) {
                loses(&aggregate.expr, pod)
            } else {
                Some(whole)
            }
        }
        whole @ Expr::Call(call) => in_call(call, whole, pod),
        whole @ Expr::Binary(binary) => in_binary(binary, whole, pod),
        Expr::Unary(unary) => loses(&unary.expr, pod),
        Expr::Subquery(subquery) => loses(&subquery.expr, pod),
        other => Some(other),
    }
}

fn in_call<'e>(call: &'e Call, whole: &'e Expr, pod: &str) -> Option<&'e Expr> {
    if matches!(call.func.name, "label_replace" | "label_join")
        && matches!(call.args.args.get(1).map(|argument| bare(argument)), Some(Expr::StringLiteral(label)) if label.val == pod)
    {
        return None;
    }
    let mut series = call.args.args.iter().filter(|argument| {
        !is_scalar(argument) && !matches!(bare(argument), Expr::StringLiteral(_))
    });
    match series.next() {
        Some(first) if !matches!(call.func.name, "scalar" | "absent" | "absent_over_time") => {
            loses(first, pod)
        }
        _ => Some(whole),
    }
}

fn in_binary<'e>(binary: &'e BinaryExpr, whole: &'e Expr, pod: &str) -> Option<&'e Expr> {
    if is_scalar(&binary.lhs) {
        return loses(&binary.rhs, pod);
    }
    if is_scalar(&binary.rhs) {
        return loses(&binary.lhs, pod);
    }
    match binary.op.id() {
        token::T_LAND | token::T_LUNLESS => loses(&binary.lhs, pod),
        token::T_LOR => loses(&binary.lhs, pod).or_else(|| loses(&binary.rhs, pod)),
        _ => {
            let matching = binary
                .modifier
                .as_ref()
                .and_then(|modifier| modifier.matching.as_ref());
            let is_kept = match matching {
                None => true,
                Some(LabelModifier::Include(labels)) => {
                    labels.labels.iter().any(|label| label == pod)
                }
                Some(LabelModifier::Exclude(labels)) => {
                    !labels.labels.iter().any(|label| label == pod)
                }
            };
            let is_joined = binary.modifier.as_ref().is_some_and(|modifier| {
                !matches!(
                    modifier.card,
                    promql_parser::parser::VectorMatchCardinality::OneToOne
                )
            });
            if is_kept || is_joined {
                loses(&binary.lhs, pod).or_else(|| loses(&binary.rhs, pod))
            } else {
                Some(whole)
            }
        }
    }
}
