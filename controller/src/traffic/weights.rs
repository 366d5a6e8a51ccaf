//! Shares in a list of destinations, as all kinds of routes have them.
//!
//! An entry that points at the user's Service becomes a pair: the stable Service, then the canary one, alike in all but name and
//! weight. The weights of a list are multiplied so that the pair can be whole percents, and dividing brings the list back:
//! nothing about it must be remembered elsewhere.
//!
//! Invariant: [`home`] undoes [`split`] exactly, also whether weights were written down. Entries without any share stay as they
//! are.

use serde_json::{Value, json};

use super::Refusal;

/// What an entry points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The user's own Service.
    Home,
    /// The Service of the stable pods.
    Stable,
    /// The Service of the candidate's pods.
    Canary,
    /// Something else.
    Other,
}

/// What it means when an entry has no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The API server stores one; it does not happen.
    One,
    /// One, and it stays unwritten.
    UnwrittenOne,
    /// Everything for a lone entry, nothing beside others.
    AllOrNothing,
}

/// How a kind of route writes its destinations down.
pub(super) trait Shape {
    /// The meaning of an absent weight.
    const MISSING: Missing;
    /// The highest weight that the kind takes.
    const HIGHEST: u64;

    /// What an entry points at.
    fn target(&self, entry: &Value) -> Target;

    /// The entry, pointing elsewhere.
    fn pointed(&self, entry: &Value, target: Target) -> Value;
}

/// A pair shares this many times the entry's own weight.
const WHOLE: u64 = 100;

/// Written weights are multiplied by twice as much where an absent one means something, so that the sum of a pair tells which of
/// the two it was.
const WRITTEN: u64 = 2 * WHOLE;

/// The list with `percent` of each share of the user's Service on the canary; nothing when the Service has no share in it.
pub(super) fn split<S: Shape>(
    shape: &S,
    entries: &[Value],
    percent: u8,
) -> Result<Option<Vec<Value>>, Refusal> {
    let shares =
        |entry: &&Value| shape.target(entry) == Target::Home && has_share(shape, entries, entry);
    if !entries.iter().any(|entry| shares(&entry)) {
        return Ok(None);
    }
    let written = entries
        .iter()
        .filter(|entry| weight(entry).is_some())
        .count();
    if S::MISSING == Missing::UnwrittenOne && written != 0 && written != entries.len() {
        return Err(Refusal::new(
            "some of its destinations have a weight and some have none; give each of them one",
        ));
    }
    let percent = u64::from(percent.min(100));
    let mut list = Vec::with_capacity(entries.len() + 1);
    for entry in entries {
        let own = own_weight(shape, entries, entry);
        let whole = own
            .checked_mul(factor::<S>(entry))
            .filter(|whole| *whole <= S::HIGHEST)
            .ok_or_else(|| {
                Refusal::new(format!(
                    "a weight of {own} is too high to be shared; use weights of at most {}",
                    S::HIGHEST / factor::<S>(entry)
                ))
            })?;
        if shares(&entry) {
            let canary = whole / WHOLE * percent;
            list.push(with_weight(
                shape.pointed(entry, Target::Stable),
                whole - canary,
            ));
            list.push(with_weight(shape.pointed(entry, Target::Canary), canary));
        } else if weight(entry).is_none() && own == 0 {
            list.push(entry.clone());
        } else {
            list.push(with_weight(entry.clone(), whole));
        }
    }
    Ok(Some(list))
}

/// The list as it was before [`split`]; nothing when there is nothing of ours in it. What somebody has edited since is brought
/// back as well as can be.
pub(super) fn home<S: Shape>(shape: &S, entries: &[Value]) -> Option<Vec<Value>> {
    let ours = |entry: &Value| matches!(shape.target(entry), Target::Stable | Target::Canary);
    if !entries.iter().any(ours) {
        return None;
    }
    let mut merged: Vec<(Value, u64)> = Vec::with_capacity(entries.len());
    let mut rest = entries.iter().peekable();
    while let Some(entry) = rest.next() {
        let mut whole = weight(entry).unwrap_or(0);
        if shape.target(entry) == Target::Stable
            && let Some(canary) = rest.next_if(|next| shape.target(next) == Target::Canary)
        {
            whole = whole.saturating_add(weight(canary).unwrap_or(0));
        }
        let entry = if ours(entry) {
            shape.pointed(entry, Target::Home)
        } else {
            entry.clone()
        };
        merged.push((entry, whole));
    }
    let unwritten = match S::MISSING {
        Missing::One => false,
        Missing::UnwrittenOne => merged.iter().all(|(_, whole)| *whole == WHOLE),
        Missing::AllOrNothing => matches!(merged.as_slice(), [(_, WHOLE)]),
    };
    let divisor = if S::MISSING == Missing::One {
        WHOLE
    } else {
        WRITTEN
    };
    Some(
        merged
            .into_iter()
            .map(|(entry, whole)| match weight(&entry) {
                None => entry,
                Some(_) if unwritten => without_weight(entry),
                Some(_) => with_weight(entry, whole.div_ceil(divisor)),
            })
            .collect(),
    )
}

/// The share of the canary in the first pair of the list, in percent.
pub(super) fn percent<S: Shape>(shape: &S, entries: &[Value]) -> Option<u8> {
    entries.windows(2).find_map(|pair| {
        let [stable, canary] = pair else { return None };
        let is_pair =
            shape.target(stable) == Target::Stable && shape.target(canary) == Target::Canary;
        let (stable, canary) = (weight(stable)?, weight(canary)?);
        let whole = stable
            .checked_add(canary)
            .filter(|whole| is_pair && *whole > 0)?;
        let hundredfold = canary.checked_mul(WHOLE)?;
        (hundredfold % whole == 0)
            .then(|| u8::try_from(hundredfold / whole).ok())
            .flatten()
    })
}

/// Whether the list is one of canaries only, as rules for cohorts have it.
pub(super) fn is_canary_only<S: Shape>(shape: &S, entries: &[Value]) -> bool {
    !entries.is_empty()
        && entries
            .iter()
            .all(|entry| shape.target(entry) == Target::Canary)
}

/// The entries that have a share and point at the user's Service, pointing at one version instead.
pub(super) fn only<S: Shape>(shape: &S, entries: &[Value], version: Target) -> Vec<Value> {
    entries
        .iter()
        .filter(|entry| shape.target(entry) == Target::Home && has_share(shape, entries, entry))
        .map(|entry| shape.pointed(entry, version))
        .collect()
}

fn has_share<S: Shape>(shape: &S, entries: &[Value], entry: &Value) -> bool {
    own_weight(shape, entries, entry) > 0
}

fn own_weight<S: Shape>(_: &S, entries: &[Value], entry: &Value) -> u64 {
    match (weight(entry), S::MISSING) {
        (Some(weight), _) => weight,
        (None, Missing::AllOrNothing) => u64::from(entries.len() == 1),
        (None, Missing::One | Missing::UnwrittenOne) => 1,
    }
}

fn factor<S: Shape>(entry: &Value) -> u64 {
    if S::MISSING == Missing::One || weight(entry).is_none() {
        WHOLE
    } else {
        WRITTEN
    }
}

fn weight(entry: &Value) -> Option<u64> {
    entry.get("weight")?.as_u64()
}

fn with_weight(mut entry: Value, weight: u64) -> Value {
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("weight".to_owned(), json!(weight));
    }
    entry
}

fn without_weight(mut entry: Value) -> Value {
    if let Some(fields) = entry.as_object_mut() {
        fields.remove("weight");
    }
    entry
}
