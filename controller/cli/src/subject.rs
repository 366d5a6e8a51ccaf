//! What the plugin needs to know of a kind in order to show it and act on it.

use belay_engine::action::Verb;
use jiff::Timestamp;
use kube::core::NamespaceResourceScope;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    history::Reasons,
    output::{Entry, Style, Tone},
};

/// A kind that can be shown and acted on.
pub(crate) trait Subject:
    kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + std::fmt::Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Name of the kind.
    const KIND: &'static str;
    /// Titles of the columns of a list, after namespace and name.
    const COLUMNS: &'static [&'static str];

    /// Cells for these columns.
    fn row(&self, now: Timestamp) -> Vec<Entry>;
    /// The live view.
    fn view(&self, now: Timestamp, style: Style) -> Vec<String>;
    /// What happened before.
    fn history(&self, reasons: &Reasons, now: Timestamp, style: Style) -> Vec<String>;
    /// The state in one line without times, so that two equal lines mean that nothing happened.
    fn headline(&self) -> String;
    /// The version that an act would be about, as far as the status knows one.
    fn version_for(&self, verb: Verb) -> Option<String>;
}

/// Time since an object was created.
pub(crate) fn age(object: &impl kube::Resource, now: Timestamp) -> String {
    object
        .meta()
        .creation_timestamp
        .as_ref()
        .map(|created| crate::span::between(created.0, now))
        .unwrap_or_default()
}

/// A line `label   text` of a view, with the label in a column of its own.
pub(crate) fn field(label: &str, text: &str, style: Style) -> String {
    format!(
        "  {} {text}",
        style.paint(Tone::Faint, &format!("{label:<11}"))
    )
}

/// The first line of a view: kind, name, phase, and since when.
pub(crate) fn title<K: Subject>(
    object: &K,
    (phase, tone): (String, Tone),
    since: Option<Timestamp>,
    now: Timestamp,
    style: Style,
) -> String {
    let meta = object.meta();
    let name = format!(
        "{} {}/{}",
        K::KIND,
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default()
    );
    let since = since
        .map(|since| format!(" for {}", crate::span::between(since, now)))
        .unwrap_or_default();
    let (name, phase) = (style.paint(Tone::Title, &name), style.paint(tone, &phase));
    format!("{name}  {phase}{since}")
}
