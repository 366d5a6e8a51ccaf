//! Finds programs on PATH whose version fits.
//!
//! The control plane itself is never taken from PATH: its tests depend on the very version. etcd would have to be 3.5.13 or newer,
//! and is built together with the API server anyway.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::Program;

/// A program that does not tell its version within this time does not fit.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Which versions fit, and how a program tells its own.
struct Fitting {
    arguments: &'static [&'static str],
    fits: fn(Version) -> bool,
}

type Version = (u32, u32, u32);

fn fitting(program: Program) -> Option<Fitting> {
    match program {
        // The API server is 1.36: kubectl may be one minor version older or newer.
        Program::Kubectl => Some(Fitting {
            arguments: &["version", "--client"],
            fits: |(major, minor, _)| major == 1 && (35..=37).contains(&minor),
        }),
        Program::Kustomize => Some(Fitting {
            arguments: &["version"],
            fits: |(major, ..)| major == 5,
        }),
        Program::Helm => Some(Fitting {
            arguments: &["version", "--short"],
            fits: |version| version >= (3, 14, 0) && version.0 <= 4,
        }),
        Program::Sops => Some(Fitting {
            arguments: &["--version", "--disable-version-check"],
            fits: |version| version >= (3, 9, 0) && version.0 == 3,
        }),
        Program::GitLfs => Some(Fitting {
            arguments: &["version"],
            fits: |version| version >= (3, 0, 0) && version.0 == 3,
        }),
        Program::Prometheus => Some(Fitting {
            arguments: &["--version"],
            // Older ones don't know how to be asked for native histograms.
            fits: |version| version >= (3, 9, 0),
        }),
        _ => None,
    }
}

/// The path of a fitting program, if there is one.
pub(super) async fn find(program: Program) -> Option<PathBuf> {
    let fitting = fitting(program)?;
    let path = search(program.name())?;
    let run = Command::new(&path)
        .args(fitting.arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(ANSWER_WITHIN, run).await.ok()?.ok()?;
    let text = [output.stdout, output.stderr].concat();
    let version = first_version(&String::from_utf8_lossy(&text))?;
    (fitting.fits)(version).then_some(path)
}

fn search(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// The first `X.Y.Z` in a text, whatever stands before and after it.
fn first_version(text: &str) -> Option<Version> {
    text.split(|character: char| !character.is_ascii_digit() && character != '.')
        .find_map(|word| {
            let mut numbers = word.split('.').map(str::parse);
            match (numbers.next()?, numbers.next()?, numbers.next()?) {
                (Ok(major), Ok(minor), Ok(patch)) => Some((major, minor, patch)),
                _ => None,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        let cases = [
            (
                "Client Version: v1.36.3\nKustomize Version: v5.7.1\n",
                Some((1, 36, 3)),
            ),
            ("v4.3.1+gabcdef0", Some((4, 3, 1))),
            (
                "prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5)",
                Some((2, 42, 0)),
            ),
            ("v5.8.2", Some((5, 8, 2))),
            ("(devel)", None),
        ];
        for (text, expected) in cases {
            assert_eq!(first_version(text), expected, "in {text:?}");
        }
    }

    #[test]
    fn versions_outside_the_skew_do_not_fit() {
        let fits = |program, version| (fitting(program).unwrap().fits)(version);
        assert!(fits(Program::Kubectl, (1, 36, 0)) && !fits(Program::Kubectl, (1, 32, 4)));
        assert!(
            fits(Program::Helm, (3, 14, 0))
                && fits(Program::Helm, (4, 0, 1))
                && !fits(Program::Helm, (3, 13, 9))
                && !fits(Program::Helm, (5, 0, 0))
        );
        assert!(fits(Program::Prometheus, (3, 9, 0)) && !fits(Program::Prometheus, (3, 8, 9)));
        assert!(fitting(Program::Etcd).is_none());
    }
}
