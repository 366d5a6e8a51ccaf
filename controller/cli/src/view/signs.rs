//! Signs and tones for states, the same in every view.

use belay_engine::gate::Verdict;

use crate::output::{Style, Tone};

/// Where a step, or the like, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Done,
    Now,
    Failed,
    Skipped,
    Ahead,
}

/// The sign in front of a step.
fn mark(mark: Mark, style: Style) -> String {
    let (sign, plain, tone) = match mark {
        Mark::Done => ("✔", "[x]", Tone::Good),
        Mark::Now => ("▶", "[>]", Tone::Busy),
        Mark::Failed => ("✘", "[!]", Tone::Bad),
        Mark::Skipped => ("–", "[-]", Tone::Faint),
        Mark::Ahead => ("○", "[ ]", Tone::Faint),
    };
    style.paint(tone, if style.signs { sign } else { plain })
}

/// A line of a list of steps: sign, text, and a note in a column of its own.
pub(crate) fn line(sign: Mark, text: &str, note: &str, style: Style) -> String {
    let text = format!("{text:<36}");
    let text = match sign {
        Mark::Ahead | Mark::Skipped => style.paint(Tone::Faint, text.trim_end()),
        _ => text,
    };
    format!("  {} {text}{note}", mark(sign, style))
        .trim_end()
        .to_owned()
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
