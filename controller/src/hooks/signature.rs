//! Whether a webhook was sent by somebody who knows its secret.
//!
//! Invariant: the body is hashed as it arrives and kept nowhere, so that a large one costs no memory; comparisons take the same time
//! wherever the first difference is. Left out: what the body says.

use belay_api::release::WebhookSender;
use http::HeaderMap;
use ring::hmac;

/// Longest proof that is looked at, in bytes: `sha256=` with 64 digits, and room for tokens of GitLab.
const PROOF_BYTES_MAX: usize = 512;

/// Whether the sender knows the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does.
    Genuine,
    /// The header that should prove it is missing or unreadable.
    Unsigned,
    /// It does not.
    Forged,
}

/// The check of one webhook, which takes in its body piece by piece.
pub(super) struct Check {
    context: hmac::Context,
    key: hmac::Key,
    proof: Option<Proof>,
}

enum Proof {
    /// HMAC of the body with SHA-256.
    Signature(Vec<u8>),
    /// The secret itself.
    Token(Vec<u8>),
}

impl Check {
    /// Begins with what the headers say.
    pub(super) fn new(sender: WebhookSender, secret: &[u8], headers: &HeaderMap) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self {
            context: hmac::Context::with_key(&key),
            proof: proof(sender, headers),
            key,
        }
    }

    /// A piece of the body.
    pub(super) fn take_in(&mut self, piece: &[u8]) {
        self.context.update(piece);
    }

    /// After the last piece.
    pub(super) fn verdict(self) -> Verdict {
        let Self {
            context,
            key,
            proof,
        } = self;
        // Both sides are hashed once more, which leaves nothing to learn from how long a comparison takes.
        let is_genuine = match proof {
            None => return Verdict::Unsigned,
            Some(Proof::Signature(claimed)) => {
                let expected = hmac::sign(&key, context.sign().as_ref());
                hmac::verify(&key, &claimed, expected.as_ref()).is_ok()
            }
            // Tags of one text under both as keys are equal only if the keys are.
            Some(Proof::Token(token)) => {
                let expected = hmac::sign(&key, TOKEN_CHECK);
                let key = hmac::Key::new(hmac::HMAC_SHA256, &token);
                hmac::verify(&key, TOKEN_CHECK, expected.as_ref()).is_ok()
            }
        };
        if is_genuine {
            Verdict::Genuine
        } else {
            Verdict::Forged
        }
    }
}

const TOKEN_CHECK: &[u8] = b"belay.dev/webhook";

fn proof(sender: WebhookSender, headers: &HeaderMap) -> Option<Proof> {
    let name = match sender {
        WebhookSender::GitHub => "x-hub-signature-256",
        WebhookSender::GitLab => "x-gitlab-token",
        WebhookSender::Bitbucket => "x-hub-signature",
        WebhookSender::Gitea => "x-gitea-signature",
        WebhookSender::Generic => "x-signature",
    };
    let value = headers.get(name)?;
    if value.len() > PROOF_BYTES_MAX {
        return None;
    }
    if sender == WebhookSender::GitLab {
        return Some(Proof::Token(value.as_bytes().to_vec()));
    }
    let text = value.to_str().ok()?;
    let digits = match sender {
        WebhookSender::Gitea => text,
        _ => text.strip_prefix("sha256=")?,
    };
    bytes_of(digits).map(Proof::Signature)
}

/// The bytes that hexadecimal digits stand for.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    // The example of GitHub's documentation on validating deliveries.
    const SECRET: &[u8] = b"It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn verdict(sender: WebhookSender, secret: &[u8], header: (&'static str, &str)) -> Verdict {
        let mut headers = HeaderMap::new();
        headers.insert(header.0, HeaderValue::from_str(header.1).unwrap());
        let mut check = Check::new(sender, secret, &headers);
        for piece in BODY.chunks(5) {
            check.take_in(piece);
        }
        check.verdict()
    }

    #[test]
    fn each_sender_proves_it_in_its_own_way() {
        let tagged = format!("sha256={SIGNATURE}");
        for (sender, header, value) in [
            (WebhookSender::GitHub, "x-hub-signature-256", &*tagged),
            (WebhookSender::Bitbucket, "x-hub-signature", &tagged),
            (WebhookSender::Generic, "x-signature", &tagged),
            (WebhookSender::Gitea, "x-gitea-signature", SIGNATURE),
            (
                WebhookSender::GitLab,
                "x-gitlab-token",
                "It's a Secret to Everybody",
            ),
        ] {
            assert_eq!(
                verdict(sender, SECRET, (header, value)),
                Verdict::Genuine,
                "{sender:?}"
            );
            assert_eq!(
                verdict(sender, b"another", (header, value)),
                Verdict::Forged,
                "{sender:?}"
            );
            assert_eq!(
                verdict(sender, SECRET, ("x-other", value)),
                Verdict::Unsigned,
                "{sender:?}"
            );
        }
    }

    #[test]
    fn what_is_no_signature_is_none() {
        for value in ["", "sha256=", "sha256=zz", "sha1=00", "sha256=é", SIGNATURE] {
            let verdict = verdict(
                WebhookSender::GitHub,
                SECRET,
                ("x-hub-signature-256", value),
            );
            assert_ne!(verdict, Verdict::Genuine, "{value}");
        }
        let long = "a".repeat(PROOF_BYTES_MAX + 1);
        let verdict = verdict(
            WebhookSender::GitLab,
            long.as_bytes(),
            ("x-gitlab-token", &long),
        );
        assert_eq!(verdict, Verdict::Unsigned);
    }
}
