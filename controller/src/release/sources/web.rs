//! Requests to Helm repositories and OCI registries.
//!
//! Invariant: what a request shows of its sender goes to the first origin alone, however often it is redirected; every answer has a
//! limit on its size, every request one on its time.

use std::{fmt, time::Duration};

use reqwest::{
    Certificate, Client, ClientBuilder, Method, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION},
    redirect::Policy,
};

use super::trouble::Trouble;
use crate::gates::probe::{
    address::{Guarded, Reach, refusal},
    http::send::is_certificate,
};

/// Time limit of one request, with its answer.
const TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT: Duration = Duration::from_secs(10);
/// Redirects that are followed, one after the other.
const HOPS: usize = 5;

/// A user name and a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// A client that goes where the operator lets it.
pub(super) struct Web {
    client: Result<Client, String>,
    reach: Reach,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    host: String,
}

/// What a request shows of its sender.
pub(super) enum Proof<'a> {
    Login(&'a Login),
    Token(&'a str),
}

impl Answer {
    /// The body, or what the status says about `what`. `field` is where a login for it is named.
    pub(super) fn expect_success(self, what: &str, field: &str) -> Result<Vec<u8>, Trouble> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let host = self.host;
        Err(match self.status.as_u16() {
            401 | 403 => Trouble::unavailable(format!(
                "{host} does not let Belay read {what}; name a Secret with username and password in {field}, or correct it"
            )),
            404 | 410 => Trouble::unavailable(format!(
                "{host} does not have {what}; correct the address, or push it"
            )),
            code if code == 429 || code >= 500 => Trouble::passing(format!(
                "{host} can't give {what} at the moment (status {code})"
            )),
            code => Trouble::unavailable(format!(
                "{host} answers with status {code} to the question for {what}"
            )),
        })
    }
}

impl Web {
    pub(super) fn new(reach: Reach) -> Self {
        let client = builder(reach).build();
        Self {
            client: client.map_err(|error| error.to_string()),
            reach,
        }
    }

    /// Trusts these authorities instead of the system's.
    pub(super) fn trusting(reach: Reach, authorities: &str) -> Result<Self, String> {
        let known = Certificate::from_pem_bundle(authorities.as_bytes()).unwrap_or_default();
        if known.is_empty() {
            return Err("ca.crt holds no certificate in PEM".to_owned());
        }
        let client = builder(reach).tls_certs_only(known).build();
        // The cause may quote what it could not read.
        let client = client.map_err(|_| "ca.crt can't be used".to_owned())?;
        Ok(Self {
            client: Ok(client),
            reach,
        })
    }

    /// Asks with a login.
    pub(super) async fn get(
        &self,
        url: &Url,
        login: Option<&Login>,
        accept: Option<&'static str>,
        limit_bytes: usize,
    ) -> Result<Answer, Trouble> {
        let proof = login.map(Proof::Login);
        self.ask(Method::GET, url, proof.as_ref(), accept, limit_bytes)
            .await
    }

    /// Asks, and follows redirects; what it shows of the sender goes to the first origin alone.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: &Url,
        proof: Option<&Proof<'_>>,
        accept: Option<&'static str>,
        limit_bytes: usize,
    ) -> Result<Answer, Trouble> {
        let mut url = url.clone();
        let first = url.origin();
        for _ in 0..=HOPS {
            let proof = proof.filter(|_| url.origin() == first);
            let response = self.one(method.clone(), &url, proof, accept).await?;
            let Some(target) = location(&response) else {
                return read(response, &url, limit_bytes).await;
            };
            url = follow(&url, &target)?;
        }
        Err(Trouble::unavailable(format!(
            "{} answers with more than {HOPS} redirects in a row",
            host(&url)
        )))
    }

    async fn one(
        &self,
        method: Method,
        url: &Url,
        proof: Option<&Proof<'_>>,
        accept: Option<&'static str>,
    ) -> Result<Response, Trouble> {
        let refuse = |why: String| Trouble::unavailable(why);
        self.reach
            .check(url)
            .map_err(|refused| refuse(refused.to_string()))?;
        let client = self
            .client
            .as_ref()
            .map_err(|error| refuse(error.clone()))?;
        let mut request = client.request(method, url.clone());
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        request = match proof {
            None => request,
            Some(Proof::Login(login)) => request.basic_auth(&login.username, Some(&login.password)),
            Some(Proof::Token(token)) => {
                let value = HeaderValue::from_str(&format!("Bearer {token}"));
                let mut value =
                    value.map_err(|_| refuse("a registry gave a token that is none".to_owned()))?;
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
        };
        request.send().await.map_err(|error| failure(url, &error))
    }
}

fn builder(reach: Reach) -> ClientBuilder {
    Client::builder()
        // Followed by hand: a login must not go to another origin.
        .redirect(Policy::none())
        .dns_resolver(Guarded::new(reach))
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT)
}

fn failure(url: &Url, error: &reqwest::Error) -> Trouble {
    match refusal(error) {
        Some(refused) => Trouble::unavailable(refused.to_string()),
        // Without the URL, and in words that stay the same from one attempt to the next.
        None if error.is_timeout() => {
            Trouble::passing(format!("{} did not answer in time", host(url)))
        }
        None if is_certificate(error) => Trouble::passing(format!(
            "{} shows a certificate that is not trusted, or is for another name; correct it, or the address",
            host(url)
        )),
        None => Trouble::passing(format!("{} can't be reached, or broke off", host(url))),
    }
}

fn location(response: &Response) -> Option<String> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| is_redirect)?;
    location.to_str().ok().map(str::to_owned)
}

fn follow(from: &Url, location: &str) -> Result<Url, Trouble> {
    let target = from.join(location).ok();
    let target = target.filter(|url| matches!(url.scheme(), "http" | "https"));
    match target {
        None => Err(Trouble::unavailable(format!(
            "{} redirects to something that is not a web address",
            host(from)
        ))),
        Some(target) if from.scheme() == "https" && target.scheme() == "http" => {
            Err(Trouble::unavailable(format!(
                "{} redirects to http, where anybody may listen",
                host(from)
            )))
        }
        Some(target) => Ok(target),
    }
}

async fn read(mut response: Response, url: &Url, limit_bytes: usize) -> Result<Answer, Trouble> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| failure(url, &error))?
    {
        if body.len() + chunk.len() > limit_bytes {
            return Err(Trouble::unavailable(format!(
                "{} gave more than {} MiB, the limit for one answer",
                host(url),
                limit_bytes >> 20
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        headers,
        body,
        host: host(url),
    })
}

/// Host and port, for people.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
