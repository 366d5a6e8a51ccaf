//! What the words of an image tag say about the requests that pods of this image serve.
//!
//! The tag is split at `-`: `err5` fails 5 % of the requests (`err0.5` half a percent), `lat300` takes about 300 ms. Other words, such
//! as a version, mean nothing here; `slow`, `neverready` and `crash` are KWOK's (`stages/pod.yaml`).

use std::time::Duration;

/// How long a request takes when the tag does not say.
const DEFAULT_LATENCY: Duration = Duration::from_millis(20);

/// What requests to a pod meet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Behaviour {
    /// Share of requests that fail, 0 to 1.
    pub(super) error_share: f64,
    /// Middle of the latencies.
    pub(super) latency: Duration,
}

/// The tag of an image, or nothing.
pub(super) fn tag_of(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or_default();
    let name = name.split('@').next().unwrap_or_default();
    name.split_once(':').map_or("", |(_, tag)| tag)
}

impl Behaviour {
    /// What the image's tag says.
    pub(super) fn of_image(image: &str) -> Self {
        let mut behaviour = Self {
            error_share: 0.0,
            latency: DEFAULT_LATENCY,
        };
        for word in tag_of(image).split('-') {
            if let Some(percent) = number_after(word, "err") {
                behaviour.error_share = (percent / 100.0).clamp(0.0, 1.0);
            } else if let Some(milliseconds) = number_after(word, "lat") {
                behaviour.latency =
                    Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(DEFAULT_LATENCY);
            }
        }
        behaviour
    }
}

fn number_after(word: &str, prefix: &str) -> Option<f64> {
    let number: f64 = word.strip_prefix(prefix)?.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_tag_choose_errors_and_latency() {
        let cases = [
            ("shop/web:v2", 0.0, 20),
            ("shop/web:v2-err5", 0.05, 20),
            (
                "registry.example:5000/shop/web:v3-lat300-err0.5",
                0.005,
                300,
            ),
            ("registry.example:5000/shop/web", 0.0, 20),
            ("web:v1-err200", 1.0, 20),
            ("web:error-latest-errors5", 0.0, 20),
            ("web:v2-err5@sha256:0000", 0.05, 20),
        ];
        for (image, error_share, latency_ms) in cases {
            let expected = Behaviour {
                error_share,
                latency: Duration::from_millis(latency_ms),
            };
            assert_eq!(Behaviour::of_image(image), expected, "for {image}");
        }
    }
}
