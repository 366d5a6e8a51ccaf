//! The selectors of a query, for who asks a Prometheus about them: which series there are, and how often they are scraped.
//!
//! Invariant: the text of a selector is PromQL that selects the same series at the present time, without range, offset and `@`.

use std::time::Duration;

use promql_parser::{
    label::MatchOp,
    parser::{Expr, VectorSelector, token},
};

use crate::{
    expression::{bare, children, matchers, metric},
    query::parse,
};

/// Part that a selector plays in its query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Without its series there is no answer.
    Needed,
    /// The same, and it counts what may never have happened: it stands above a fraction line.
    Counted,
    /// Others, or a constant, may stand in for it: it stands beside an `or`.
    Replaceable,
}

/// One selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The whole selector.
    pub text: String,
    /// Name of the metric, if it names one.
    pub metric: Option<String>,
    /// Regular expression for the names of its metrics, if it says anything about them.
    pub names: Option<String>,
    /// Its matchers but that of the name, such as `code=~"5.."`. Empty for a selector with alternatives.
    pub matchers: Vec<String>,
    /// The range that its function looks back over, if it has one.
    pub range: Option<Duration>,
    /// Its part in the query.
    pub place: Place,
}

/// The selectors of `query` in the order of writing, each once; none if it is not PromQL. Its holes must be filled.
pub fn selectors(query: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    if let Ok(expression) = parse(query) {
        walk(&expression, Place::Needed, &mut found);
    }
    found
}

fn walk(expression: &Expr, place: Place, found: &mut Vec<Selector>) {
    let mut add = |selector: &VectorSelector, range| {
        let selector = Selector::new(selector, range, place);
        if !found.contains(&selector) {
            found.push(selector);
        }
    };
    match bare(expression) {
        Expr::VectorSelector(selector) => add(selector, None),
        Expr::MatrixSelector(selector) => add(&selector.vs, Some(selector.range)),
        Expr::Binary(binary) => {
            let (left, right) = match binary.op.id() {
                token::T_LOR => (Place::Replaceable, Place::Replaceable),
                token::T_LUNLESS => (place, Place::Replaceable),
                token::T_DIV if place == Place::Needed => (Place::Counted, Place::Needed),
                _ => (place, place),
            };
            walk(&binary.lhs, left, found);
            walk(&binary.rhs, right, found);
        }
        other => {
            for child in children(other) {
                walk(child, place, found);
            }
        }
    }
}

impl Selector {
    fn new(selector: &VectorSelector, range: Option<Duration>, place: Place) -> Self {
        let mut bare = selector.clone();
        bare.offset = None;
        bare.at = None;
        let is_name = |name: &str| name == "__name__";
        let own = matchers(selector).filter(|matcher| !is_name(&matcher.name));
        let alternatives = !selector.matchers.or_matchers.is_empty();
        Self {
            text: bare.to_string(),
            metric: metric(selector).map(str::to_owned),
            names: names(selector),
            matchers: if alternatives {
                Vec::new()
            } else {
                own.map(ToString::to_string).collect()
            },
            range,
            place,
        }
    }
}

fn names(selector: &VectorSelector) -> Option<String> {
    if let Some(name) = metric(selector) {
        return Some(name.to_owned());
    }
    let mut all = matchers(selector).filter(|matcher| matcher.name == "__name__");
    all.find(|matcher| matches!(matcher.op, MatchOp::Re(_)))
        .map(|matcher| matcher.value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_told_with_their_matchers_and_ranges() {
        let found = selectors(r#"sum(rate(a_total{pod=~"web-.+",code="5\"0"}[5m] offset 1h)) > 0"#);
        let [one] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(one.text, r#"a_total{code="5\"0",pod=~"web-.+"}"#);
        assert_eq!(one.matchers, [r#"pod=~"web-.+""#, r#"code="5\"0""#]);
        assert_eq!(one.range, Some(Duration::from_mins(5)));
        assert_eq!(one.metric.as_deref(), Some("a_total"));
        let named = selectors(r#"{__name__=~"a|b",x="y"}"#);
        assert_eq!(
            (named[0].metric.as_ref(), named[0].matchers.len()),
            (None, 1)
        );
        assert_eq!(named[0].names.as_deref(), Some("a|b"));
        assert_eq!(selectors("sum(rate("), []);
    }

    #[test]
    fn what_may_be_absent_is_told_from_what_must_be_there() {
        let places = |query: &str| -> Vec<(String, Place)> {
            let found = selectors(query).into_iter();
            found.map(|one| (one.text, one.place)).collect()
        };
        assert_eq!(
            places("(sum(bad) or vector(0)) / sum(all)"),
            [
                ("bad".to_owned(), Place::Replaceable),
                ("all".to_owned(), Place::Needed)
            ]
        );
        assert_eq!(
            places("sum(bad) / sum(all)"),
            [
                ("bad".to_owned(), Place::Counted),
                ("all".to_owned(), Place::Needed)
            ]
        );
        assert_eq!(
            places("one or two"),
            [
                ("one".to_owned(), Place::Replaceable),
                ("two".to_owned(), Place::Replaceable)
            ]
        );
    }
}
