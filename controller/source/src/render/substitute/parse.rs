//! References in a text.

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Reference {
        name: &'a str,
        default: Option<&'a str>,
    },
}

/// Whether a reference can have this name.
pub(super) fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

/// Cuts a text at its references. The error does not quote the text.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let (_, inside) = from.split_at(2);
        if let Some(before) = before.strip_suffix('$') {
            // `$${` stands for `${`, and what follows for itself.
            pieces.push(Piece::Text(before));
            pieces.push(Piece::Text("${"));
            rest = inside;
            continue;
        }
        pieces.push(Piece::Text(before));
        let Some((reference, after)) = inside.split_once('}') else {
            return Err(
                "a variable has no closing brace; write $${ if the text is meant as it stands"
                    .to_owned(),
            );
        };
        pieces.push(self::reference(reference)?);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Ok(pieces)
}

fn reference(inside: &str) -> Result<Piece<'_>, String> {
    let end = inside
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(inside.len());
    let (name, rest) = inside.split_at(end);
    let default = rest.strip_prefix(":=").or_else(|| rest.strip_prefix(":-"));
    match (is_name(name), rest.is_empty(), default) {
        (true, true, _) => Ok(Piece::Reference {
            name,
            default: None,
        }),
        (true, false, Some(default)) if !default.contains("${") => Ok(Piece::Reference {
            name,
            default: Some(default),
        }),
        (true, false, Some(_)) => Err(format!(
            "the default of ${{{name}:=…}} holds another variable; define that variable's value instead"
        )),
        _ => Err(
            "${ does not begin ${name} or ${name:=default}, with a name of letters, digits and _; write $${ if the text is \
             meant as it stands"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_defaults_and_escapes_are_told_apart() {
        let reference = |name, default| Piece::Reference { name, default };
        for (text, expected) in [
            (
                "plain $HOME $(x) $",
                vec![Piece::Text("plain $HOME $(x) $")],
            ),
            ("${a}", vec![reference("a", None)]),
            (
                "x${a:=b c}${d_1:-}y",
                vec![
                    Piece::Text("x"),
                    reference("a", Some("b c")),
                    reference("d_1", Some("")),
                    Piece::Text("y"),
                ],
            ),
            ("$${a}", vec![Piece::Text("${"), Piece::Text("a}")]),
            ("${a:=http://x:1}", vec![reference("a", Some("http://x:1"))]),
        ] {
            assert_eq!(pieces(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn whatever_is_no_reference_is_refused_without_quoting_it() {
        for text in [
            "${hunter2",
            "${}",
            "${1a}",
            "${hunter2-x}",
            "${hunter2.b}",
            "${a:=${hunter2}}",
            "${a:?hunter2}",
            "${#hunter2}",
        ] {
            let problem = pieces(text).unwrap_err();
            assert!(!problem.contains("hunter2"), "{text}: {problem}");
        }
    }
}
