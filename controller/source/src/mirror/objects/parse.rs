//! Taking git's output apart.
//!
//! Invariant: by lengths and positions, never by what file names or contents look like. Anything unexpected is nothing,
//! which the caller reports as damage.

use std::collections::HashMap;

use super::{Answer, Entry, EntryKind, Found, Lookup, ObjectKind};
use crate::text::has_control;
use crate::{Oid, SourceError};

/// Takes the answers of `cat-file --batch-check --follow-symlinks` apart.
pub(super) fn parse_answers(names: &[String], output: &[u8]) -> Option<Vec<Answer>> {
    let mut rest = output;
    let mut answers = Vec::with_capacity(names.len());
    for name in names {
        let line = take_line(&mut rest)?;
        let text = String::from_utf8_lossy(line);
        let mut fields = text.split(' ');
        let answer = match (fields.next()?, fields.next()) {
            _ if line.strip_suffix(b" missing") == Some(name.as_bytes()) => {
                Answer::Known(Lookup::Nothing)
            }
            ("symlink", Some(length)) => {
                take_bytes(&mut rest, length.parse().ok()?)?;
                Answer::Known(Lookup::Outside)
            }
            ("loop", Some(length)) => {
                take_bytes(&mut rest, length.parse().ok()?)?;
                Answer::Known(Lookup::Nothing)
            }
            ("dangling" | "notdir", Some(length)) => {
                take_bytes(&mut rest, length.parse().ok()?)?;
                Answer::Unclear
            }
            (id, Some(kind)) => Answer::Known(Lookup::Found(Found {
                id: Oid::parse(id).ok()?,
                kind: match kind {
                    "blob" => ObjectKind::File,
                    "tree" => ObjectKind::Directory,
                    _ => ObjectKind::Other,
                },
                bytes: fields.next()?.parse().ok()?,
            })),
            (_, None) => return None,
        };
        answers.push(answer);
    }
    rest.is_empty().then_some(answers)
}

/// Takes one record of `ls-tree` apart. The inner error is a name that is refused.
pub(in crate::mirror) fn parse_entry(record: &[u8]) -> Option<Result<Entry, SourceError>> {
    let tab = record.iter().position(|byte| *byte == b'\t')?;
    let (meta, path) = (record.get(..tab)?, record.get(tab + 1..)?);
    let mut fields = std::str::from_utf8(meta).ok()?.split(' ');
    let kind = match fields.next()? {
        "120000" => EntryKind::Link,
        "160000" => EntryKind::Submodule,
        "040000" => EntryKind::Directory,
        _ => EntryKind::File,
    };
    let id = Oid::parse(fields.nth(1)?).ok()?;
    let path = match std::str::from_utf8(path) {
        Ok(path) if !has_control(path) && is_plain(path) => path.to_owned(),
        _ => {
            let instead = "rename it: names are UTF-8 without control characters and without . and .. as parts";
            return Some(Err(SourceError::refused(
                "a file name in the repository",
                instead,
            )));
        }
    };
    Some(Ok(Entry { path, kind, id }))
}

/// Git itself refuses such names when it checks out, but a server may send them.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|part| {
        !part.is_empty() && part != "." && part != ".." && !part.eq_ignore_ascii_case(".git")
    })
}

pub(super) fn parse_contents(ids: &[Oid], output: &[u8]) -> Option<HashMap<Oid, Vec<u8>>> {
    let mut rest = output;
    let mut contents = HashMap::with_capacity(ids.len());
    for id in ids {
        let header = std::str::from_utf8(take_line(&mut rest)?).ok()?;
        let length = header
            .strip_prefix(id.as_str())?
            .strip_prefix(" blob ")?
            .parse()
            .ok()?;
        let (body, tail) = rest.split_at_checked(length)?;
        contents.insert(id.clone(), body.to_vec());
        rest = tail.strip_prefix(b"\n")?;
    }
    Some(contents)
}

fn take_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (line, tail) = rest.split_at_checked(end)?;
    *rest = tail.get(1..)?;
    Some(line)
}

/// Skips a text of known length and the line break after it.
fn take_bytes(rest: &mut &[u8], length: usize) -> Option<()> {
    *rest = rest.get(length..)?.strip_prefix(b"\n")?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn answers_are_taken_apart_by_length() {
        let names: Vec<String> = ["c:a", "c:b x", "c:l", "c:d"].map(str::to_owned).into();
        let output =
            format!("{A} blob 12\nc:b x missing\nsymlink 9\n/etc/\nabc\ndangling 3\nc:d\n");
        let answers = parse_answers(&names, output.as_bytes()).unwrap();
        assert!(
            matches!(&answers[0], Answer::Known(Lookup::Found(found)) if found.bytes == 12 && found.kind == ObjectKind::File)
        );
        assert_eq!(
            answers[1..],
            [
                Answer::Known(Lookup::Nothing),
                Answer::Known(Lookup::Outside),
                Answer::Unclear
            ]
        );
        assert_eq!(parse_answers(&names, b"garbage\n"), None);
        assert_eq!(parse_answers(&names, b""), None);
    }

    #[test]
    fn contents_may_look_like_headers() {
        let id = Oid::parse(A).unwrap();
        let output = format!("{A} blob 8\n{}\nx\n\n", &A[..6]);
        let contents = parse_contents(std::slice::from_ref(&id), output.as_bytes()).unwrap();
        assert_eq!(contents[&id], b"aaaaaa\nx");
        assert_eq!(
            parse_contents(&[id], format!("{A} blob 99\nshort\n").as_bytes()),
            None
        );
    }

    #[test]
    fn entry_names_that_could_leave_a_folder_are_refused() {
        let entry =
            |name: &str| parse_entry(format!("100644 blob {A}\t{name}").as_bytes()).unwrap();
        assert_eq!(entry("a/b c.yaml").unwrap().path, "a/b c.yaml");
        for name in [
            "../x",
            "a/../b",
            "/x",
            "a//b",
            "./a",
            ".git/config",
            "a/.GIT/x",
            "a\nb",
        ] {
            assert!(entry(name).is_err(), "{name:?}");
        }
    }
}
