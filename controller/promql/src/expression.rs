//! Walking over parsed PromQL.

use promql_parser::{
    label::Matcher,
    parser::{Call, Expr, LabelModifier, VectorSelector, token, value::ValueType},
};

/// Longest part of a query that is repeated in a message, in characters.
const QUOTED: usize = 90;

/// Functions that make a counter's growth of its samples.
const OF_COUNTERS: [&str; 6] = ["rate", "increase", "irate", "xrate", "xincrease", "resets"];

/// `expression` without the parentheses around it.
pub(crate) fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Paren(inner) => bare(&inner.expr),
        other => other,
    }
}

/// What stands directly below.
pub(crate) fn children(expression: &Expr) -> Vec<&Expr> {
    match expression {
        Expr::Aggregate(aggregate) => aggregate
            .param
            .as_deref()
            .into_iter()
            .chain([&*aggregate.expr])
            .collect(),
        Expr::Unary(unary) => vec![&unary.expr],
        Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        Expr::Paren(inner) => vec![&inner.expr],
        Expr::Subquery(subquery) => vec![&subquery.expr],
        Expr::Call(call) => call.args.args.iter().map(|argument| &**argument).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// `expression` and everything below it, outermost first.
pub(crate) fn all(expression: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    let mut next = vec![expression];
    while let Some(one) = next.pop() {
        found.push(one);
        let mut below = children(one);
        below.reverse();
        next.extend(below);
    }
    found
}

/// The selectors of `expression`, with and without a range.
pub(crate) fn selectors(expression: &Expr) -> Vec<&VectorSelector> {
    all(expression)
        .into_iter()
        .filter_map(|one| match one {
            Expr::VectorSelector(selector) => Some(selector),
            Expr::MatrixSelector(range) => Some(&range.vs),
            _ => None,
        })
        .collect()
}

/// All matchers of a selector, its alternatives included.
pub(crate) fn matchers(selector: &VectorSelector) -> impl Iterator<Item = &Matcher> {
    let alternatives = selector.matchers.or_matchers.iter().flatten();
    selector.matchers.matchers.iter().chain(alternatives)
}

/// Name of the metric, written before the braces or in them.
pub(crate) fn metric(selector: &VectorSelector) -> Option<&str> {
    selector.name.as_deref().or_else(|| {
        matchers(selector)
            .find(|matcher| {
                matcher.name == "__name__"
                    && matches!(matcher.op, promql_parser::label::MatchOp::Equal)
            })
            .map(|matcher| matcher.value.as_str())
    })
}

/// Whether a function makes growth of a counter.
pub(crate) fn is_of_counters(call: &Call) -> bool {
    OF_COUNTERS.contains(&call.func.name)
}

/// Whether it is a constant: a number, or `vector()` of one.
pub(crate) fn is_constant(expression: &Expr) -> bool {
    match bare(expression) {
        Expr::NumberLiteral(_) => true,
        Expr::Unary(unary) => is_constant(&unary.expr),
        Expr::Call(call) => {
            call.func.name == "vector"
                && call.args.args.iter().all(|argument| is_constant(argument))
        }
        _ => false,
    }
}

/// Whether it is one number without labels for PromQL's own rules.
pub(crate) fn is_scalar(expression: &Expr) -> bool {
    expression.value_type() == ValueType::Scalar
}

/// Whether an operator compares.
pub(crate) const fn is_comparison(operator: token::TokenId) -> bool {
    matches!(
        operator,
        token::T_EQLC | token::T_NEQ | token::T_GTR | token::T_GTE | token::T_LSS | token::T_LTE
    )
}

/// Whether a grouping keeps `label`.
pub(crate) fn grouping_keeps(modifier: Option<&LabelModifier>, label: &str) -> bool {
    match modifier {
        Some(LabelModifier::Include(labels)) => labels.labels.iter().any(|kept| kept == label),
        Some(LabelModifier::Exclude(labels)) => !labels.labels.iter().any(|lost| lost == label),
        None => false,
    }
}

/// The expression as text, cut to what fits into a sentence.
pub(crate) fn quoted(expression: &Expr) -> String {
    let text = expression.to_string();
    if text.chars().count() <= QUOTED {
        return format!("`{text}`");
    }
    let cut: String = text.chars().take(QUOTED).collect();
    format!("`{cut}…`")
}
