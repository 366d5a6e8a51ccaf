//! The time in requests: many query APIs want to be told from when to when.

use jiff::Timestamp;

use super::Values;

/// `text` with `{{now}}` and `{{nowMillis}}`, each perhaps with a span taken off (`{{now-5m}}`), replaced. A template's own argument
/// of one of these names goes first.
pub(super) fn filled(text: &str, values: &Values, now: Timestamp) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((hole, after)) = after.split_once("}}") else {
            break;
        };
        filled.push_str(before);
        match time_of(hole.trim(), values, now)? {
            Some(time) => filled.push_str(&time),
            None => filled.extend(["{{", hole, "}}"]),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn time_of(hole: &str, values: &Values, now: Timestamp) -> Result<Option<String>, String> {
    let (name, back) = hole.split_once('-').unwrap_or((hole, "0s"));
    if values.contains_key(hole) || !matches!(name, "now" | "nowMillis") {
        return Ok(None);
    }
    let back: belay_api::Duration = serde_json::from_value(back.into())
        .map_err(|_| format!("{{{{{hole}}}}} is not a time, such as {{{{now-5m}}}}"))?;
    let at = now.checked_sub(back.get());
    let at = at.map_err(|_| format!("{{{{{hole}}}}} is too long ago"))?;
    Ok(Some(if name == "now" {
        at.as_second().to_string()
    } else {
        at.as_millisecond().to_string()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_filled_in_and_other_holes_are_left() {
        let now = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let none = Values::new();
        let text = "from={{now-5m}}&to={{ now }}&ms={{nowMillis-1s}}&s={{service}}";
        assert_eq!(
            filled(text, &none, now).unwrap(),
            "from=1699999700&to=1700000000&ms=1699999999123&s={{service}}"
        );
        let own = Values::from([("now".to_owned(), "x".to_owned())]);
        assert_eq!(filled("{{now}}", &own, now).unwrap(), "{{now}}");
        assert_eq!(filled("{{open", &none, now).unwrap(), "{{open");
        assert!(filled("{{now-soon}}", &none, now).is_err());
    }
}
