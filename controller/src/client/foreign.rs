//! A client of an API server that somebody else names.
//!
//! Invariant: no answer of it takes more memory than the largest that is meant. An answer to a watch has no end; of it every line is
//! bounded, for lines are what it is taken in by.

use std::sync::Arc;

use axum::body::Body as Answer;
use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Uri};
use kube::{Client, client::Body};
use thiserror::Error;
use tower::{BoxError, service_fn};

use crate::{Result, runtime::Reach, telemetry::Metrics};

/// Longest answer: lists of all kinds, and of many objects.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Longest line of a watch: more than the largest object with all that is added to it.
const LINE_BYTES: usize = 8 * 1024 * 1024;

/// More than is taken in.
#[derive(Debug, Error)]
#[error("the API server answers with more than {0} bytes at once")]
struct TooLong(usize);

/// As [`super::build`], with bounded answers.
pub fn foreign(config: kube::Config, reach: Reach, metrics: &Arc<Metrics>) -> Result<Client> {
    let namespace = config.default_namespace.clone();
    let open = super::build(config, reach, metrics)?;
    let service = service_fn(move |request: Request<Body>| {
        let open = open.clone();
        async move {
            let count = Count::of(request.uri());
            let answer = open.send(request).await?;
            Ok::<_, kube::Error>(answer.map(|body| bounded(body, count)))
        }
    });
    Ok(Client::new(service, namespace))
}

fn bounded(body: Body, mut count: Count) -> Answer {
    let chunks = Answer::new(body).into_data_stream();
    Answer::from_stream(
        chunks.map(move |chunk| -> std::result::Result<Bytes, BoxError> {
            let chunk = chunk?;
            count.take(&chunk)?;
            Ok(chunk)
        }),
    )
}

/// What was taken in so far.
struct Count {
    bytes: usize,
    most: usize,
    by_line: bool,
}

impl Count {
    fn of(uri: &Uri) -> Self {
        let mut pairs = uri.query().unwrap_or_default().split('&');
        let by_line = pairs.any(|pair| pair == "watch=true");
        Self {
            bytes: 0,
            most: if by_line { LINE_BYTES } else { ANSWER_BYTES },
            by_line,
        }
    }

    fn take(&mut self, chunk: &[u8]) -> std::result::Result<(), TooLong> {
        self.bytes = self.bytes.saturating_add(chunk.len());
        if self.bytes > self.most {
            return Err(TooLong(self.most));
        }
        let end = chunk.iter().rposition(|byte| *byte == b'\n');
        if let Some(end) = end.filter(|_| self.by_line) {
            self.bytes = chunk.len().saturating_sub(end + 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(uri: &'static str) -> Count {
        Count::of(&Uri::from_static(uri))
    }

    #[test]
    fn an_answer_is_bounded_as_a_whole_and_a_watch_by_its_lines() {
        let lines = vec![b'\n'; LINE_BYTES / 2];
        let mut watch = count("/api/v1/pods?watch=true&labelSelector=a");
        for _ in 0..100 {
            watch.take(&lines).unwrap();
        }
        let mut list = count("/api/v1/pods");
        let taken = (0..100).take_while(|_| list.take(&lines).is_ok()).count();
        assert_eq!(taken, ANSWER_BYTES / (LINE_BYTES / 2));
        let mut endless = count("/api/v1/pods?watch=true");
        let text = vec![b'a'; LINE_BYTES / 2];
        assert!(endless.take(&text).is_ok() && endless.take(&text).is_ok());
        assert!(endless.take(b"a").is_err());
    }

    #[tokio::test]
    async fn what_is_too_long_ends_with_an_error() {
        let body = Body::from(vec![b'a'; 1000]);
        let count = Count {
            bytes: 0,
            most: 999,
            by_line: false,
        };
        let answer = bounded(body, count);
        let read = axum::body::to_bytes(answer, usize::MAX).await;
        let error = read.unwrap_err().to_string();
        assert!(error.contains("more than 999 bytes"), "{error}");
    }
}
