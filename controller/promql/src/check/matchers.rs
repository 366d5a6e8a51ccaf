//! Matchers that say something else than was meant.

use promql_parser::{
    label::{MatchOp, Matcher},
    parser::Expr,
};

use crate::{
    Code, Finding,
    expression::{matchers, selectors},
};

/// Labels that hold an HTTP status.
const STATUS: [&str; 9] = [
    "code",
    "status",
    "status_code",
    "response_code",
    "http_status",
    "http_status_code",
    "http_response_status_code",
    "envoy_response_code",
    "statusCode",
];

pub(super) fn check(expression: &Expr, findings: &mut Vec<Finding>) {
    for selector in selectors(expression) {
        for matcher in matchers(selector) {
            findings.extend(status(matcher));
            findings.extend(everything(matcher));
            findings.extend(empty_part(matcher));
        }
    }
}

fn status(matcher: &Matcher) -> Option<Finding> {
    let Matcher { name, value, op } = matcher;
    if !STATUS.contains(&name.as_str()) {
        return None;
    }
    let is_code = value.len() == 3 && value.chars().all(|digit| digit.is_ascii_digit());
    match op {
        MatchOp::Equal if is_code && value.starts_with(['4', '5']) => {
            let class = value.get(..1).unwrap_or_default();
            Some(Finding::warning(
                Code::OneStatusCode,
                format!(
                    "{name}=\"{value}\" is this one code and none of its neighbours: write {name}=~\"{class}..\" for the class"
                ),
            ))
        }
        MatchOp::NotEqual if value == "200" => Some(Finding::warning(
            Code::OneStatusCode,
            format!(
                "{name}!=\"200\" takes 201, 204 and redirects, too: write {name}=~\"5..\" for errors of the server"
            ),
        )),
        _ => None,
    }
}

fn everything(matcher: &Matcher) -> Option<Finding> {
    let Matcher { name, value, op } = matcher;
    match op {
        MatchOp::Re(pattern) if pattern.is_match("") => Some(Finding::warning(
            Code::MatchesEverything,
            format!(
                "{name}=~\"{value}\" also takes series that have no label {name}: leave it out if all are meant, or write a pattern with at least one character, for example {name}=~\".+\""
            ),
        )),
        _ => None,
    }
}

/// `.*--.*`: a name whose middle was an argument that came out empty.
fn empty_part(matcher: &Matcher) -> Option<Finding> {
    let Matcher { name, value, op } = matcher;
    let is_pattern = matches!(op, MatchOp::Re(_) | MatchOp::NotRe(_));
    let has_hole = value.contains("--")
        || (is_pattern && (value.starts_with('-') || value == ".*-.*" || value == ".+-.+"));
    has_hole.then(|| {
        Finding::warning(
            Code::EmptyPart,
            format!("{name}: {value:?} looks as if a part of it were empty: say what stands between the hyphens"),
        )
    })
}
