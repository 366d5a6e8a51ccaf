//! Answers in a file: reading them in place of a Prometheus, and writing them for somebody who has none.
//!
//! The file is one JSON object after another, `{"query": …, "response": …}`, each with an unchanged answer of `/api/v1/query_range`; several about one query are
//! parts of one history, in the order of time.

use std::{
    borrow::Cow,
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Collector, Grid, Series, answer};
use crate::simulate::error::SimulateError;

#[derive(Deserialize)]
struct One<'a> {
    #[serde(borrow)]
    query: Cow<'a, str>,
    #[serde(borrow)]
    response: answer::Body<'a>,
}

/// A file of answers.
#[derive(Debug)]
pub(crate) struct Saved {
    path: PathBuf,
    text: String,
}

impl Saved {
    /// Reads the file.
    pub(crate) fn open(path: &Path) -> Result<Self, SimulateError> {
        let text = std::fs::read_to_string(path).map_err(|source| SimulateError::File {
            path: path.to_owned(),
            source,
        })?;
        let saved = Self {
            path: path.to_owned(),
            text,
        };
        saved.each(|_| Ok(()))?;
        Ok(saved)
    }

    /// Begin and end of what is in the file and the shortest time between two values, in milliseconds.
    pub(crate) fn extent(&self) -> Result<Option<(i64, i64, i64)>, SimulateError> {
        let mut whole: Option<(i64, i64, Option<i64>)> = None;
        self.each(|one| {
            if let Some((start, end, step)) = answer::extent(&one.response) {
                let (begin, until, known) = whole.unwrap_or((start, end, None));
                let step = step.into_iter().chain(known).min();
                whole = Some((begin.min(start), until.max(end), step));
            }
            Ok(())
        })?;
        Ok(whole.and_then(|(start, end, step)| Some((start, end, step?))))
    }

    /// The series that the file has for a query.
    pub(crate) fn range(&self, query: &str, grid: Grid) -> Result<Vec<Series>, SimulateError> {
        let mut collector = Collector::new(grid);
        let mut found = false;
        self.each(|one| {
            if one.query.trim() == query.trim() {
                found = true;
                answer::take(one.response, &mut collector).map_err(|why| why.to_string())?;
            }
            Ok(())
        })?;
        if found {
            Ok(collector.finish())
        } else {
            Err(SimulateError::NotSaved(query.to_owned()))
        }
    }

    fn each(&self, mut f: impl FnMut(One<'_>) -> Result<(), String>) -> Result<(), SimulateError> {
        let wrong = |why: String| SimulateError::Content {
            path: self.path.clone(),
            why,
        };
        for one in serde_json::Deserializer::from_str(&self.text).into_iter::<One<'_>>() {
            let one = one.map_err(|error| {
                wrong(format!(
                    "{error}; the file must have one {{\"query\": …, \"response\": …}} after another, with responses of /api/v1/query_range"
                ))
            })?;
            f(one).map_err(wrong)?;
        }
        Ok(())
    }
}

/// Writes answers as they come.
#[derive(Debug)]
pub(crate) struct Saving {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Saving {
    /// Begins the file anew.
    pub(crate) fn create(path: &Path) -> Result<Self, SimulateError> {
        let file = File::create(path).map_err(|source| SimulateError::File {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
        })
    }

    /// Adds an answer; `body` is whole JSON.
    pub(crate) fn add(&mut self, query: &str, body: &[u8]) -> Result<(), SimulateError> {
        let query = serde_json::Value::from(query).to_string();
        let mut line = format!("{{\"query\":{query},\"response\":").into_bytes();
        line.extend_from_slice(body.trim_ascii());
        line.extend_from_slice(b"}\n");
        self.written(|file| file.write_all(&line))
    }

    /// Everything is on disk.
    pub(crate) fn finish(mut self) -> Result<(), SimulateError> {
        self.written(BufWriter::flush)
    }

    fn written(
        &mut self,
        write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
    ) -> Result<(), SimulateError> {
        write(&mut self.file).map_err(|source| SimulateError::File {
            path: self.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(from: i64) -> String {
        format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":[[{from},"1"],[{},"2"]]}}]}}}}"#,
            from + 10
        )
    }

    #[test]
    fn what_was_saved_is_read_back_as_one_history() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        let mut saving = Saving::create(&path).unwrap();
        for from in [0, 20] {
            saving.add("up{a=\"b\"}", body(from).as_bytes()).unwrap();
        }
        saving.finish().unwrap();

        let saved = Saved::open(&path).unwrap();
        assert_eq!(saved.extent().unwrap(), Some((0, 30_000, 10_000)));
        let grid = Grid::new(0, 30_000, 10_000).unwrap();
        let series = saved.range("up{a=\"b\"}", grid).unwrap();
        let values: Vec<_> = (0..4).map(|index| series[0].get(index)).collect();
        assert_eq!(values, [Some(1.0), Some(2.0), Some(1.0), Some(2.0)]);
        let missing = saved.range("down", grid).unwrap_err().to_string();
        assert!(missing.ends_with("down"), "{missing}");
    }

    #[test]
    fn another_file_is_refused_with_what_it_must_have() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        std::fs::write(&path, "[1]").unwrap();
        let why = Saved::open(&path).unwrap_err().to_string();
        assert!(why.contains("query_range"), "{why}");
    }
}
