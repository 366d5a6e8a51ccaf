//! What a build program says, made fit for a status.
//!
//! Invariant: programs quote what they choke on, and that may be the value of a Secret; what may hold one is cut out, or the whole
//! text is withheld.

/// Whether a file may hold the value of a Secret.
pub(super) fn speaks_of_secrets(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    let is_secret = |line: &str| {
        let plain: String = line
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\''))
            .collect();
        plain.contains("kind:Secret") && !plain.contains("kind:SecretStore")
    };
    text.contains("secretGenerator") || text.lines().any(is_secret)
}

/// The text with everything in braces and brackets left out: that is where quoted manifests are.
pub(super) fn without_groups(text: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::new();
    for c in text.chars() {
        match c {
            '{' | '[' => {
                if depth == 0 {
                    kept.push('…');
                }
                depth += 1;
            }
            '}' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// The text without what stands in quotes, unless that is the place of something: a path, or the name of a file. What stands
/// in angle brackets is the template's own text and is kept.
pub(super) fn without_quotations(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" at <") {
        let (template, after) = after.split_once('>').unwrap_or((after, ""));
        kept.push_str(&unquoted(before));
        kept.push_str(" at <");
        kept.push_str(template);
        kept.push('>');
        rest = after;
    }
    kept.push_str(&unquoted(rest));
    kept
}

/// The first place in a template that the text names, such as `web/templates/a.yaml:3:14`.
pub(super) fn first_place(text: &str) -> Option<&str> {
    let is_of_place = |c: char| c.is_ascii_alphanumeric() || "/._-:".contains(c);
    text.split(|c| !is_of_place(c))
        .map(|word| word.trim_matches(':'))
        .find(|word| {
            let mut parts = word.split(':');
            let is_template = parts
                .next()
                .is_some_and(|file| file.contains("templates/") && is_place(file));
            is_template && parts.all(|number| number.parse::<u32>().is_ok())
        })
}

fn unquoted(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(['"', '\'', '`']) {
        let (before, quoted) = rest.split_at(start);
        let mark = quoted.chars().next().unwrap_or('"');
        let is_opening = before
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric());
        kept.push_str(before);
        let inner = &quoted[1..];
        let end = inner.find(mark).filter(|_| is_opening);
        let Some(end) = end else {
            if is_opening {
                // Cut off in the middle of a quotation.
                kept.push('…');
                return kept;
            }
            kept.push(mark);
            rest = inner;
            continue;
        };
        let (content, after) = inner.split_at(end);
        kept.push(mark);
        kept.push_str(if is_place(content) { content } else { "…" });
        kept.push(mark);
        rest = &after[1..];
    }
    kept.push_str(rest);
    kept
}

fn is_place(content: &str) -> bool {
    let is_file = [".yaml", ".yml", ".json", ".tpl"]
        .iter()
        .any(|ending| content.ends_with(ending));
    (is_file || content.starts_with('/')) && !content.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_manifests_are_cut_out_of_messages() {
        assert_eq!(
            without_groups("bad patch '[{\"op\":\"add\",\"value\":\"hush\"}]' in a"),
            "bad patch '…' in a"
        );
    }

    #[test]
    fn secrets_are_noticed_and_references_to_them_are_not() {
        for text in [
            "kind: Secret\n",
            "{\"kind\": \"Secret\"}",
            "secretGenerator:\n- name: a\n",
        ] {
            assert!(speaks_of_secrets(text.as_bytes()), "{text}");
        }
        for text in [
            "secretKeyRef: {name: a}",
            "kind: ExternalSecret",
            "kind: SecretStore",
        ] {
            assert!(!speaks_of_secrets(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn quotations_are_cut_out_and_places_are_kept() {
        for (text, kept) in [
            (
                "at '/image/tag': got number, want string",
                "at '/image/tag': got number, want string",
            ),
            (
                "at '/password': 'hunter2' does not match pattern '^a'",
                "at '/password': '…' does not match pattern '…'",
            ),
            (
                "strconv.Atoi: parsing \"hunter2\": invalid syntax",
                "strconv.Atoi: parsing \"…\": invalid syntax",
            ),
            (
                "the chart's words don't count",
                "the chart's words don't count",
            ),
            ("cut off: \"hunt", "cut off: …"),
            (
                "x at <include \"a\" .>: no \"b\"",
                "x at <include \"a\" .>: no \"…\"",
            ),
            (
                "template: \"shop/web.yaml\" at",
                "template: \"shop/web.yaml\" at",
            ),
        ] {
            assert_eq!(without_quotations(text), kept);
        }
    }
}
