//! What the lint finds.

use std::fmt;

use crate::Position;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// It depends on the data whether it does harm.
    Warning,
    /// The query can't do what its place asks for.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What is wrong, in one word for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// It is not PromQL.
    Syntax,
    /// A constant stands in for missing data.
    HidesMissingData,
    /// The answer is not a number: a range of samples, or text.
    NotANumber,
    /// The answer may have several series where one number is meant.
    SeveralSeries,
    /// Per-pod counters are needed, and the pod is aggregated away.
    PodLabelLost,
    /// A rate or an average where the counter itself is needed.
    NotRawCounter,
    /// A counter that is looked at in another moment than now.
    ShiftedInTime,
    /// A range with too few scrapes in it.
    ShortRange,
    /// A counter's total since its start where its growth is meant.
    LifetimeTotal,
    /// A rate of a sum of counters: resets are lost.
    RateOfSum,
    /// A comparison that drops series instead of answering.
    FilteringComparison,
    /// An average or sum of quantiles.
    AverageOfQuantiles,
    /// A quantile of a classic histogram whose buckets are aggregated away.
    QuantileWithoutBuckets,
    /// One status code where a class is meant.
    OneStatusCode,
    /// A matcher that also takes series without the label.
    MatchesEverything,
    /// A text that looks as if an argument in it were empty.
    EmptyPart,
    /// Events that are not among those they are divided by.
    DifferentPopulations,
    /// A hole of the template that no argument fills.
    ArgumentMissing,
    /// An argument of the template that no gate uses.
    ArgumentUnused,
}

impl Code {
    /// All of them, in order.
    pub const ALL: [Self; 19] = [
        Self::Syntax,
        Self::HidesMissingData,
        Self::NotANumber,
        Self::SeveralSeries,
        Self::PodLabelLost,
        Self::NotRawCounter,
        Self::ShiftedInTime,
        Self::ShortRange,
        Self::LifetimeTotal,
        Self::RateOfSum,
        Self::FilteringComparison,
        Self::AverageOfQuantiles,
        Self::QuantileWithoutBuckets,
        Self::OneStatusCode,
        Self::MatchesEverything,
        Self::EmptyPart,
        Self::DifferentPopulations,
        Self::ArgumentMissing,
        Self::ArgumentUnused,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::HidesMissingData => "hides-missing-data",
            Self::NotANumber => "not-a-number",
            Self::SeveralSeries => "several-series",
            Self::PodLabelLost => "pod-label-lost",
            Self::NotRawCounter => "not-raw-counter",
            Self::ShiftedInTime => "shifted-in-time",
            Self::ShortRange => "short-range",
            Self::LifetimeTotal => "lifetime-total",
            Self::RateOfSum => "rate-of-sum",
            Self::FilteringComparison => "filtering-comparison",
            Self::AverageOfQuantiles => "average-of-quantiles",
            Self::QuantileWithoutBuckets => "quantile-without-buckets",
            Self::OneStatusCode => "one-status-code",
            Self::MatchesEverything => "matches-everything",
            Self::EmptyPart => "empty-part",
            Self::DifferentPopulations => "different-populations",
            Self::ArgumentMissing => "argument-missing",
            Self::ArgumentUnused => "argument-unused",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong, for programs.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to write instead, for people.
    pub message: String,
    /// Where in the query, if that is known. With holes, of the text with stand-ins in them.
    pub position: Option<Position>,
}

impl Finding {
    pub(crate) fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            position: None,
        }
    }

    pub(crate) fn warning(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Warning,
            message: message.into(),
            position: None,
        }
    }
}
