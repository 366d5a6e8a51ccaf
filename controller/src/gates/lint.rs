//! What the lint says of templates as they are used, remembered: it depends on the template and its arguments alone, and they
//! are looked at with every pass over every object.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use belay_api::{AnalysisTemplateSpec, analysis::GateRef};
use belay_promql::{
    ScrapeInterval, Settings, Severity,
    template::{Located, lint_use},
};

/// Uses of templates that are remembered. Beyond that everything is forgotten and read anew: one reading takes less than a
/// millisecond.
const REMEMBERED: usize = 4096;

/// What the lint says of one use of a template.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Linted {
    /// Why it can't be asked, for people.
    pub(super) refusal: Option<String>,
    /// What is doubtful in it, for people.
    pub(super) doubts: Vec<String>,
}

/// A cache of a pure function, and therefore one for the whole process.
static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Linted>>>> = LazyLock::new(Mutex::default);

/// What the lint says of `spec` as `reference` uses it.
pub(super) fn linted(spec: &AnalysisTemplateSpec, reference: &GateRef) -> Arc<Linted> {
    let Ok(key) = serde_json::to_string(&(spec, reference)) else {
        return Arc::new(lint(spec, reference));
    };
    if let Some(known) = lock().get(&key) {
        return Arc::clone(known);
    }
    let linted = Arc::new(lint(spec, reference));
    let mut known = lock();
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(key, Arc::clone(&linted));
    linted
}

fn lock() -> std::sync::MutexGuard<'static, HashMap<String, Arc<Linted>>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lint(spec: &AnalysisTemplateSpec, reference: &GateRef) -> Linted {
    let template = &reference.template;
    let said = |located: &Located| match &located.gate {
        Some(gate) => format!(
            "gate {template}/{gate}, {}: {}",
            located.field, located.finding.message
        ),
        None => format!("template {template}: {}", located.finding.message),
    };
    // How often a Prometheus scrapes is not guessed here: whether a range is long enough shows when it is asked.
    let settings = Settings {
        scrape_interval: ScrapeInterval::Unknown,
        ..Settings::default()
    };
    let found = lint_use(spec, reference, &settings);
    let of = |severity: Severity| {
        let found = found.iter();
        found.filter(move |located| located.finding.severity == severity)
    };
    Linted {
        refusal: of(Severity::Error).map(said).next(),
        doubts: of(Severity::Warning).map(said).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn use_of(query: &str) -> Arc<Linted> {
        let spec = serde_json::from_value(json!({
            "gates": [{"name": "ratio", "prometheus": {"query": query, "threshold": {"max": 0.1}}}],
        }));
        let reference = serde_json::from_value(json!({"template": "errors"}));
        linted(&spec.unwrap(), &reference.unwrap())
    }

    #[test]
    fn errors_refuse_warnings_are_doubts_and_both_name_the_gate() {
        let linted = use_of("sum(rate(a_total[5m])) / (sum(rate(b_total[5m])) or vector(1))");
        let refusal = linted.refusal.as_deref().unwrap();
        assert!(
            refusal.starts_with("gate errors/ratio, prometheus.query: "),
            "{refusal}"
        );
        let doubtful = use_of("sum(a_total)");
        assert_eq!(
            (doubtful.refusal.as_ref(), doubtful.doubts.len()),
            (None, 1)
        );
    }

    #[test]
    fn a_use_is_read_once() {
        let first = use_of("sum(rate(read_once_total[5m]))");
        assert!(Arc::ptr_eq(
            &first,
            &use_of("sum(rate(read_once_total[5m]))")
        ));
        assert_eq!(*first, Linted::default());
    }
}
