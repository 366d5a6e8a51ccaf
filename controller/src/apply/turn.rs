//! When an object's turn comes, beyond what its kind says: waves within a stage, and Jobs before and after everything else.
//!
//! Invariant: a Job with a turn of its own is named after the content, so that one content has it once, whoever applies it how often.

use belay_engine::{
    digest::Digest,
    release::words::{JOB_ANNOTATION, WAVE_ANNOTATION},
};
use serde_json::{Value, json};

use super::order::Rank;

/// Longest name of such a Job as it is written: its pods' names are made of it and of the digest.
const NAME_BYTES: usize = 52;

/// Waves are counted from minus to plus this.
const WAVES: i32 = 1_000;

/// Before, with or after everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A Job that has to succeed before anything else is applied.
    Pre,
    /// Everything else.
    #[default]
    Main,
    /// A Job that is made when everything else is applied and healthy.
    Post,
}

/// When an object's turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Turn {
    /// Before, with or after everything else.
    pub part: Part,
    /// The stage of its kind.
    pub rank: Rank,
    /// Its turn within the stage.
    pub wave: i32,
}

impl Turn {
    /// Whether what has this turn waits until what has the turn before is healthy.
    pub fn waits_for(self, before: Self) -> bool {
        self.part != before.part || self.rank == before.rank && self.wave != before.wave
    }
}

/// The turn of an object of this rank. What its annotations say and does not make sense is refused with a sentence.
pub fn turn(body: &Value, rank: Rank) -> Result<Turn, String> {
    let annotations = body.pointer("/metadata/annotations");
    let says = |key: &str| annotations?.get(key)?.as_str();
    let wave = match says(WAVE_ANNOTATION) {
        None => 0,
        Some(said) => said
            .parse()
            .ok()
            .filter(|wave: &i32| wave.abs() <= WAVES)
            .ok_or_else(|| {
                format!("annotation {WAVE_ANNOTATION} says {said:?}; write a whole number from -{WAVES} to {WAVES}")
            })?,
    };
    let is_job = body.get("kind").and_then(Value::as_str) == Some("Job");
    let part = match says(JOB_ANNOTATION) {
        None => Part::Main,
        Some(_) if !is_job => {
            return Err(format!(
                "annotation {JOB_ANNOTATION} is for Jobs only; take it away, or use {WAVE_ANNOTATION}"
            ));
        }
        Some("Pre") => Part::Pre,
        Some("Post") => Part::Post,
        Some(said) => {
            return Err(format!(
                "annotation {JOB_ANNOTATION} says {said:?}; write Pre or Post"
            ));
        }
    };
    Ok(Turn { part, rank, wave })
}

/// Names a Job with a turn of its own after the content. It stays until the content has left: what took itself away could be run
/// twice.
pub fn bind(body: &mut Value, name: &str, content: &Digest) -> String {
    let name: String = name.chars().take(NAME_BYTES).collect();
    let name = format!("{}-{}", name.trim_end_matches(['-', '.']), content.short());
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("name".to_owned(), json!(name));
    }
    if let Some(spec) = body.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("ttlSecondsAfterFinished");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(kind: &str, key: &str, said: &str) -> Result<Turn, String> {
        let body = json!({"kind": kind, "metadata": {"annotations": {key: said}}});
        turn(&body, Rank::Workloads)
    }

    #[test]
    fn waves_are_numbers_and_turns_are_for_jobs() {
        assert_eq!(with("Deployment", WAVE_ANNOTATION, "-5").unwrap().wave, -5);
        assert_eq!(with("Job", JOB_ANNOTATION, "Pre").unwrap().part, Part::Pre);
        for (kind, key, said, advice) in [
            ("Job", WAVE_ANNOTATION, "first", "whole number"),
            ("Job", WAVE_ANNOTATION, "1001", "whole number"),
            ("Job", JOB_ANNOTATION, "Before", "Pre or Post"),
            ("Deployment", JOB_ANNOTATION, "Pre", "for Jobs only"),
        ] {
            let refused = with(kind, key, said).unwrap_err();
            assert!(refused.contains(advice), "{refused}");
        }
    }

    #[test]
    fn a_wave_waits_for_the_one_before_in_its_stage_and_stages_do_not() {
        let at = |part, rank, wave| Turn { part, rank, wave };
        let web = at(Part::Main, Rank::Workloads, 0);
        assert!(at(Part::Main, Rank::Workloads, 1).waits_for(web));
        assert!(at(Part::Post, Rank::Workloads, 0).waits_for(web));
        assert!(web.waits_for(at(Part::Pre, Rank::Workloads, 0)));
        assert!(!web.waits_for(at(Part::Main, Rank::Configuration, 7)));
        assert!(!web.waits_for(web));
    }

    #[test]
    fn one_content_has_a_job_once() {
        let of = |content: &str| {
            let mut body =
                json!({"metadata": {"name": "x"}, "spec": {"ttlSecondsAfterFinished": 1}});
            let name = bind(
                &mut body,
                &"migrate-".repeat(9),
                &Digest::of(&json!(content)),
            );
            assert_eq!(body.pointer("/metadata/name"), Some(&json!(name)));
            assert!(body.pointer("/spec/ttlSecondsAfterFinished").is_none());
            name
        };
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
        assert!(of("a").len() <= 63);
    }
}
