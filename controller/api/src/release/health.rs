//! How objects of custom kinds are told healthy: rules in CEL, each for one kind.
//!
//! Invariants: a rule that can't be read refuses the spec; one that is read is answered in bounded time and memory, whatever object it is asked
//! about (see the module `expression`).

mod expression;

use belay_engine::health::{self, Answer, Health, Question, Rule};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::expression::Expression;

/// How objects of one kind are told healthy, instead of what Belay knows of the kind. Expressions are CEL, over `status`, `spec`, `metadata`
/// and the whole object as `self` or `object`; each gives true or false. They are asked in the order `inProgress`, `failed`, `current`, and
/// the first one that is true counts. One that can't be evaluated, as its field is not there yet, is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.kind != 'Secret' || self.apiVersion != 'v1'").message("a Secret has no health: write a rule for the object that makes it"))]
#[serde(rename_all = "camelCase")]
pub struct HealthRule {
    /// Group and version of the objects, for example `example.com/v1`, or `example.com/*` for every version.
    #[schemars(
        length(min = 1, max = 317),
        regex(pattern = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/(\*|[a-z0-9]+)|v[a-z0-9]+)$")
    )]
    pub api_version: String,
    /// Kind of the objects.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z][A-Za-z0-9]*$"))]
    pub kind: String,
    /// True: the object is on its way, whatever else it says.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<String>,
    /// True: it has failed, and the version is taken back.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// True: it is what its spec asks for. False: it is waited for.
    #[schemars(length(min = 1, max = 1024))]
    pub current: String,
}

impl HealthRule {
    fn fits(&self, api_version: &str, kind: &str) -> bool {
        let fits_version = match self.api_version.strip_suffix("/*") {
            Some(group) => api_version
                .rsplit_once('/')
                .is_some_and(|(of, _)| of == group),
            None => self.api_version == api_version,
        };
        fits_version && self.kind == kind
    }
}

/// The rules of a Release, read.
#[derive(Debug, Default)]
pub struct HealthRules(Vec<Compiled>);

#[derive(Debug)]
struct Compiled {
    written: HealthRule,
    in_progress: Option<Expression>,
    failed: Option<Expression>,
    current: Expression,
}

impl HealthRules {
    /// Reads rules; the error names the rule, and says what is wrong with it.
    pub fn read(rules: &[HealthRule]) -> Result<Self, String> {
        rules
            .iter()
            .map(Compiled::read)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// How `object` is: by the first rule for its kind, else by what is known of the kind.
    pub fn assess(&self, object: &Value) -> Health {
        match self.rule(object) {
            Some(rule) => health::assess_by(object, rule),
            None => health::assess(object),
        }
    }

    /// Whether there is a rule for the kind of `object`.
    pub fn has_rule(&self, object: &Value) -> bool {
        self.rule(object).is_some()
    }

    fn rule(&self, object: &Value) -> Option<&Compiled> {
        let text = |field| {
            object
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        self.0
            .iter()
            .find(|rule| rule.written.fits(api_version, kind))
    }
}

impl Compiled {
    fn read(rule: &HealthRule) -> Result<Self, String> {
        let read = |field: &str, text: &str| {
            Expression::read(text).map_err(|why| {
                let HealthRule {
                    api_version, kind, ..
                } = rule;
                format!("{field} of the rule for {api_version} {kind}: {why}")
            })
        };
        let optional = |field: &str, text: &Option<String>| {
            text.as_deref().map(|text| read(field, text)).transpose()
        };
        Ok(Self {
            in_progress: optional("inProgress", &rule.in_progress)?,
            failed: optional("failed", &rule.failed)?,
            current: read("current", &rule.current)?,
            written: rule.clone(),
        })
    }

    const fn expression(&self, question: Question) -> Option<&Expression> {
        match question {
            Question::InProgress => self.in_progress.as_ref(),
            Question::Failed => self.failed.as_ref(),
            Question::Current => Some(&self.current),
        }
    }
}

impl Rule for Compiled {
    fn ask(&self, question: Question, object: &Value) -> Option<Answer> {
        Some(self.expression(question)?.ask(object))
    }

    fn text(&self, question: Question) -> &str {
        match question {
            Question::InProgress => self.written.in_progress.as_deref().unwrap_or_default(),
            Question::Failed => self.written.failed.as_deref().unwrap_or_default(),
            Question::Current => &self.written.current,
        }
    }
}

#[cfg(test)]
mod tests;
