//! Requests of one user, from the API server's audit log.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// A place in the audit log, from which requests are counted.
#[derive(Debug)]
pub struct Mark {
    log: PathBuf,
    position: u64,
    user: String,
    namespace: Option<String>,
}

/// Requests by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// `get` and `list`.
    pub reads: u64,
    /// Everything that changes something, without events and leases.
    pub writes: u64,
    /// Events written.
    pub events: u64,
    /// Renewals of the lease and looks at it.
    pub leases: u64,
    /// Watches begun.
    pub watches: u64,
    /// Requests that met a newer version of the object.
    pub conflicts: u64,
    /// Each verb and resource, with its number.
    pub by_kind: BTreeMap<String, u64>,
}

impl Line {
    /// Verb and resource.
    fn kind(&self) -> String {
        let object = self.object_ref.as_ref();
        let resource = object.and_then(|object| object.resource.as_deref());
        let (verb, resource) = (&self.verb, resource.unwrap_or("-"));
        match object.and_then(|object| object.subresource.as_deref()) {
            Some(sub) => format!("{verb} {resource}/{sub}"),
            None => format!("{verb} {resource}"),
        }
    }
}

impl Requests {
    /// Reads, writes and events: what grows with rollouts.
    pub fn total(&self) -> u64 {
        self.reads + self.writes + self.events
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct ObjectRef {
    namespace: Option<String>,
    resource: Option<String>,
    subresource: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    code: Option<u16>,
}

impl Mark {
    /// The present end of the log.
    pub fn now(log: &Path, user: &str) -> std::io::Result<Self> {
        let position = std::fs::metadata(log)?.len();
        Ok(Self {
            log: log.to_owned(),
            position,
            user: user.to_owned(),
            namespace: None,
        })
    }

    /// The same place, for requests in one namespace only.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Whether the request is one that counts.
    fn counts(&self, line: &Line) -> bool {
        let namespace = line
            .object_ref
            .as_ref()
            .and_then(|of| of.namespace.as_ref());
        line.user.username == self.user
            && (self.namespace.is_none() || self.namespace.as_ref() == namespace)
    }

    /// Requests that were finished since.
    pub fn since(&self) -> std::io::Result<Requests> {
        let mut requests = Requests::default();
        for line in self.lines()? {
            requests.count(&line);
        }
        Ok(requests)
    }

    /// Verb and resource of each of them, in the order in which they were finished.
    pub fn order_since(&self) -> std::io::Result<Vec<String>> {
        let lines = self.lines()?;
        Ok(lines.iter().map(Line::kind).collect())
    }

    fn lines(&self) -> std::io::Result<Vec<Line>> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.position))?;
        let mut lines = Vec::new();
        for line in BufReader::new(file).lines() {
            // The last line may still be in writing; it belongs to the next count.
            if let Ok(line) = serde_json::from_str::<Line>(&line?)
                && self.counts(&line)
            {
                lines.push(line);
            }
        }
        Ok(lines)
    }
}

impl Requests {
    fn count(&mut self, line: &Line) {
        let object = line.object_ref.as_ref();
        let resource = object
            .and_then(|object| object.resource.as_deref())
            .unwrap_or("-");
        match (line.verb.as_str(), resource) {
            (_, "leases") => self.leases += 1,
            (_, "events") => self.events += 1,
            ("watch", _) => self.watches += 1,
            ("get" | "list", _) => self.reads += 1,
            _ => self.writes += 1,
        }
        if line.response_status.as_ref().and_then(|status| status.code) == Some(409) {
            self.conflicts += 1;
        }
        *self.by_kind.entry(line.kind()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_the_requests_of_the_user_since_the_mark_are_counted() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let line = |verb: &str, user: &str, resource: &str, code: u16| {
            format!(
                r#"{{"verb":"{verb}","user":{{"username":"{user}"}},"objectRef":{{"resource":"{resource}"}},"responseStatus":{{"code":{code}}}}}"#
            )
        };
        writeln!(log, "{}", line("get", "belay", "deployments", 200)).unwrap();
        let mark = Mark::now(log.path(), "belay").unwrap();
        for (verb, user, resource, code) in [
            ("patch", "belay", "replicasets", 200),
            ("patch", "belay", "rollouts", 409),
            ("create", "belay", "events", 201),
            ("update", "belay", "leases", 200),
            ("get", "someone", "deployments", 200),
        ] {
            writeln!(log, "{}", line(verb, user, resource, code)).unwrap();
        }
        write!(log, r#"{{"verb":"get","user""#).unwrap();

        let requests = mark.since().unwrap();

        assert_eq!(
            (
                requests.reads,
                requests.writes,
                requests.events,
                requests.leases,
                requests.conflicts
            ),
            (0, 2, 1, 1, 1)
        );
    }
}
