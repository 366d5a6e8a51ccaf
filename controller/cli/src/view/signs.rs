//! Signs and tones for states, the same in every view.

use belay_engine::gate::Verdict;

use crate::output::{Style, Tone};

/// Where a step, or the like, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Done,
    Now,
    Failed,
    Ahead,
}

/// The sign in front of a step.
pub(crate) fn mark(mark: Mark, style: Style) -> String {
    let (sign, plain, tone) = match mark {
        Mark::Done => ("✔", "[x]", Tone::Good),
        Mark::Now => ("▶", "[>]", Tone::Busy),
        Mark::Failed => ("✘", "[!]", Tone::Bad),
        Mark::Ahead => ("○", "[ ]", Tone::Faint),
    };
    style.paint(tone, if style.signs { sign } else { plain })
}

/// How a verdict looks.
pub(crate) const fn verdict_tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Fail => Tone::Bad,
        Verdict::Continue => Tone::Plain,
        Verdict::NoData | Verdict::Error => Tone::Busy,
    }
}
