//! Plots of one line.

use jiff::Timestamp;

use crate::{output::Style, simulate::report::Report};

/// Heights of a plot's columns.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The same without signs beyond ASCII.
const PLAIN_BARS: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];
/// Columns of a bar of probability.
const BAR: usize = 10;

/// A plot of one line, and its largest value.
pub(super) fn plot(values: &[Option<f64>], style: Style) -> Option<(String, f64)> {
    let most = values.iter().flatten().copied().reduce(f64::max)?;
    let bars = if style.signs { BARS } else { PLAIN_BARS };
    let column = |value: &Option<f64>| match value {
        None => ' ',
        Some(value) => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place among eight; a cast of what is negative or too large stays at the ends"
            )]
            let place = (value / most * 7.0).round() as usize;
            bars.get(place.min(7)).copied().unwrap_or(' ')
        }
    };
    Some((values.iter().map(column).collect(), most))
}

/// A line that marks rollouts under a plot.
pub(super) fn marks(
    starts: impl Iterator<Item = Timestamp>,
    report: &Report,
    columns: usize,
) -> Option<String> {
    let whole = report.to.duration_since(report.from).as_secs_f64();
    let mut line = vec![' '; columns];
    let mut any = false;
    for start in starts {
        let share = start.duration_since(report.from).as_secs_f64() / whole;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a column of a plot"
        )]
        let column = (share * columns as f64) as usize;
        if let Some(place) = line.get_mut(column) {
            *place = '^';
            any = true;
        }
    }
    any.then(|| line.into_iter().collect())
}

/// A share as a bar.
pub(super) fn bar(share: f64, style: Style) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a number of columns"
    )]
    let full = ((share * BAR as f64).round() as usize).min(BAR);
    let (on, off) = if style.signs {
        ("█", "░")
    } else {
        ("#", ".")
    };
    on.repeat(full) + &off.repeat(BAR - full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_a_column_for_each_value() {
        let signs = Style {
            signs: true,
            ..Style::default()
        };
        let (line, most) = plot(&[Some(0.0), None, Some(0.7), Some(0.1)], signs).unwrap();
        assert_eq!(line, "▁ █▂");
        assert!((most - 0.7).abs() < 1e-9);
        let (plain, _) = plot(&[Some(0.0), Some(1.0)], Style::default()).unwrap();
        assert_eq!(plain, "_#");
        assert_eq!(plot(&[None, None], signs), None);
    }

    #[test]
    fn a_bar_is_as_long_as_the_share() {
        assert_eq!(bar(0.3, Style::default()), "###.......");
        assert_eq!(bar(1.0, Style::default()), "##########");
    }
}
