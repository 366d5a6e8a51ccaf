//! A request with its holes filled.
//!
//! Invariant: a value of a Secret goes into a header or the body only. URLs end up in the logs of whatever stands in between, and
//! conditions in the status.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use belay_api::analysis::{
    arguments,
    http::{HttpAuth, HttpGate, HttpHeader, HttpMethod},
};
use reqwest::{
    Method, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
};

use super::{Known, Values, encode::percent_encoded, time};

/// Headers that belong to the connection: changing them changes where one request ends and the next begins.
const NOT_THE_AUTHORS: [&str; 6] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
];

/// A request that is ready to be sent.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<String>,
    /// Texts that were made of values of Secrets and are sent.
    pub(super) made_of_secrets: Vec<String>,
}

impl Request {
    /// The request of `gate`.
    pub(super) fn new(gate: &HttpGate, known: &Known) -> Result<Self, String> {
        let mut made_of_secrets = Vec::new();
        let body = gate.body.as_deref();
        let body = body.map(|body| filled(body, known)).transpose()?;
        let url = url(gate, known)?;
        let headers = headers(gate, known, body.is_some(), &mut made_of_secrets)?;
        Ok(Self {
            method: method(gate.method),
            url,
            headers,
            body,
            made_of_secrets,
        })
    }

    /// Host and port, for people.
    pub(super) fn host(&self) -> String {
        host(&self.url)
    }
}

/// Host and port of `url`, for people.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn filled(text: &str, known: &Known) -> Result<String, String> {
    let text = time::filled(text, &known.values, known.now)?;
    arguments::fill(&text, &known.values).map_err(|error| error.to_string())
}

/// `text` filled with values that may be read by anybody.
pub(super) fn fill(text: &str, open: &Values, place: &str) -> Result<String, String> {
    arguments::fill(text, open).map_err(|error| match error {
        arguments::ArgumentError::Undeclared(name) => format!(
            "{place} uses {{{{{name}}}}}, which is not among the template's args, or comes from a Secret; values of Secrets may stand in headers and the body only"
        ),
        other => other.to_string(),
    })
}

const fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
    }
}

/// The URL. A value at its very beginning is a base URL; any other can't change its structure.
fn url(gate: &HttpGate, known: &Known) -> Result<Url, String> {
    let open = &known.open_values();
    let timed = |text: &str| time::filled(text, open, known.now);
    let encoded: BTreeMap<String, String> = open
        .iter()
        .map(|(name, value)| (name.clone(), percent_encoded(value)))
        .collect();
    let (base, rest) = split_base(&gate.url);
    let text = format!(
        "{}{}",
        fill(base, open, "url")?,
        fill(&timed(rest)?, &encoded, "url")?
    );
    let mut url = Url::parse(&text)
        .map_err(|_| "the url is not one, such as https://api.example.com/v1/query".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("the url must begin with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "the url has credentials in it; give them under auth, from a Secret".to_owned(),
        );
    }
    for parameter in &gate.query {
        let value = fill(&timed(&parameter.value)?, open, "query")?;
        url.query_pairs_mut().append_pair(&parameter.name, &value);
    }
    Ok(url)
}

/// The hole at the very beginning of a URL, if there is one, and the rest.
fn split_base(url: &str) -> (&str, &str) {
    let end = url
        .starts_with("{{")
        .then(|| url.find("}}"))
        .flatten()
        .map_or(0, |end| end.saturating_add(2));
    url.split_at_checked(end).unwrap_or(("", url))
}

fn headers(
    gate: &HttpGate,
    known: &Known,
    has_body: bool,
    made_of_secrets: &mut Vec<String>,
) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("belay/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(
        ACCEPT,
        HeaderValue::from_static("application/json, */*;q=0.5"),
    );
    if has_body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for header in &gate.headers {
        let name: HeaderName = header
            .name
            .parse()
            .map_err(|_| format!("{:?} is not the name of a header", header.name))?;
        if NOT_THE_AUTHORS.contains(&name.as_str()) {
            return Err(format!(
                "the header {name} belongs to the connection and can't be set"
            ));
        }
        headers.insert(name, value(header, known)?);
    }
    if let Some(auth) = &gate.auth {
        let text = authorization(auth, known)?;
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| "the credentials have characters that a header can't have".to_owned())?;
        value.set_sensitive(true);
        made_of_secrets.extend(
            text.split_once(' ')
                .map(|(_, credentials)| credentials.to_owned()),
        );
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn value(header: &HttpHeader, known: &Known) -> Result<HeaderValue, String> {
    let text = match (&header.secret_key, &header.value) {
        (Some(key), _) => known.secret(key)?.to_owned(),
        (None, Some(value)) => filled(value, known)?,
        (None, None) => String::new(),
    };
    let text = format!("{}{text}", header.prefix.as_deref().unwrap_or_default());
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        format!(
            "the value of the header {} has characters that a header can't have",
            header.name
        )
    })?;
    // A value with holes may come from a Secret, too.
    value.set_sensitive(true);
    Ok(value)
}

fn authorization(auth: &HttpAuth, known: &Known) -> Result<String, String> {
    match (&auth.bearer, &auth.basic) {
        (Some(token), _) => Ok(format!("Bearer {}", known.secret(token)?)),
        (None, Some(basic)) => {
            let (user, password) = (
                known.secret(&basic.username)?,
                known.secret(&basic.password)?,
            );
            Ok(format!(
                "Basic {}",
                STANDARD.encode(format!("{user}:{password}"))
            ))
        }
        (None, None) => Err("auth is empty; give bearer or basic".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request(gate: Value, values: &[(&str, &str)]) -> Result<Request, String> {
        let gate: HttpGate = serde_json::from_value(gate).unwrap();
        let known = Known {
            values: values
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            secret_values: vec!["token".to_owned()],
            ..Known::default()
        };
        Request::new(&gate, &known)
    }

    #[test]
    fn a_value_in_a_url_can_only_be_what_it_stands_for() {
        let gate = json!({"url": "http://{{service}}.shop.svc/{{path}}?q={{q}}", "query": [{"name": "from", "value": "{{q}}"}]});
        let values = [
            ("service", "evil.com/x@web"),
            ("path", "../admin"),
            ("q", "a&b=c d"),
        ];
        let request = request(gate, &values).map(|request| request.url.to_string());
        // Encoded, the first is no host name at all.
        assert!(request.is_err(), "{request:?}");
        let gate = json!({"url": "http://web/{{path}}?q={{q}}", "query": [{"name": "from", "value": "{{q}}"}]});
        let url = self::request(gate, &values).unwrap().url.to_string();
        assert_eq!(
            url,
            "http://web/..%2Fadmin?q=a%26b%3Dc%20d&from=a%26b%3Dc+d"
        );
    }

    #[test]
    fn a_value_at_the_beginning_is_a_base_url() {
        let gate = json!({"url": "{{api}}/v1/{{service}}"});
        let url = request(
            gate,
            &[
                ("api", "https://api.example.com:8443/base"),
                ("service", "a/b"),
            ],
        );
        assert_eq!(
            url.unwrap().url.as_str(),
            "https://api.example.com:8443/base/v1/a%2Fb"
        );
        let gate = json!({"url": "{{api}}"});
        assert!(request(gate, &[("api", "file:///etc/passwd")]).is_err());
    }

    #[test]
    fn secrets_go_into_headers_and_body_only() {
        let token = [("token", "hunter2")];
        let ok = json!({"url": "http://web", "method": "POST", "headers": [{"name": "X-Token", "value": "t={{token}}"}], "body": "{\"t\":\"{{token}}\"}"});
        let sent = request(ok, &token).unwrap();
        assert_eq!(sent.headers["x-token"], "t=hunter2");
        assert_eq!(sent.body.unwrap(), "{\"t\":\"hunter2\"}");
        assert_eq!(sent.headers["content-type"], "application/json");
        for wrong in [
            json!({"url": "http://web/{{token}}"}),
            json!({"url": "{{token}}/"}),
            json!({"url": "http://web/", "query": [{"name": "t", "value": "{{token}}"}]}),
        ] {
            let why = request(wrong, &token).map(drop).unwrap_err();
            assert!(why.contains("headers and the body only"), "{why}");
        }
    }

    #[test]
    fn credentials_in_the_url_and_headers_of_the_connection_are_refused() {
        for wrong in [
            json!({"url": "http://user:secret@web/"}),
            json!({"url": "http://web/", "headers": [{"name": "Transfer-Encoding", "value": "chunked"}]}),
            json!({"url": "http://web/", "headers": [{"name": "X", "value": "a\r\nY: b"}]}),
            json!({"url": "ftp://web/"}),
        ] {
            let why = request(wrong, &[]).map(drop).unwrap_err();
            assert!(!why.contains("secret@"), "{why}");
        }
    }
}
