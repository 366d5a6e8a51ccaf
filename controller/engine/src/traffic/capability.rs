//! What each router can do. Checked where plans are made, so that a plan that exists can be carried out.

use super::{Part, RouterKind, Split};

impl RouterKind {
    /// The kind as it stands in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::VirtualService => "VirtualService",
            Self::TraefikService => "TraefikService",
        }
    }

    /// Whether requests can be told apart by this part of them.
    pub const fn matches(self, part: Part) -> bool {
        match (self, part) {
            (Self::HttpRoute | Self::VirtualService, _) | (Self::GrpcRoute, Part::Header) => true,
            (Self::GrpcRoute, Part::Cookie | Part::Query) | (Self::TraefikService, _) => false,
        }
    }

    /// Whether clients can be kept on the version that they were given.
    pub const fn keeps_sessions(self) -> bool {
        match self {
            Self::HttpRoute | Self::VirtualService | Self::TraefikService => true,
            // Its clients are programs, and keep no cookies.
            Self::GrpcRoute => false,
        }
    }

    /// As much of `split` as this router can be told, and tells when it is read.
    #[must_use]
    pub fn told(self, split: &Split) -> Split {
        let mut split = split.clone();
        // Its own cookie keeps whoever was given stable there, until the candidate takes everything.
        if self == Self::TraefikService
            && let Some(sessions) = &mut split.sessions
        {
            sessions.earlier_percent = None;
        }
        split
    }

    /// Why this router can't do what `split` asks for.
    pub fn lacks(self, split: &Split) -> Option<String> {
        let kind = self.as_str();
        if self == Self::TraefikService && split.mirror_percent.is_some() {
            return Some(format!("{kind} can't copy requests"));
        }
        let mut conditions = split.cohorts.iter().flat_map(|cohort| &cohort.all);
        let unfit = conditions.find(|condition| !self.matches(condition.part));
        unfit.map(|condition| {
            let part = match condition.part {
                Part::Header => "a header",
                Part::Cookie => "a cookie",
                Part::Query => "a query parameter",
            };
            format!("{kind} can't tell requests apart by {part}")
        })
    }
}
