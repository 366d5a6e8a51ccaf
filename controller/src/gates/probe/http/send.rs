//! One attempt: the request, and the redirects that it leads to.
//!
//! Invariant: to another origin (scheme, host or port) go neither headers, nor body, nor client certificate of a gate; every hop is
//! judged by [`Reach`] before it is taken. At most [`ANSWER_BYTES`] are read.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use belay_api::analysis::http::Redirects;
use reqwest::{
    Method, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
};

use super::{
    super::address::{Reach, refusal},
    request::{Request, host},
};

/// Largest answer that is read.
const ANSWER_BYTES: usize = 1024 * 1024;

/// Redirects that are followed, one after the other.
const HOPS: usize = 5;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Host and port that answered, for people.
    pub(super) host: String,
    /// Status code.
    pub(super) status: u16,
    /// Time from the beginning of the attempt to the end of the answer.
    pub(super) latency: Duration,
    /// How long the server wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The server could not be reached, or broke off; it may be back soon.
    Unavailable(String),
    /// Trying again would not help.
    Unusable(String),
}

/// Sends `request` with `client`; redirects to other origins with `plain`, which has no credentials.
pub(super) async fn send(
    client: &reqwest::Client,
    plain: &reqwest::Client,
    request: &Request,
    reach: Reach,
    redirects: Redirects,
) -> Result<Answer, Broken> {
    let began = Instant::now();
    let mut hop = Hop {
        client,
        method: request.method.clone(),
        url: request.url.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
    };
    for _ in 0..=HOPS {
        let response = hop.take(reach).await?;
        let follow = redirects == Redirects::Follow && is_redirect(response.status());
        let Some(target) = location(&response).filter(|_| follow) else {
            return read(response, &hop, began).await;
        };
        hop.redirect(&target, plain)?;
    }
    Err(Broken::Unusable(format!(
        "{} answered with more than {HOPS} redirects in a row",
        request.host()
    )))
}

struct Hop<'a> {
    client: &'a reqwest::Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<String>,
}

impl<'a> Hop<'a> {
    async fn take(&self, reach: Reach) -> Result<Response, Broken> {
        reach
            .check(&self.url)
            .map_err(|refused| Broken::Unusable(refused.to_string()))?;
        let mut request = self
            .client
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone());
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        request.send().await.map_err(|error| self.failure(&error))
    }

    /// Goes on to `location`, which is as the server wrote it.
    fn redirect(&mut self, location: &str, plain: &'a reqwest::Client) -> Result<(), Broken> {
        let from = host(&self.url);
        let target = self.url.join(location).ok();
        let target = target.filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(target) = target else {
            return Err(Broken::Unusable(format!(
                "{from} redirects to something that is not a web address"
            )));
        };
        if self.url.scheme() == "https" && target.scheme() == "http" {
            return Err(Broken::Unusable(format!(
                "{from} redirects to http, where anybody may listen"
            )));
        }
        if self.method != Method::HEAD {
            self.method = Method::GET;
        }
        self.body = None;
        self.headers.remove(CONTENT_TYPE);
        if target.origin() != self.url.origin() {
            self.headers.clear();
            self.client = plain;
        }
        self.url = target;
        Ok(())
    }

    /// What failed, in words that stay the same from one attempt to the next, without the URL.
    fn failure(&self, error: &reqwest::Error) -> Broken {
        if let Some(refused) = refusal(error) {
            return Broken::Unusable(refused.to_string());
        }
        let host = host(&self.url);
        let what = if is_certificate(error) {
            "shows a certificate that is not accepted; give its authority under tls.ca"
        } else if error.is_connect() {
            "can't be reached: the connection was refused, or there is no such name"
        } else if error.is_builder() {
            "can't be asked like this"
        } else {
            "broke off the connection"
        };
        Broken::Unavailable(format!("{host} {what}"))
    }
}

/// Whether the server's certificate was at fault.
pub(crate) fn is_certificate(error: &(dyn Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    // An I/O error passes over itself: its source is that of the error inside.
    let inside = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    inside.is_some_and(|inside| is_certificate(inside))
        || error.source().is_some_and(is_certificate)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn location(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?;
    location.to_str().ok().map(str::to_owned)
}

async fn read(mut response: Response, hop: &Hop<'_>, began: Instant) -> Result<Answer, Broken> {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| hop.failure(&error))?
    {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(Broken::Unusable(format!(
                "{} gave more than {} KiB; ask for less",
                host(&hop.url),
                ANSWER_BYTES / 1024
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        host: host(&hop.url),
        status,
        latency: began.elapsed(),
        retry_after,
        body,
    })
}
