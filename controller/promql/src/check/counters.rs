//! Counters: raw where Belay takes the differences, as rates where a number is compared with a bound.

use promql_parser::parser::{Expr, VectorSelector, token};

use crate::{
    Code, Finding, Role,
    expression::{all, bare, children, is_of_counters, metric, quoted, selectors},
};

/// Endings of counters' names.
const ENDINGS: [&str; 4] = ["_total", "_bucket", "_seconds_count", "_seconds_sum"];

pub(super) fn check(expression: &Expr, role: Role, findings: &mut Vec<Finding>) {
    if role.wants_counters() {
        raw(expression, findings);
    } else {
        lifetime(expression, findings);
    }
    rate_of_sum(expression, findings);
}

fn raw(expression: &Expr, findings: &mut Vec<Finding>) {
    for one in all(expression) {
        match one {
            Expr::Call(call) if call.args.args.iter().any(|argument| is_range(argument)) => {
                let name = call.func.name;
                let counter = selectors(one)
                    .first()
                    .map(|selector| format!(", for example `{}`", VectorSelector::clone(selector)))
                    .unwrap_or_default();
                findings.push(Finding::error(
                    Code::NotRawCounter,
                    format!("{name}() where the counter itself is needed: Belay takes the differences of each pod's counter; write the counter alone{counter}"),
                ));
            }
            Expr::VectorSelector(selector)
                if selector.offset.is_some() || selector.at.is_some() =>
            {
                findings.push(Finding::warning(
                    Code::ShiftedInTime,
                    format!(
                        "{} is looked at in another moment than now: leave out `offset` and `@`",
                        quoted(one)
                    ),
                ));
            }
            _ => {}
        }
    }
    if is_range(bare(expression)) {
        findings.push(Finding::error(
            Code::NotRawCounter,
            "a range of samples where the counter's present value is needed: leave out the brackets",
        ));
    }
}

fn is_range(expression: &Expr) -> bool {
    matches!(
        bare(expression),
        Expr::MatrixSelector(_) | Expr::Subquery(_)
    )
}

/// Counters whose whole life is taken for the present.
fn lifetime(expression: &Expr, findings: &mut Vec<Finding>) {
    match expression {
        // These ask whether there is a series, or when; not what it says.
        Expr::Call(call) if is_of_counters(call) || is_of_presence(call.func.name) => {}
        Expr::Aggregate(aggregate)
            if matches!(aggregate.op.id(), token::T_COUNT | token::T_GROUP) => {}
        Expr::MatrixSelector(_) => {}
        Expr::VectorSelector(selector) => {
            let name = metric(selector).unwrap_or_default();
            if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                findings.push(Finding::warning(
                    Code::LifetimeTotal,
                    format!("{name} looks like a counter: it says everything since its process began, so that what is new hardly shows; write rate({name}{{…}}[5m])"),
                ));
            }
        }
        Expr::Binary(binary) if matches!(binary.op.id(), token::T_LAND | token::T_LUNLESS) => {
            lifetime(&binary.lhs, findings);
        }
        other => {
            for child in children(other) {
                lifetime(child, findings);
            }
        }
    }
}

fn is_of_presence(function: &str) -> bool {
    matches!(
        function,
        "absent"
            | "absent_over_time"
            | "timestamp"
            | "changes"
            | "count_over_time"
            | "present_over_time"
    )
}

fn rate_of_sum(expression: &Expr, findings: &mut Vec<Finding>) {
    for one in all(expression) {
        let Expr::Call(call) = one else { continue };
        if !is_of_counters(call) {
            continue;
        }
        let of_sum = call.args.args.iter().any(|argument| {
            matches!(bare(argument), Expr::Subquery(subquery) if matches!(bare(&subquery.expr), Expr::Aggregate(_)))
        });
        if of_sum {
            findings.push(Finding::warning(
                Code::RateOfSum,
                format!("{} takes the rate of a sum, in which one restarting pod looks like a jump of all: write sum(rate(…[5m]))", quoted(one)),
            ));
        }
    }
}
