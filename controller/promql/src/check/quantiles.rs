//! Quantiles: they can't be averaged, and a classic histogram's need its buckets.

use promql_parser::parser::{Call, Expr, token};

use crate::{
    Code, Finding,
    expression::{all, bare, grouping_keeps, matchers, metric, quoted, selectors},
};

const LE: &str = "le";

pub(super) fn check(expression: &Expr, findings: &mut Vec<Finding>) {
    for one in all(expression) {
        match one {
            Expr::Aggregate(aggregate)
                if matches!(aggregate.op.id(), token::T_AVG | token::T_SUM)
                    && is_quantile(bare(&aggregate.expr)) =>
            {
                findings.push(Finding::warning(
                    Code::AverageOfQuantiles,
                    format!("{} makes one number of several quantiles, which is no quantile of anything: add the buckets up first, histogram_quantile(0.99, sum by (le) (rate(…_bucket[5m])))", quoted(one)),
                ));
            }
            Expr::Call(call) if call.func.name == "histogram_quantile" => {
                findings.extend(buckets(call, one));
            }
            _ => {}
        }
    }
}

fn is_quantile(expression: &Expr) -> bool {
    match expression {
        Expr::Call(call) => {
            call.func.name == "histogram_quantile" || call.func.name == "quantile_over_time"
        }
        Expr::VectorSelector(selector) => {
            matchers(selector).any(|matcher| matcher.name == "quantile")
        }
        _ => false,
    }
}

/// Buckets of a classic histogram that lost their bounds on the way. Native histograms have none to lose.
fn buckets(call: &Call, whole: &Expr) -> Option<Finding> {
    let of = call.args.args.last()?;
    let is_classic = selectors(of)
        .iter()
        .any(|selector| metric(selector).is_some_and(|name| name.ends_with("_bucket")));
    let loses = all(of).iter().any(|one| {
        matches!(one, Expr::Aggregate(aggregate) if !grouping_keeps(aggregate.modifier.as_ref(), LE))
    });
    (is_classic && loses).then(|| {
        Finding::error(
            Code::QuantileWithoutBuckets,
            format!("{} adds the buckets up without their bounds, so that there is no quantile to find: write sum by (le) (…)", quoted(whole)),
        )
    })
}
