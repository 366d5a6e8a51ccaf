//! A client that keeps the cookie that it is given, as browsers do.

use belay_tests::Error;
use reqwest::{Client, header::SET_COOKIE};

/// One client.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    client: Client,
    url: String,
    host: String,
    cookie: Option<String>,
}

impl Visitor {
    /// Of this host at this address.
    pub(crate) fn new(url: String, host: String) -> Result<Self, Error> {
        let client = Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            client,
            url,
            host,
            cookie: None,
        })
    }

    /// With this header of cookies.
    pub(crate) fn with(mut self, cookie: &str) -> Self {
        self.cookie = Some(cookie.to_owned()).filter(|cookie| !cookie.is_empty());
        self
    }

    /// What it was given.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// Asks once; gives the version that answered.
    pub(crate) async fn visit(&mut self) -> Result<String, Error> {
        let mut request = self.client.get(&self.url).header("host", &self.host);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().await?.error_for_status()?;
        let text = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        if let Some(given) = text(SET_COOKIE.as_str()) {
            let pair = given.split(';').next().unwrap_or_default();
            self.cookie = Some(pair.to_owned());
        }
        text("x-version").ok_or_else(|| Error::Broken(format!("an answer of no pod: {answer:?}")))
    }
}
