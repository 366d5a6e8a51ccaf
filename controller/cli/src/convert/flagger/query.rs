//! Queries of Flagger, which are Go templates, as queries of a gate.
//!
//! A Canary's template is its own, so what Flagger knows of the Canary is written out. Only the namespace and the hash of the new
//! version stay holes, for the Rollout knows them best.

use super::canary::Subject;
use crate::convert::note::Notes;

/// Pattern of the new version's pods in Flagger's queries. With Belay both versions' pods fit it.
const PODS: &str = "-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)";

/// `query` for this Canary. `interval` is the metric's.
pub(super) fn rendered(
    query: &str,
    subject: &Subject,
    interval: &str,
    variables: &[(String, String)],
    at: &str,
    notes: &mut Notes,
) -> String {
    let mut out = String::with_capacity(query.len());
    let mut rest = query;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inner, mut after)) = after.split_once("}}") else {
            break;
        };
        out.push_str(before);
        match inner.trim() {
            "name" => out.push_str(&subject.name),
            "namespace" => out.push_str("{{namespace}}"),
            "service" => out.push_str(&subject.service),
            "interval" => out.push_str(interval),
            "ingress" if subject.ingress.is_some() => {
                out.push_str(subject.ingress.as_deref().unwrap_or_default());
            }
            "target" => {
                out.push_str(&subject.target);
                if let Some(behind) = after.strip_prefix(PODS) {
                    out.push_str("-{{hash}}-.+");
                    after = behind;
                } else if !(after.starts_with("-canary") && subject.target == subject.service) {
                    notes.left(at, format!("the query asks for {0}, which was the new version's name; with Belay both versions run under it: ask for its pods by name, as {0}-{{{{hash}}}}-.+", subject.target));
                }
            }
            other => match variable(other, variables) {
                Some(value) => out.push_str(value),
                None => {
                    notes.left(
                        at,
                        format!("{{{{{inner}}}}} is not known here; write it out"),
                    );
                }
            },
        }
        rest = after;
    }
    out.push_str(rest);
    out.trim().to_owned()
}

/// The value of `variables.x` or `index variables "x"`.
fn variable<'a>(text: &str, variables: &'a [(String, String)]) -> Option<&'a str> {
    let name = text
        .strip_prefix("variables.")
        .or_else(|| text.strip_prefix("index variables "))?
        .trim()
        .trim_matches(['"', '`']);
    let mut all = variables.iter();
    all.find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}
