//! Filling a template's holes: `{{name}}` becomes the argument's value.
//!
//! Invariant: a hole without a value, an argument that the template does not know, and a value that would be empty are errors.
//! Values are put in as they are; PromQL quoting is the template author's, as the braces stand inside his own quotes, and a
//! value that could end such quotes is refused.

use std::collections::BTreeMap;

use thiserror::Error;

use super::Parameter;

/// Why a template could not be filled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArgumentError {
    /// A required argument is missing.
    #[error("argument {0:?} is missing: give it under args, or give it a default in the template")]
    Missing(String),
    /// The template has no such argument.
    #[error("the template has no argument {0:?}; it knows: {1}")]
    Unknown(String, String),
    /// The value is empty.
    #[error("argument {0:?} is empty: an empty value would silently match nothing or everything")]
    Empty(String),
    /// The value contains a character that could change the query's meaning.
    #[error(
        "argument {0:?} contains a quote, backslash or line break, which could change the meaning of the query"
    )]
    Unsafe(String),
    /// The text uses a hole that the template does not declare.
    #[error("the query uses {{{{{0}}}}}, which is not among the template's args")]
    Undeclared(String),
    /// A hole is not closed.
    #[error("the query has {{{{ without }}}}")]
    Unclosed,
}

/// Values for all of a template's parameters: the given ones, else the defaults.
pub fn resolve(
    parameters: &[Parameter],
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ArgumentError> {
    if let Some(unknown) = given
        .keys()
        .find(|name| !parameters.iter().any(|p| &p.name == *name))
    {
        let known: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
        return Err(ArgumentError::Unknown(unknown.clone(), known.join(", ")));
    }
    parameters
        .iter()
        .map(|parameter| {
            let name = &parameter.name;
            let value = given
                .get(name)
                .or(parameter.default.as_ref())
                .ok_or_else(|| ArgumentError::Missing(name.clone()))?;
            check(name, value)?;
            Ok((name.clone(), value.clone()))
        })
        .collect()
}

fn check(name: &str, value: &str) -> Result<(), ArgumentError> {
    if value.is_empty() {
        return Err(ArgumentError::Empty(name.to_owned()));
    }
    if value.contains(['"', '\'', '`', '\\', '\n', '\r']) {
        return Err(ArgumentError::Unsafe(name.to_owned()));
    }
    Ok(())
}

/// `text` with every `{{name}}` replaced by its value.
pub fn fill(text: &str, values: &BTreeMap<String, String>) -> Result<String, ArgumentError> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or(ArgumentError::Unclosed)?;
        let name = name.trim();
        filled.push_str(before);
        filled.push_str(
            values
                .get(name)
                .ok_or_else(|| ArgumentError::Undeclared(name.to_owned()))?,
        );
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, default: Option<&str>) -> Parameter {
        Parameter {
            name: name.into(),
            default: default.map(Into::into),
            detect: None,
            description: None,
        }
    }

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn holes_take_given_values_before_defaults() {
        let parameters = [parameter("service", None), parameter("window", Some("1m"))];
        let resolved = resolve(&parameters, &values(&[("service", "shop")])).unwrap();
        let filled = fill(r#"rate(x{s="{{service}}"}[{{ window }}])"#, &resolved).unwrap();
        assert_eq!(filled, r#"rate(x{s="shop"}[1m])"#);
    }

    #[test]
    fn nothing_is_filled_in_silently() {
        let parameters = [parameter("service", None)];
        assert_eq!(
            resolve(&parameters, &values(&[])),
            Err(ArgumentError::Missing("service".into()))
        );
        assert_eq!(
            resolve(&parameters, &values(&[("service", "")])),
            Err(ArgumentError::Empty("service".into()))
        );
        assert_eq!(
            resolve(&parameters, &values(&[("servcie", "x")])),
            Err(ArgumentError::Unknown("servcie".into(), "service".into()))
        );
        assert_eq!(
            fill("{{nope}}", &values(&[])),
            Err(ArgumentError::Undeclared("nope".into()))
        );
        assert_eq!(fill("{{nope", &values(&[])), Err(ArgumentError::Unclosed));
    }

    #[test]
    fn a_value_cannot_break_out_of_its_quotes() {
        let parameters = [parameter("service", None)];
        assert_eq!(
            resolve(&parameters, &values(&[("service", "a\"} or x{")])),
            Err(ArgumentError::Unsafe("service".into()))
        );
    }
}
