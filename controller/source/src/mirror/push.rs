//! Putting a commit under a name on the server.
//!
//! Invariant: the name is moved only from where it was seen to be. Nothing is sent but what the server lacks, which is
//! nothing: the commit came from there.

use super::Mirror;
use crate::git::{Call, Side, words};
use crate::{Oid, Repository, SourceError};

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Push {
    /// The name is at the commit.
    Done,
    /// Somebody else moved the name in between.
    Raced,
}

/// How servers and git say that a name is not where it was.
const RACES: [&str; 7] = [
    "stale info",
    "fetch first",
    "non-fast-forward",
    "cannot lock ref",
    "incorrect old value",
    "failed to update ref",
    "reference already exists",
];

impl Mirror {
    /// Moves `name` (in full) from `expected`, or makes it, provided it is still there. The commit must be in the copy.
    pub(crate) async fn push(
        &self,
        repository: &Repository,
        name: &str,
        commit: &Oid,
        expected: Option<&Oid>,
    ) -> Result<Push, SourceError> {
        let lease = format!(
            "--force-with-lease={name}:{}",
            expected.map(Oid::as_str).unwrap_or_default()
        );
        // With a negotiation git learns that the server has the commit, also when no name is at it any more.
        let mut args = words(&["-c", "push.negotiate=true", "push", "--no-verify"]);
        args.extend(words(&["--no-signed", "--no-follow-tags", &lease]));
        args.extend(words(&["--", "origin", &format!("{commit}:{name}")]));
        let call = Call {
            operation: "pushing to",
            args,
            timeout: self.fetch_timeout,
            ..self.call(repository, Side::Server)
        };
        let _shared = self.shared().await?;
        match self.git.run(call).await {
            Ok(_) => Ok(Push::Done),
            Err(SourceError::Unexpected { detail, .. }) if is_race(&detail) => Ok(Push::Raced),
            Err(SourceError::Unexpected { detail, .. }) if detail.contains("rejected]") => {
                Err(SourceError::refused(
                    format!("moving {name} of {}", repository.url()),
                    format!("let the credential push to it ({})", reason(&detail)),
                ))
            }
            Err(error) => Err(error),
        }
    }
}

fn is_race(detail: &str) -> bool {
    detail.contains("rejected]") && RACES.iter().any(|race| detail.contains(race))
}

/// What stands in brackets behind the rejection.
fn reason(detail: &str) -> &str {
    let after = detail.split("rejected]").nth(1).unwrap_or_default();
    let inside = after.split_once('(').map_or(after, |(_, inside)| inside);
    inside.split(')').next().unwrap_or(inside).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_race_is_told_from_a_refusal() {
        let raced = "To https://x/y; ! [rejected] 1f0c -> env/prod (stale info); error: failed to push some refs";
        assert!(is_race(raced));
        let refused = "To https://x/y; ! [remote rejected] 1f0c -> env/prod (protected branch hook declined); error: failed";
        assert!(!is_race(refused));
        assert_eq!(reason(refused), "protected branch hook declined");
    }
}
