//! Asking a Prometheus for a history, in parts, at most two at a time.
//!
//! Invariant: credentials (in the URL, in a token file) go into requests and nowhere else: not into messages, not into names of files.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::{
    Certificate, Client, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};

use super::{
    Collector, Grid, Series,
    answer::{self, Unusable},
    cache::{self, Cache},
    chunks::{self, Chunk},
    saved::Saving,
};
use crate::simulate::{args::SourceArgs, error::SimulateError, progress::Progress};

/// Questions at the same time: a simulation has time, and those who watch production must not notice it.
const AT_ONCE: usize = 2;

/// Largest answer that is taken; a larger one is asked for in halves.
const ANSWER_BYTES: usize = 96 * 1024 * 1024;

/// Tries of one question, and the pause after the first; it doubles.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// A Prometheus, with what was fetched before.
#[derive(Debug)]
pub(crate) struct Server {
    http: Client,
    url: Url,
    host: String,
    timeout: Duration,
    cache: Option<Cache>,
    saving: Mutex<Option<Saving>>,
    asked: AtomicUsize,
    kept: AtomicUsize,
}

/// Why one question has no answer.
enum Failure {
    /// A shorter one may have one.
    TooMuch(String),
    /// Later it may have one.
    Busy(String),
    /// It has none.
    Refused(String),
}

impl Server {
    /// The server that `args` name. `now`: what is younger may still change.
    pub(crate) fn open(address: &str, args: &SourceArgs, now: i64) -> Result<Self, SimulateError> {
        let url = endpoint(address).ok_or_else(|| {
            SimulateError::History(
                "the address of Prometheus is not a URL such as http://prometheus.monitoring:9090"
                    .to_owned(),
            )
        })?;
        let identity = format!(
            "{}{} {}",
            host(&url),
            url.path(),
            args.tenant.as_deref().unwrap_or_default()
        );
        let folder = args.cache.clone().or_else(cache::default_folder);
        let cache = folder
            .map(|folder| {
                Cache::open(folder.clone(), identity, now).map_err(|source| SimulateError::File {
                    path: folder,
                    source,
                })
            })
            .transpose()?;
        let saving = args
            .save_answers
            .as_deref()
            .map(Saving::create)
            .transpose()?;
        Ok(Self {
            http: client(args)?,
            host: host(&url),
            url,
            timeout: args.timeout,
            cache,
            saving: Mutex::new(saving),
            asked: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
        })
    }

    /// The series of a query on a grid, and what Prometheus warns of.
    pub(crate) async fn range(
        &self,
        query: &str,
        grid: Grid,
        progress: &Progress,
    ) -> Result<(Vec<Series>, Vec<String>), SimulateError> {
        let chunks = chunks::of(grid);
        let mut progress = progress.task(query, chunks.len());
        let answers = stream::iter(chunks)
            .map(|chunk| self.chunk(query, chunk))
            .buffered(AT_ONCE);
        let mut answers = std::pin::pin!(answers);
        let mut collector = Collector::new(grid);
        let mut warnings = Vec::new();
        while let Some(bodies) = answers.try_next().await? {
            for body in bodies {
                let said =
                    answer::read(&body, &mut collector).map_err(|why| self.unusable(&why))?;
                warnings.extend(said);
                if let Some(saving) = self.saving().as_mut() {
                    saving.add(query, &body)?;
                }
            }
            progress.step();
        }
        warnings.sort();
        warnings.dedup();
        Ok((collector.finish(), warnings))
    }

    /// Questions that were asked, and those that were answered from the cache.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (
            self.asked.load(Ordering::Relaxed),
            self.kept.load(Ordering::Relaxed),
        )
    }

    /// Everything that is to be saved is on disk.
    pub(crate) fn finish(&self) -> Result<(), SimulateError> {
        self.saving().take().map_or(Ok(()), Saving::finish)
    }

    fn saving(&self) -> std::sync::MutexGuard<'_, Option<Saving>> {
        self.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, why: &str) -> SimulateError {
        SimulateError::History(format!("Prometheus at {}: {why}", self.host))
    }

    fn unusable(&self, why: &Unusable) -> SimulateError {
        match why {
            Unusable::Native => SimulateError::Native,
            Unusable::Other(why) => self.failed(why),
        }
    }

    /// The answers for one part, in the order of time; several if it had to be halved.
    async fn chunk(&self, query: &str, chunk: Chunk) -> Result<Vec<Vec<u8>>, SimulateError> {
        let mut bodies = Vec::new();
        let mut open = vec![chunk];
        while let Some(chunk) = open.pop() {
            match self.whole(query, chunk).await {
                Ok(body) => bodies.push(body),
                Err(Failure::TooMuch(why)) => {
                    let Some([left, right]) = chunk.halves() else {
                        return Err(self.failed(&why));
                    };
                    open.extend([right, left]);
                }
                Err(Failure::Busy(why) | Failure::Refused(why)) => return Err(self.failed(&why)),
            }
        }
        Ok(bodies)
    }

    async fn whole(&self, query: &str, chunk: Chunk) -> Result<Vec<u8>, Failure> {
        if let Some(body) = self
            .cache
            .as_ref()
            .and_then(|cache| cache.get(query, chunk))
        {
            self.kept.fetch_add(1, Ordering::Relaxed);
            return Ok(body);
        }
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            match self.ask(query, chunk).await {
                Err(Failure::Busy(_)) if tries < TRIES => {
                    tokio::time::sleep(pause).await;
                    tries += 1;
                    pause *= 2;
                }
                Ok(body) => {
                    if let Some(cache) = &self.cache {
                        cache.put(query, chunk, &body).map_err(|error| {
                            Failure::Refused(format!("its answer can't be kept: {error}"))
                        })?;
                    }
                    return Ok(body);
                }
                failed => return failed,
            }
        }
    }

    async fn ask(&self, query: &str, chunk: Chunk) -> Result<Vec<u8>, Failure> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let seconds = |milliseconds: i64| {
            format!(
                "{}.{:03}",
                milliseconds.div_euclid(1000),
                milliseconds.rem_euclid(1000)
            )
        };
        let form = [
            ("query", query.to_owned()),
            ("start", seconds(chunk.start)),
            ("end", seconds(chunk.end)),
            ("step", seconds(chunk.step)),
            ("timeout", format!("{}ms", self.timeout.as_millis())),
        ];
        let answered = async {
            let mut response = self.http.post(self.url.clone()).form(&form).send().await?;
            let status = response.status();
            let mut body = Vec::new();
            while let Some(part) = response.chunk().await? {
                body.extend_from_slice(&part);
                if body.len() > ANSWER_BYTES {
                    break;
                }
            }
            Ok::<_, reqwest::Error>((status, body))
        };
        match tokio::time::timeout(self.timeout, answered).await {
            Ok(Ok((_, body))) if body.len() > ANSWER_BYTES => Err(Failure::TooMuch(
                "the answer is too large; aggregate the query, or take a longer --step".to_owned(),
            )),
            Ok(Ok((status, body))) => judge(status, body),
            Ok(Err(error)) => Err(Failure::Busy(lost(&error).to_owned())),
            Err(_) => Err(Failure::TooMuch(format!(
                "no answer within {} s; give it longer with --timeout",
                self.timeout.as_secs_f64()
            ))),
        }
    }
}

fn judge(status: StatusCode, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if status.is_success() {
        return Ok(body);
    }
    let why = answer::reason(&body);
    let said = why.clone().unwrap_or_else(|| format!("answered {status}"));
    let too_much = why
        .as_deref()
        .is_some_and(|why| why.contains("too many samples") || why.contains("timed out"));
    Err(match status {
        _ if too_much => Failure::TooMuch(said),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Refused(format!(
            "the credentials were refused ({status}); give --token-file or --tenant"
        )),
        StatusCode::NOT_FOUND => Failure::Refused(format!(
            "there is no Prometheus API ({status}); give the base URL, without /api/v1"
        )),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Failure::Busy(said),
        _ => Failure::Refused(said),
    })
}

fn lost(error: &reqwest::Error) -> &'static str {
    if error.is_connect() {
        "it can't be reached: the connection was refused, or its name or certificate is wrong"
    } else {
        "it broke off the connection"
    }
}

fn endpoint(address: &str) -> Option<Url> {
    let mut url = Url::parse(address).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let path = format!("{}/api/v1/query_range", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Some(url)
}

/// Host and port, without credentials.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn client(args: &SourceArgs) -> Result<Client, SimulateError> {
    let mut headers = HeaderMap::new();
    if let Some(path) = &args.token_file {
        let token = read(path)?;
        let mut value =
            HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| {
                SimulateError::Content {
                    path: path.clone(),
                    why: "the token must be one line of plain characters".to_owned(),
                }
            })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if let Some(tenant) = &args.tenant {
        let value = HeaderValue::try_from(tenant.as_str()).map_err(|_| {
            SimulateError::Other("--tenant must be one line of plain characters".to_owned())
        })?;
        headers.insert("x-scope-orgid", value);
    }
    let mut client = Client::builder()
        .user_agent(concat!("kubectl-belay/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        // A redirect could carry credentials to a host that nobody named.
        .redirect(reqwest::redirect::Policy::none());
    if let Some(path) = &args.ca_file {
        let wrong = |_| SimulateError::Content {
            path: path.clone(),
            why: "these are no certificates in PEM".to_owned(),
        };
        let certificates = Certificate::from_pem_bundle(read(path)?.as_bytes()).map_err(wrong)?;
        client = client.tls_certs_merge(certificates);
    }
    client
        .build()
        .map_err(|error| SimulateError::Other(format!("no HTTP client: {error}")))
}

fn read(path: &std::path::Path) -> Result<String, SimulateError> {
    std::fs::read_to_string(path).map_err(|source| SimulateError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_of_the_address_is_in_its_name() {
        let url = endpoint("https://user:secret@p.example:9090/prom/").unwrap();
        assert_eq!(url.path(), "/prom/api/v1/query_range");
        assert_eq!(host(&url), "p.example:9090");
    }

    #[test]
    fn a_sick_server_is_asked_again_and_a_wrong_query_is_not() {
        let judged = |status, body: &str| {
            judge(
                StatusCode::from_u16(status).unwrap(),
                body.as_bytes().to_vec(),
            )
        };
        assert!(matches!(judged(503, "down"), Err(Failure::Busy(_))));
        let wrong = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        assert!(matches!(judged(400, wrong), Err(Failure::Refused(why)) if why == "parse error"));
        let much = r#"{"status":"error","error":"query processing would load too many samples into memory"}"#;
        assert!(matches!(judged(422, much), Err(Failure::TooMuch(_))));
    }
}
