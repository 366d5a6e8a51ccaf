//! One number against one bound.
//!
//! Invariant: only a finite number within its bounds passes. An empty answer, `NaN`, an infinite number and an answer with more
//! than one number are each named for what they are, with what to do about them; none of them is a pass or a failure.

use crate::gate::Result;

/// Bounds of a number; both ends belong to the good side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The number must not be below this.
    pub min: Option<f64>,
    /// The number must not be above this.
    pub max: Option<f64>,
}

/// What a query gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One number without labels.
    Scalar(f64),
    /// The present value of each of these series.
    Vector(Vec<f64>),
    /// Numbers over time.
    Matrix,
    /// A text.
    Text,
}

/// What `answer` says about `bounds`.
pub fn judge(answer: &Answer, bounds: Bounds) -> Result {
    match answer {
        Answer::Scalar(number) => judge_number(*number, bounds),
        Answer::Vector(numbers) => match numbers.as_slice() {
            [] => Result::NoData {
                why: "the query gave no series; check its metric names and labels, and that these pods are scraped"
                    .to_owned(),
            },
            [number] => judge_number(*number, bounds),
            several => Result::Error {
                why: format!(
                    "the query gave {} series where one number is meant; aggregate them, for example with sum(...)",
                    several.len()
                ),
            },
        },
        Answer::Matrix => Result::Error {
            why: "the query gave numbers over time where one number is meant; wrap the range in rate(...) or avg_over_time(...)"
                .to_owned(),
        },
        Answer::Text => Result::Error {
            why: "the query gave a text where one number is meant".to_owned(),
        },
    }
}

fn judge_number(number: f64, bounds: Bounds) -> Result {
    if number.is_nan() {
        return Result::NoData {
            why: "the query gave NaN, as a division of zero by zero does: most likely there was no traffic in its window"
                .to_owned(),
        };
    }
    if number.is_infinite() {
        return Result::Error {
            why: "the query gave an infinite number, as a division by zero does; guard the divisor, for example with `> 0`"
                .to_owned(),
        };
    }
    let value = text(number);
    let why = match bounds {
        Bounds { max: Some(max), .. } if number > max => {
            format!("{value} is above the maximum of {}", text(max))
        }
        Bounds { min: Some(min), .. } if number < min => {
            format!("{value} is below the minimum of {}", text(min))
        }
        Bounds {
            min: None,
            max: None,
        } => {
            return Result::Error {
                why: "the threshold has no bound; give min, max or both".to_owned(),
            };
        }
        _ => return Result::Pass { value },
    };
    Result::Fail { value, why }
}

/// A number as people write it, with six significant digits at most.
fn text(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        return format!("{number:.3e}");
    }
    let decimals = if size >= 1000.0 {
        2
    } else if size >= 1.0 {
        4
    } else {
        6
    };
    let fixed = format!("{number:.decimals$}");
    let short = fixed.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0" } else { short }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_MOST_ONE: Bounds = Bounds {
        min: None,
        max: Some(1.0),
    };

    #[test]
    fn both_ends_of_the_bounds_pass() {
        let bounds = Bounds {
            min: Some(0.99),
            max: Some(1.0),
        };
        for number in [0.99, 1.0] {
            assert!(matches!(
                judge(&Answer::Scalar(number), bounds),
                Result::Pass { .. }
            ));
        }
        for number in [0.98999, 1.00001] {
            assert!(matches!(
                judge(&Answer::Vector(vec![number]), bounds),
                Result::Fail { .. }
            ));
        }
    }

    #[test]
    fn a_failure_names_number_and_bound() {
        let Result::Fail { why, .. } = judge(&Answer::Scalar(2.5), AT_MOST_ONE) else {
            panic!("2.5 is above 1");
        };
        assert_eq!(why, "2.5 is above the maximum of 1");
    }

    #[test]
    fn what_is_no_number_neither_passes_nor_fails() {
        let no_data = [Answer::Vector(vec![]), Answer::Scalar(f64::NAN)];
        for answer in no_data {
            assert!(matches!(judge(&answer, AT_MOST_ONE), Result::NoData { .. }));
        }
        let errors = [
            Answer::Vector(vec![0.0, 0.0]),
            Answer::Scalar(f64::INFINITY),
            Answer::Vector(vec![f64::NEG_INFINITY]),
            Answer::Matrix,
            Answer::Text,
        ];
        for answer in errors {
            assert!(
                matches!(judge(&answer, AT_MOST_ONE), Result::Error { .. }),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn a_threshold_without_bounds_does_not_pass() {
        let none = Bounds {
            min: None,
            max: None,
        };
        assert!(matches!(
            judge(&Answer::Scalar(0.0), none),
            Result::Error { .. }
        ));
    }

    #[test]
    fn numbers_are_written_short() {
        for (number, expected) in [
            (0.05, "0.05"),
            (12.0, "12"),
            (0.0, "0"),
            (-0.0, "0"),
            (1.0 / 3.0, "0.333333"),
            (1234.567, "1234.57"),
            (1e-9, "1.000e-9"),
        ] {
            assert_eq!(text(number), expected);
        }
    }
}
