//! Hostile archives.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, Header};

use super::*;

/// An archive's header, written as it is: the checks of the library would refuse some of them.
fn header(kind: EntryType, path: &str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    let field = &mut header.as_old_mut().name;
    field[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    header
}

fn packed(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, path, content) in entries {
        let size = u64::try_from(content.len()).unwrap();
        builder
            .append(&header(*kind, path, size), *content)
            .unwrap();
    }
    builder.into_inner().unwrap()
}

fn link(path: &str, target: &str) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut header = header(EntryType::Symlink, path, 0);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    builder.append(&header, &[][..]).unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn unpacked(layer: &[u8]) -> Result<String, SourceError> {
    let mut stream = Vec::new();
    unpack(&Oid::parse(&"a".repeat(64)).unwrap(), layer, &mut stream)?;
    Ok(String::from_utf8_lossy(&stream).into_owned())
}

const FILE: EntryType = EntryType::Regular;

#[test]
fn files_and_links_come_out_packed_or_not() {
    let archive = packed(&[
        (EntryType::Directory, "./", b""),
        (EntryType::Directory, "./deploy/", b""),
        (FILE, "./deploy/a \"b\".yaml", b"a: 1\n"),
    ]);
    let expected = "M 100644 inline \"deploy/a \\\"b\\\".yaml\"\ndata 5\na: 1\n\n";
    assert_eq!(unpacked(&archive).unwrap(), expected);
    assert_eq!(unpacked(&gzip(&archive)).unwrap(), expected);
    // Where it leads is judged by who reads it, as in a repository.
    let expected = "M 120000 inline \"a\"\ndata 6\n../../\n";
    assert_eq!(unpacked(&link("a", "../../")).unwrap(), expected);
}

#[test]
fn names_that_leave_the_artifact_are_refused() {
    for name in [
        "/etc/passwd",
        "../a",
        "a/../../b",
        ".git/config",
        "a/.GIT/hooks/x",
        "a\nM b",
        "",
        ".",
    ] {
        let error = unpacked(&packed(&[(FILE, name, b"x")])).unwrap_err();
        assert_eq!(error.reason(), "ArtifactRefused", "{name:?}: {error}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    for kind in [
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::GNUSparse,
    ] {
        let error = unpacked(&packed(&[(kind, "a", b"")])).unwrap_err();
        assert_eq!(error.reason(), "ArtifactRefused", "{kind:?}: {error}");
    }
    assert!(unpacked(&link("a", "")).is_err());
}

#[test]
fn one_name_for_two_things_is_refused() {
    for names in [
        ["a", "a"],
        ["./a", "a"],
        ["a", "a/b"],
        ["a/b", "a"],
        ["a/b/c", "a/b"],
    ] {
        let archive = packed(&names.map(|name| (FILE, name, b"x".as_slice())));
        let error = unpacked(&archive).unwrap_err().to_string();
        assert!(error.contains("twice"), "{names:?}: {error}");
    }
    let siblings = packed(&[(FILE, "a/b", b"x"), (FILE, "a/c", b"x")]);
    assert!(unpacked(&siblings).is_ok());
}

#[test]
fn what_is_no_archive_or_a_broken_one_is_refused() {
    let whole = packed(&[(FILE, "a", &[7; 4096])]);
    let layers = [
        b"apiVersion: v1".to_vec(),
        vec![7; 2048],
        whole[..1024].to_vec(),
        gzip(&whole)[..30].to_vec(),
        [ZSTD.as_slice(), &whole].concat(),
    ];
    for layer in layers {
        let error = unpacked(&layer).unwrap_err();
        assert_eq!(error.reason(), "ArtifactRefused", "{error}");
    }
}

#[test]
fn bombs_end_at_the_limits() {
    // Many small things, one huge thing, and several that are huge together.
    let many: Vec<(EntryType, String, &[u8])> = (0..=ENTRIES)
        .map(|index| (FILE, format!("f{index}"), b"".as_slice()))
        .collect();
    let many: Vec<(EntryType, &str, &[u8])> = many
        .iter()
        .map(|(kind, name, content)| (*kind, &**name, *content))
        .collect();
    let zeros = vec![0; 40 << 20];
    let layers = [
        packed(&many),
        gzip(&packed(&[(FILE, "a", &zeros), (FILE, "b", &zeros)])),
    ];
    for layer in layers {
        assert_eq!(unpacked(&layer).unwrap_err().reason(), "TooLarge");
    }
    // What stands in a header takes no memory.
    let mut liar = header(FILE, "a", 1 << 40);
    liar.set_cksum();
    assert_eq!(unpacked(liar.as_bytes()).unwrap_err().reason(), "TooLarge");
}
