//! What annotations on an object say about how Belay treats it.
//!
//! They are written in the source, or on the live object by people who want Belay to keep off it for a while. In the source an
//! unknown value is refused. On a live object it counts as the careful one: who wrote something there meant to be left alone.

use serde::{Deserialize, Serialize};

use super::observed::ObjectKey;

/// Annotation: whether the object may be deleted when it left the source.
pub const PRUNE_ANNOTATION: &str = "belay.dev/prune";
/// Annotation: whether the object is looked after at all once it exists.
pub const RECONCILE_ANNOTATION: &str = "belay.dev/reconcile";
/// Annotation: whether the object is applied again once it exists.
pub const APPLY_ANNOTATION: &str = "belay.dev/apply";
/// Annotation: whether the object may be deleted and made anew when a field of it can't be changed.
pub const REPLACE_ANNOTATION: &str = "belay.dev/replace";
/// Annotation: whether the object may be taken over from another tool that applies it.
pub const ADOPT_ANNOTATION: &str = "belay.dev/adopt";

/// Annotation: the turn of an object among those of its stage, a number.
pub const WAVE_ANNOTATION: &str = "belay.dev/wave";
/// Annotation on a Job: whether it is run before or after everything else, once for each content.
pub const JOB_ANNOTATION: &str = "belay.dev/job";

/// Whether an object may be deleted when it left the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pruning {
    /// As its kind is.
    #[default]
    Usual,
    /// Never: it stays, and Belay gives it up.
    Disabled,
    /// Yes, whatever its kind.
    Allowed,
}

/// Whether an object is looked after once it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Care {
    /// It is applied, put right, awaited and pruned.
    #[default]
    Usual,
    /// Nothing of that.
    Disabled,
}

/// How often an object is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Applying {
    /// Whenever the source or the object changed.
    #[default]
    Always,
    /// Only while it is not there.
    Once,
}

/// Whether something that Belay does not do by itself may be done to an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// As the Release says.
    #[default]
    Usual,
    /// Yes.
    Allowed,
}

/// What the annotations of an object say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Words {
    /// Whether it may be deleted when it left the source.
    #[serde(skip_serializing_if = "is_default")]
    pub prune: Pruning,
    /// Whether it is looked after.
    #[serde(skip_serializing_if = "is_default")]
    pub reconcile: Care,
    /// How often it is applied.
    #[serde(skip_serializing_if = "is_default")]
    pub apply: Applying,
    /// Whether it may be deleted and made anew when a field of it can't be changed.
    #[serde(skip_serializing_if = "is_default")]
    pub replace: Permission,
    /// Whether it may be taken over from another tool.
    #[serde(skip_serializing_if = "is_default")]
    pub adopt: Permission,
}

impl Words {
    /// What a rendered object says; `annotation` gives the value of one. A value that means nothing is refused with a sentence.
    pub fn rendered<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Result<Self, String> {
        let allowed = [("Allowed", Permission::Allowed)];
        Ok(Self {
            prune: strict(
                &annotation,
                PRUNE_ANNOTATION,
                &[
                    ("Disabled", Pruning::Disabled),
                    ("Allowed", Pruning::Allowed),
                ],
            )?,
            reconcile: strict(
                &annotation,
                RECONCILE_ANNOTATION,
                &[("Disabled", Care::Disabled)],
            )?,
            apply: strict(&annotation, APPLY_ANNOTATION, &[("Once", Applying::Once)])?,
            replace: strict(&annotation, REPLACE_ANNOTATION, &allowed)?,
            adopt: strict(&annotation, ADOPT_ANNOTATION, &allowed)?,
        })
    }

    /// What a live object says.
    pub fn live<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Self {
        let says = |key: &str, word: &str| {
            annotation(key).is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        let permits = |key: &str| {
            if says(key, "Allowed") {
                Permission::Allowed
            } else {
                Permission::Usual
            }
        };
        let keeps_off = |key: &str| annotation(key).is_some() && !says(key, "Enabled");
        Self {
            prune: if says(PRUNE_ANNOTATION, "Allowed") {
                Pruning::Allowed
            } else if keeps_off(PRUNE_ANNOTATION) {
                Pruning::Disabled
            } else {
                Pruning::Usual
            },
            reconcile: if keeps_off(RECONCILE_ANNOTATION) {
                Care::Disabled
            } else {
                Care::Usual
            },
            apply: if says(APPLY_ANNOTATION, "Once") {
                Applying::Once
            } else {
                Applying::Always
            },
            replace: permits(REPLACE_ANNOTATION),
            adopt: permits(ADOPT_ANNOTATION),
        }
    }

    /// These words, and where they say nothing of their own, `others`.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            prune: own(self.prune, others.prune),
            reconcile: own(self.reconcile, others.reconcile),
            apply: own(self.apply, others.apply),
            replace: own(self.replace, others.replace),
            adopt: own(self.adopt, others.adopt),
        }
    }

    /// Whether the live object is left as it is instead of being applied.
    pub fn leaves_alone(self) -> bool {
        self.reconcile == Care::Disabled || self.apply == Applying::Once
    }

    /// Whether `key`, which left the source, may be deleted. `home` is the namespace of the Release, which never is: the Release
    /// would go with it.
    pub fn lets_prune(self, key: &ObjectKey, home: &str) -> bool {
        let is_home = key.group.is_empty() && key.kind == "Namespace" && key.name == home;
        !is_home
            && self.reconcile == Care::Usual
            && match self.prune {
                Pruning::Disabled => false,
                Pruning::Usual => !is_guarded(&key.group, &key.kind),
                Pruning::Allowed => true,
            }
    }
}

/// Whether objects of this kind are deleted only when they say so themselves: too much hangs on them, and what they hold can't
/// be made again.
pub fn is_guarded(group: &str, kind: &str) -> bool {
    matches!(
        (group, kind),
        (
            "",
            "Namespace" | "PersistentVolume" | "PersistentVolumeClaim"
        ) | ("apiextensions.k8s.io", "CustomResourceDefinition")
    )
}

fn own<T: Default + PartialEq>(first: T, second: T) -> T {
    if first == T::default() { second } else { first }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn strict<'a, T: Copy + Default>(
    annotation: impl Fn(&str) -> Option<&'a str>,
    key: &str,
    words: &[(&str, T)],
) -> Result<T, String> {
    let Some(said) = annotation(key) else {
        return Ok(T::default());
    };
    let known = words.iter().find(|(word, _)| *word == said);
    known.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!(
            "annotation {key} says {said:?}; write {}, or take it away",
            words.join(" or ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(group: &str, kind: &str, name: &str) -> ObjectKey {
        ObjectKey {
            group: group.into(),
            kind: kind.into(),
            namespace: None,
            name: name.into(),
        }
    }

    fn one<'a>(key: &'a str, value: &'a str) -> impl Fn(&str) -> Option<&'a str> {
        move |asked| (asked == key).then_some(value)
    }

    #[test]
    fn a_word_in_the_source_that_means_nothing_is_refused_with_those_that_do() {
        let words = Words::rendered(one(PRUNE_ANNOTATION, "Disabled")).unwrap();
        assert_eq!(words.prune, Pruning::Disabled);
        let refused = Words::rendered(one(PRUNE_ANNOTATION, "no")).unwrap_err();
        assert!(
            refused.contains("\"no\"") && refused.contains("Disabled or Allowed"),
            "{refused}"
        );
    }

    #[test]
    fn on_a_live_object_whatever_is_written_keeps_belay_off() {
        for said in ["Disabled", "disabled", "false", "please"] {
            assert_eq!(
                Words::live(one(RECONCILE_ANNOTATION, said)).reconcile,
                Care::Disabled
            );
            assert_eq!(
                Words::live(one(PRUNE_ANNOTATION, said)).prune,
                Pruning::Disabled
            );
        }
        assert_eq!(
            Words::live(one(RECONCILE_ANNOTATION, "enabled")),
            Words::default()
        );
    }

    #[test]
    fn dangerous_kinds_go_only_on_their_own_word_and_the_releases_namespace_never() {
        let (usual, allowed) = (
            Words::default(),
            Words::live(one(PRUNE_ANNOTATION, "Allowed")),
        );
        let disabled = Words::live(one(RECONCILE_ANNOTATION, "Disabled"));
        let claim = key("", "PersistentVolumeClaim", "data");
        assert!(!usual.lets_prune(&claim, "shop") && allowed.lets_prune(&claim, "shop"));
        let map = key("", "ConfigMap", "web");
        assert!(usual.lets_prune(&map, "shop") && !disabled.lets_prune(&map, "shop"));
        assert!(allowed.lets_prune(&key("", "Namespace", "other"), "shop"));
        assert!(!allowed.lets_prune(&key("", "Namespace", "shop"), "shop"));
    }

    #[test]
    fn a_live_word_counts_before_the_sources() {
        let source = Words::rendered(one(APPLY_ANNOTATION, "Once")).unwrap();
        let live = Words::live(one(RECONCILE_ANNOTATION, "Disabled"));
        let both = live.or(source);
        assert_eq!(
            (both.reconcile, both.apply),
            (Care::Disabled, Applying::Once)
        );
    }
}
