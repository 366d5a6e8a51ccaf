//! What the output of `gpg` and `ssh-keygen` means, as git passes it on.
//!
//! Invariant: `Good` needs a zero exit status of git, exactly one good signature, a fingerprint, and no word of an expired or revoked
//! key. Whatever is not understood is no good signature.

use crate::text::one_line;

const SIGNER_CHARS: usize = 128;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good {
        key: String,
        signer: String,
    },
    /// Not signed by a key of the set.
    Unknown {
        key: String,
    },
    Expired {
        key: String,
    },
    Revoked {
        key: String,
    },
    /// The signature does not fit the object, or can't be read.
    Bad {
        key: String,
    },
}

/// Reads the status lines of `gpg` (`git verify-commit --raw`).
pub(crate) fn of_pgp(is_success: bool, output: &str) -> Verdict {
    let lines = || {
        output
            .lines()
            .filter_map(|line| line.strip_prefix("[GNUPG:] "))
    };
    let first = |word: &str| lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    let count = |word: &str| {
        lines()
            .filter(|line| line.split(' ').next() == Some(word))
            .count()
    };
    let last_word = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
    let first_word = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    // Of the primary key, where the key is known.
    let valid = first("VALIDSIG").map(last_word);
    let named = || {
        let error = first("ERRSIG").map(last_word).filter(|key| key.len() >= 16);
        let words = ["EXPKEYSIG", "REVKEYSIG", "EXPSIG", "BADSIG", "NO_PUBKEY"];
        valid
            .clone()
            .or(error)
            .or_else(|| words.iter().find_map(|word| first(word)).map(first_word))
            .unwrap_or_else(|| "unknown".to_owned())
    };
    let signatures = [
        "GOODSIG",
        "EXPSIG",
        "EXPKEYSIG",
        "REVKEYSIG",
        "BADSIG",
        "ERRSIG",
    ];
    let total: usize = signatures.iter().map(|word| count(word)).sum();
    if count("REVKEYSIG") > 0 || count("KEYREVOKED") > 0 {
        return Verdict::Revoked { key: named() };
    }
    if count("EXPKEYSIG") > 0 || count("EXPSIG") > 0 {
        return Verdict::Expired { key: named() };
    }
    match (first("GOODSIG"), &valid) {
        (Some(good), Some(key)) if is_success && total == 1 && count("VALIDSIG") == 1 => {
            Verdict::Good {
                key: key.clone(),
                signer: one_line(
                    good.split_once(' ').map_or("", |(_, name)| name),
                    SIGNER_CHARS,
                ),
            }
        }
        _ if count("NO_PUBKEY") > 0 && total == 1 => Verdict::Unknown { key: named() },
        _ => Verdict::Bad { key: named() },
    }
}

/// Reads the output of `ssh-keygen -Y verify` as git passes it on. `key` is what the signature says of itself.
pub(crate) fn of_ssh(is_success: bool, output: &str, key: Option<&str>) -> Verdict {
    let key = key.unwrap_or("unknown").to_owned();
    let good = output
        .lines()
        .find_map(|line| line.strip_prefix("Good \"git\" signature for "));
    let said = good.and_then(|line| {
        let (signer, rest) = line.rsplit_once(" with ")?;
        Some((signer, rest.rsplit(' ').next()?))
    });
    if let Some((signer, fingerprint)) = said
        && is_success
        && fingerprint == key
    {
        let signer = one_line(signer, SIGNER_CHARS);
        return Verdict::Good { key, signer };
    }
    let complaint = output.to_ascii_lowercase();
    // What ssh-keygen says of a signature that fits its object but is by nobody known.
    let fits = output.contains("Good \"git\" signature with ");
    if fits && complaint.contains("key has expired") {
        Verdict::Expired { key }
    } else if fits {
        Verdict::Unknown { key }
    } else {
        Verdict::Bad { key }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::lines;

    const KEY: &str = "F3B139A2BE16968A0644AD490820ECACA7902BAB";

    fn pgp(words: &[&str]) -> String {
        lines(words.iter().map(|word| format!("[GNUPG:] {word}")))
    }

    #[test]
    fn a_good_pgp_signature_needs_status_success_and_a_fingerprint() {
        let valid = format!("VALIDSIG AAAA 2026-11-30 1 0 4 0 22 8 00 {KEY}");
        let good = pgp(&["GOODSIG 0820ECACA7902BAB Ada <ada@example.com>", &valid]);
        let verdict = Verdict::Good {
            key: KEY.into(),
            signer: "Ada <ada@example.com>".into(),
        };
        assert_eq!(of_pgp(true, &good), verdict);
        assert!(!matches!(of_pgp(false, &good), Verdict::Good { .. }));
        let alone = pgp(&["GOODSIG 0820ECACA7902BAB Ada"]);
        assert!(!matches!(of_pgp(true, &alone), Verdict::Good { .. }));
        let two = format!("{good}{}", pgp(&["BADSIG 1111111111111111 Bob"]));
        assert!(!matches!(of_pgp(true, &two), Verdict::Good { .. }));
        assert!(!matches!(of_pgp(true, ""), Verdict::Good { .. }));
    }

    #[test]
    fn expired_revoked_unknown_and_forged_pgp_signatures_are_told_apart() {
        let valid = format!("VALIDSIG AAAA 2026-11-30 1 0 4 0 22 8 00 {KEY}");
        let key = KEY.to_owned();
        for (lines, verdict) in [
            (
                vec!["EXPKEYSIG 0820ECACA7902BAB Ada", &valid],
                Verdict::Expired { key: key.clone() },
            ),
            (
                vec!["REVKEYSIG 0820ECACA7902BAB Ada", &valid],
                Verdict::Revoked { key: key.clone() },
            ),
            (
                vec![
                    "ERRSIG 0820ECACA7902BAB 22 8 00 1 9 F3B139A2BE16968A0644AD490820ECACA7902BAB",
                    "NO_PUBKEY 0820ECACA7902BAB",
                ],
                Verdict::Unknown { key: key.clone() },
            ),
            (
                vec!["BADSIG 0820ECACA7902BAB Ada"],
                Verdict::Bad {
                    key: "0820ECACA7902BAB".into(),
                },
            ),
        ] {
            assert_eq!(of_pgp(true, &pgp(&lines)), verdict);
        }
    }

    #[test]
    fn ssh_signatures_are_told_apart() {
        let key = "SHA256:rpk5VYJKrp1K";
        let good = format!("Good \"git\" signature for alice with ED25519 key {key}\n");
        let fits =
            format!("Good \"git\" signature with ED25519 key {key}\nNo principal matched.\n");
        let expired = format!("{fits}allowed:1: key has expired: verify time 2026\n");
        let own = || key.to_owned();
        for (success, output, verdict) in [
            (
                true,
                good.clone(),
                Verdict::Good {
                    key: own(),
                    signer: "alice".into(),
                },
            ),
            (false, good.clone(), Verdict::Bad { key: own() }),
            (false, fits, Verdict::Unknown { key: own() }),
            (false, expired, Verdict::Expired { key: own() }),
            (
                false,
                "Could not verify signature.\n".into(),
                Verdict::Bad { key: own() },
            ),
        ] {
            assert_eq!(of_ssh(success, &output, Some(key)), verdict, "{output}");
        }
        // Another key than the one inside the signature is a contradiction.
        assert!(matches!(
            of_ssh(true, &good, Some("SHA256:other")),
            Verdict::Bad { .. }
        ));
    }
}
