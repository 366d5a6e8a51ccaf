//! What a condition asks of a result, as bounds that all must hold.

use super::expression::{Each, Expression, Literal, Op, Operand, parse};

/// A condition as bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) bounds: Vec<Bound>,
    /// Whether the condition took the absence of data for good.
    pub(super) passes_without_data: bool,
}

/// One bound.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bound {
    /// Whether it is on every value, and not on the first.
    pub(super) every: bool,
    /// Where in the result, as the end of a JSONPath.
    pub(super) path: String,
    pub(super) op: Op,
    pub(super) value: Literal,
}

const NOT_READ: &str = "this condition is more than comparisons of the result with values; write it as threshold (prometheus) or expect.json (http) by hand";
const EITHER: &str = "this condition is an either-or of bounds, and a gate has one range; write two gates, or let the query answer 0 or 1";

/// What must hold for a success condition.
pub(super) fn success(text: &str) -> Result<Reading, &'static str> {
    read(&parse(text).ok_or(NOT_READ)?, false)
}

/// What must hold so that a failure condition does not.
pub(super) fn no_failure(text: &str) -> Result<Reading, &'static str> {
    read(&parse(text).ok_or(NOT_READ)?, true)
}

fn read(expression: &Expression, negated: bool) -> Result<Reading, &'static str> {
    match expression {
        Expression::Not(inner) => read(inner, !negated),
        Expression::And(left, right) if !negated => both(left, right, negated),
        Expression::Or(left, right) if negated => both(left, right, negated),
        Expression::And(left, right) | Expression::Or(left, right) => either(left, right, negated),
        Expression::Each(each, op, value) => {
            let (all, op) = if negated {
                (*each == Each::Any, op.inverse())
            } else {
                (*each == Each::All, *op)
            };
            if all {
                Ok(bound(true, "", op, value))
            } else {
                Err(NOT_READ)
            }
        }
        Expression::Holds(Operand::Result(path)) => {
            Ok(bound(false, path, Op::Equal, &Literal::Bool(!negated)))
        }
        Expression::Is(operand, op, Operand::Value(value)) => {
            let op = if negated { op.inverse() } else { *op };
            match operand {
                Operand::Result(path) => Ok(bound(false, path, op, value)),
                Operand::ResultOr(path) => Ok(Reading {
                    passes_without_data: true,
                    ..bound(false, path, op, value)
                }),
                _ => Err(NOT_READ),
            }
        }
        Expression::Is(..) | Expression::Holds(_) => Err(NOT_READ),
    }
}

/// Both must hold.
fn both(left: &Expression, right: &Expression, negated: bool) -> Result<Reading, &'static str> {
    let mut reading = Reading::default();
    for side in [left, right] {
        // That there is data at all is what every gate asks for.
        if has_data(side).is_some_and(|has| has != negated) {
            continue;
        }
        let own = read(side, negated)?;
        reading.bounds.extend(own.bounds);
        reading.passes_without_data |= own.passes_without_data;
    }
    Ok(reading)
}

/// One of them must hold: only known for «no data, or …».
fn either(left: &Expression, right: &Expression, negated: bool) -> Result<Reading, &'static str> {
    let says_none = |side| has_data(side).is_some_and(|has| has == negated);
    let other = match (says_none(left), says_none(right)) {
        (true, false) => right,
        (false, true) => left,
        _ => return Err(EITHER),
    };
    Ok(Reading {
        passes_without_data: true,
        ..read(other, negated)?
    })
}

/// Whether a condition only says that there is data, or only that there is none.
fn has_data(expression: &Expression) -> Option<bool> {
    match expression {
        Expression::Not(inner) => has_data(inner).map(|has| !has),
        Expression::Holds(Operand::NotANumber)
        | Expression::Is(Operand::Result(_), Op::Equal, Operand::Nil) => Some(false),
        Expression::Is(Operand::Result(_), Op::NotEqual, Operand::Nil) => Some(true),
        Expression::Is(Operand::Length, op, Operand::Value(Literal::Number(number))) => {
            let none = |bound: f64| (number - bound).abs() < f64::EPSILON;
            match op {
                Op::Equal if none(0.0) => Some(false),
                Op::Less if none(1.0) => Some(false),
                Op::NotEqual | Op::More if none(0.0) => Some(true),
                Op::MoreOrEqual if none(1.0) => Some(true),
                _ => None,
            }
        }
        _ => None,
    }
}

fn bound(every: bool, path: &str, op: Op, value: &Literal) -> Reading {
    Reading {
        bounds: vec![Bound {
            every,
            path: path.to_owned(),
            op,
            value: value.clone(),
        }],
        passes_without_data: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (Op, Literal, bool) {
        let reading = success(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let [bound] = reading.bounds.as_slice() else {
            panic!("{text}: {reading:?}")
        };
        (bound.op, bound.value.clone(), reading.passes_without_data)
    }

    #[test]
    fn comparisons_of_the_result_are_bounds() {
        let number = |n| Literal::Number(n);
        for (text, op, value, without) in [
            ("result[0] >= 0.95", Op::MoreOrEqual, number(0.95), false),
            ("result < 5", Op::Less, number(5.0), false),
            ("0.05 >= result[0]", Op::LessOrEqual, number(0.05), false),
            ("asFloat(result) > -1", Op::More, number(-1.0), false),
            (
                "len(result) == 0 || result[0] < 3",
                Op::Less,
                number(3.0),
                true,
            ),
            (
                "isNaN(result[0]) or result[0] < 3",
                Op::Less,
                number(3.0),
                true,
            ),
            (
                "len(result) > 0 && result[0] <= 3",
                Op::LessOrEqual,
                number(3.0),
                false,
            ),
            ("default(result, 0) < 0.05", Op::Less, number(0.05), true),
            ("!(result > 3)", Op::LessOrEqual, number(3.0), false),
            (
                "result == 'ok'",
                Op::Equal,
                Literal::Text("ok".into()),
                false,
            ),
            ("result.ok", Op::Equal, Literal::Bool(true), false),
            (
                "result[0] >= {{args.least}}",
                Op::MoreOrEqual,
                Literal::Argument("least".into()),
                false,
            ),
            (
                "result[0] >= asFloat(\"{{args.least}}\")",
                Op::MoreOrEqual,
                Literal::Argument("least".into()),
                false,
            ),
        ] {
            assert_eq!(one(text), (op, value, without), "{text}");
        }
    }

    #[test]
    fn a_failure_condition_is_turned_round() {
        let reading = no_failure("isNaN(result[0]) || result[0] > 0.05").unwrap();
        assert_eq!(reading.bounds[0].op, Op::LessOrEqual);
        assert!(!reading.passes_without_data, "no data was a failure");
        let reading = no_failure("result[0] < 1 || result[0] > 5").unwrap();
        assert_eq!(reading.bounds.len(), 2);
        let reading = no_failure("any(result, {# > 5})").unwrap();
        assert!(reading.bounds[0].every);
    }

    #[test]
    fn ranges_and_paths_are_kept() {
        let reading = success("result.ok && result.data['rate'] >= 0.9").unwrap();
        let paths: Vec<&str> = reading.bounds.iter().map(|b| b.path.as_str()).collect();
        assert_eq!(paths, [".ok", ".data['rate']"]);
    }

    #[test]
    fn what_is_not_understood_is_refused_as_a_whole() {
        for text in [
            "result[0] / 100 > 3",
            "result < 1 || result > 5",
            "any(result, # < 5)",
            "len(result) == 3",
            "result[0] > result[1]",
            "status == 'ok'",
            "",
            "result >",
            "((((((((((((((((((((((((((((((((((((((((result > 1))))))))))))))))))))))))))))))))))))))))",
        ] {
            assert!(success(text).is_err(), "{text}");
        }
    }
}
