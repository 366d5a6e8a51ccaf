//! How an object is by a rule that somebody wrote for its kind: three questions, in the order in progress, failed, current.
//!
//! Invariant: what can't be answered yet is in progress, never a failure: most objects get the fields that a rule asks for only
//! some time after they were made.

use serde_json::Value;

use super::Health;

/// What a rule asks of an object, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Is it on its way?
    InProgress,
    /// Has it failed for good?
    Failed,
    /// Is it what its spec asks for?
    Current,
}

impl Question {
    const fn field(self) -> &'static str {
        match self {
            Self::InProgress => "inProgress",
            Self::Failed => "failed",
            Self::Current => "current",
        }
    }
}

/// What comes of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The object is so.
    Yes,
    /// It is not so.
    No,
    /// The question can't be answered, and why.
    Unknown(String),
}

/// A rule for objects of one kind.
pub trait Rule {
    /// The answer for `object`; nothing when the rule does not ask this.
    fn ask(&self, question: Question, object: &Value) -> Option<Answer>;

    /// What is asked, as its author wrote it.
    fn text(&self, question: Question) -> &str;
}

/// How `object` is by `rule`.
pub(super) fn assess(object: &Value, rule: &dyn Rule) -> Health {
    let said = |question: Question| {
        let (field, text) = (question.field(), rule.text(question));
        format!("{field}: {text}")
    };
    for question in [Question::InProgress, Question::Failed, Question::Current] {
        match (question, rule.ask(question, object)) {
            (Question::InProgress, Some(Answer::Yes)) => {
                let said = said(question);
                return Health::progress(format!("its health rule holds it in progress ({said})"));
            }
            (Question::Failed, Some(Answer::Yes)) => {
                let said = said(question);
                return Health::failed(format!("its health rule says so ({said})"));
            }
            (Question::Current, Some(Answer::Yes)) => return Health::Current,
            (_, Some(Answer::Unknown(why))) => {
                let said = said(question);
                return Health::progress(format!(
                    "its health rule can't be evaluated yet ({said}): {why}"
                ));
            }
            (_, Some(Answer::No) | None) => {}
        }
    }
    let said = said(Question::Current);
    Health::progress(format!("its health rule does not hold yet ({said})"))
}
