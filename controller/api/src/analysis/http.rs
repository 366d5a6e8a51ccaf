//! Gates that send a synthetic HTTP request, or ask another vendor's query API.
//!
//! Invariant: a credential stands in a Secret, never in a template. What is sent where a Secret's value goes is for the shell; here
//! is only what can be written down.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretKey;
use crate::Duration;

/// An HTTP request, and what its answer must be like. Holes (`{{name}}`) may stand in `url`, `query`, `headers`, `body` and the
/// texts of conditions. `{{now}}` and `{{nowMillis}}` are the time in seconds and milliseconds since 1970, and `{{now-5m}}` is five
/// minutes before, except in conditions. In `url` and `query` values are percent-encoded, except one at the very beginning of `url`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpGate {
    /// Where to. Link-local and cloud metadata addresses are refused, and loopback unless the controller allows it. Arguments from
    /// Secrets can't be used here.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^(https?://|\{\{)"))]
    pub url: String,
    /// The method.
    #[serde(default)]
    pub method: HttpMethod,
    /// Parameters that are added to the URL.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<HttpParameter>,
    /// Headers of the request.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HttpHeader>,
    /// Credentials for the `Authorization` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// Body of the request.
    #[schemars(length(max = 16384))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whom to trust and who to be, for `https`. Certificates are always checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<HttpTls>,
    /// Longest time that one attempt may take, up to two minutes.
    #[serde(default = "defaults::timeout")]
    pub timeout: Duration,
    /// Further attempts while the server can't be reached, takes too long, or answers with 429 or 5xx. Two for GET and HEAD when
    /// not said, none for other methods, which may have been carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<HttpRetries>,
    /// What to do when the answer is a redirect.
    #[serde(default)]
    pub redirects: Redirects,
    /// What it means when the server can't be reached, takes too long, or answers with 429 or 5xx.
    #[serde(default)]
    pub unavailable_is: Unavailable,
    /// What the answer must be like.
    #[serde(default)]
    pub expect: HttpExpectation,
}

/// Method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET.
    #[default]
    Get,
    /// HEAD: as GET, without a body in the answer.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
}

/// A parameter of the URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpParameter {
    /// Name.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Value; it is percent-encoded. Arguments from Secrets can't be used here, for URLs are logged along the way.
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// A header of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.value) != has(self.secretKey)").message("give exactly one of value and secretKey"))]
#[serde(rename_all = "camelCase")]
pub struct HttpHeader {
    /// Name.
    #[schemars(
        length(min = 1, max = 128),
        regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
    )]
    pub name: String,
    /// Its value, for all to read.
    #[schemars(length(max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The key of a Secret that holds its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<SecretKey>,
    /// What stands before the value, such as `Bearer ` or `Api-Key `.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// Credentials. Exactly one kind is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.bearer) != has(self.basic)").message("give exactly one of bearer and basic"))]
#[serde(rename_all = "camelCase")]
pub struct HttpAuth {
    /// A token, sent as `Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<SecretKey>,
    /// User name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
}

/// User name and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// The user name.
    pub username: SecretKey,
    /// The password.
    pub password: SecretKey,
}

/// Certificates for `https`. There is no way to leave out checking them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpTls {
    /// Authorities in PEM that are trusted instead of the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaSource>,
    /// Certificate and key to show to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientCertificate>,
}

/// Where certificates of authorities are. Exactly one place is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.configMapKey) != has(self.secretKey)").message("give exactly one of configMapKey and secretKey"))]
#[serde(rename_all = "camelCase")]
pub struct CaSource {
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key: Option<ConfigMapKey>,
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<SecretKey>,
}

/// A key of a ConfigMap in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKey {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A client certificate, as in Secrets of the type `kubernetes.io/tls`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// The certificate with those between it and its authority, in PEM.
    pub certificate: SecretKey,
    /// Its key, in PEM.
    pub key: SecretKey,
}

/// How often, and how long apart, a request is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRetries {
    /// Attempts after the first one.
    #[schemars(range(max = 10))]
    pub limit: u32,
    /// Wait before the second attempt; it doubles with each further one, up to 30 s.
    pub backoff: Duration,
}

impl Default for HttpRetries {
    fn default() -> Self {
        Self {
            limit: 2,
            backoff: Duration::from_secs(1),
        }
    }
}

/// What to do with a redirect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Redirects {
    /// Not followed: its status is the answer's.
    #[default]
    Refuse,
    /// Followed up to five times, with GET. To another host, port or scheme go neither headers nor credentials of this gate.
    Follow,
}

/// What it means that there is no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Unavailable {
    /// Nothing is known (`onError`): right for a vendor's API, whose outage says nothing about the new version.
    #[default]
    Error,
    /// The measurement failed: right where the request goes to the new version itself.
    Fail,
}

/// What an answer must be like for the measurement to pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpExpectation {
    /// Status codes that are fine; any other below 500 fails the measurement. When none is given, codes from 200 to 299 are fine,
    /// and any other counts as an error of the provider.
    #[schemars(length(max = 32), inner(range(min = 100, max = 599)))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// Longest time to the end of the answer; a slower one fails the measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<Duration>,
    /// What must hold for the answer's JSON.
    #[schemars(length(max = 16))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub json: Vec<JsonCondition>,
}

/// A condition on values of a JSON answer. Each value that the path gives must hold it; a path that gives none is no data, unless
/// `exists` or `count` is about just that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.exists) || has(self.equals) || has(self.notEquals) || has(self.min) || has(self.max) || has(self.count)").message("give exists, equals, notEquals, min, max or count; a condition that says nothing would always hold"))]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message("min is above max, so no number could pass; swap them"))]
#[serde(rename_all = "camelCase")]
pub struct JsonCondition {
    /// A JSONPath (RFC 9535), such as `$.data.result[0].value[1]`.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^\$"))]
    pub path: String,
    /// Whether the path must give anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// The value as text, such as `ready`, `3` or `true`. Numbers are compared as numbers.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// A text that the value must not be.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_equals: Option<String>,
    /// The value must be a number, or a text of one, and not below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The value must be a number, or a text of one, and not above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// How many values the path must give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<CountBounds>,
}

/// Bounds of a number of values; both ends belong to the good side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message("give min, max or both"))]
#[serde(rename_all = "camelCase")]
pub struct CountBounds {
    /// At least so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

mod defaults {
    use crate::Duration;

    pub(super) const fn timeout() -> Duration {
        Duration::from_secs(10)
    }
}
