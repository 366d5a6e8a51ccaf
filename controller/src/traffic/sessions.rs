//! Clients that stay with their version, as rules and cookies.
//!
//! Before a rule that is shared stand rules for those who have been given a version already, told by the cookie; the shared rule itself
//! sets it, at each of its destinations. The cookie's value names trial and version (`5d4f8-67a1.canary`, `5d4f8-67a1.stable-10`), and
//! that is also how the rules are found again.

use belay_engine::traffic::{
    Affinity, Condition, Match, Part, Sessions, Split, Text, sessions::moved_percent,
};

/// The header of an answer that gives a cookie.
pub(super) const HEADER: &str = "Set-Cookie";

/// Whom a cookie names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// A client of the candidate.
    Canary,
    /// A client that was given stable at this share of the candidate.
    Stable(u8),
}

/// Where such clients are led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// To the candidate.
    Canary,
    /// To the stable version.
    Stable,
    /// To the candidate with this probability in percent.
    Share(u8),
}

/// The rules for those who were given a version already, with the cookies of a shared rule.
pub(super) fn rules(split: &Split) -> Vec<(Match, To)> {
    let Some(sessions) = &split.sessions else {
        return Vec::new();
    };
    let present = split.canary_percent;
    let mut rules = vec![
        (cohort(sessions, Given::Canary), To::Canary),
        (cohort(sessions, Given::Stable(present)), To::Stable),
    ];
    if let Some(earlier) = sessions.earlier_percent {
        let to = To::Share(moved_percent(earlier, present));
        rules.push((cohort(sessions, Given::Stable(earlier)), to));
    }
    rules
}

fn cohort(sessions: &Sessions, given: Given) -> Match {
    Match {
        all: vec![Condition {
            part: Part::Cookie,
            name: sessions.affinity.cookie.clone(),
            value: Text::Exact(value(&sessions.trial, given)),
        }],
    }
}

/// Whom a rule is about, if each of its matches, of which these are the conditions on cookies, is about clients that stay.
pub(super) fn about(mut cookies: impl Iterator<Item = Option<Condition>>) -> Option<Given> {
    let given = |condition: Option<Condition>| match condition?.value {
        Text::Exact(value) => parse(&value).map(|(_, given)| given),
        Text::Regex(_) => None,
    };
    let first = given(cookies.next()?)?;
    cookies
        .all(|cookie| given(cookie).is_some())
        .then_some(first)
}

/// The sessions of a shared rule: by the cookies that it sets, and by whom the rules before it are about.
pub(super) fn found(set: Option<Sessions>, percent: u8, before: &[Given]) -> Option<Sessions> {
    let earlier_percent = before.iter().find_map(|given| match given {
        Given::Stable(earlier) if *earlier != percent => Some(*earlier),
        Given::Stable(_) | Given::Canary => None,
    });
    set.map(|sessions| Sessions {
        earlier_percent,
        ..sessions
    })
}

/// The header that gives a client its cookie.
pub(super) fn set_cookie(sessions: &Sessions, given: Given) -> String {
    let Affinity {
        cookie,
        max_age_seconds,
    } = &sessions.affinity;
    let value = value(&sessions.trial, given);
    format!("{cookie}={value}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax")
}

/// The sessions of a header that [`set_cookie`] made, without the share of before.
pub(super) fn of_header(header: &str) -> Option<Sessions> {
    let (cookie, rest) = header.split_once('=')?;
    let (value, attributes) = rest.split_once("; ")?;
    let (trial, given) = parse(value)?;
    let max_age = attributes
        .split("; ")
        .find_map(|attribute| attribute.strip_prefix("Max-Age="))?;
    let sessions = Sessions {
        affinity: Affinity {
            cookie: cookie.to_owned(),
            max_age_seconds: max_age.parse().ok()?,
        },
        trial: trial.to_owned(),
        earlier_percent: None,
    };
    (set_cookie(&sessions, given) == header).then_some(sessions)
}

fn value(trial: &str, given: Given) -> String {
    match given {
        Given::Canary => format!("{trial}.canary"),
        Given::Stable(percent) => format!("{trial}.stable-{percent}"),
    }
}

fn parse(value: &str) -> Option<(&str, Given)> {
    let (trial, given) = value.split_once('.')?;
    let given = match given.strip_prefix("stable-") {
        Some(percent) => Given::Stable(percent.parse().ok()?),
        None if given == "canary" => Given::Canary,
        None => return None,
    };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let (hash, began) = trial.rsplit_once('-')?;
    let is_trial = !hash.is_empty() && !began.is_empty() && trial.chars().all(is_plain);
    is_trial.then_some((trial, given))
}
