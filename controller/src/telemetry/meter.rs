//! Counts the requests to the API server by verb, resource and answer. Benchmarks read the same figures.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response, Uri};
use tower::{Layer, Service};

use super::{Metrics, metrics::RequestLabels};

/// Puts a meter before a service.
#[derive(Clone, Debug)]
pub struct MeterLayer {
    metrics: Arc<Metrics>,
}

impl MeterLayer {
    /// A layer that counts into `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Meter<S> {
        Meter {
            inner,
            metrics: Arc::clone(&self.metrics),
        }
    }
}

/// A service that counts what goes through it.
#[derive(Clone, Debug)]
pub struct Meter<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S, B, R> Service<Request<B>> for Meter<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send,
    R: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (verb, resource) = describe(request.method(), request.uri());
        let requests = self.metrics.api_requests.clone();
        self.inner
            .call(request)
            .map(move |answer| {
                let code = answer
                    .as_ref()
                    .map_or_else(|_| "error".to_owned(), |r| r.status().as_str().to_owned());
                requests
                    .get_or_create(&RequestLabels {
                        verb,
                        resource,
                        code,
                    })
                    .inc();
                answer
            })
            .boxed()
    }
}

/// Verb and resource of a request, without names and namespaces.
fn describe(method: &Method, uri: &Uri) -> (&'static str, String) {
    let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
    let known = match parts.next() {
        Some("api") => parts.next().is_some(),
        Some("apis") => parts.next().is_some() && parts.next().is_some(),
        _ => false,
    };
    if !known {
        return (verb(method, uri, true), "nonresource".to_owned());
    }
    let mut rest: Vec<&str> = parts.collect();
    // `namespaces/x` alone is a namespace; with more behind it, it only says where the resource lives.
    if rest.len() > 2 && rest.first() == Some(&"namespaces") {
        rest.drain(..2);
    }
    let named = rest.len() > 1;
    let resource = match (rest.first(), rest.get(2)) {
        (None, _) => "discovery".to_owned(),
        (Some(resource), None) => (*resource).to_owned(),
        (Some(resource), Some(sub)) => format!("{resource}/{sub}"),
    };
    (verb(method, uri, named), resource)
}

fn verb(method: &Method, uri: &Uri, named: bool) -> &'static str {
    let watches = uri
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    match *method {
        Method::GET if watches => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &Method, path: &str) -> (&'static str, String) {
        describe(method, &path.parse().unwrap())
    }

    #[test]
    fn names_and_namespaces_never_become_labels() {
        let cases = [
            (
                Method::GET,
                "/apis/apps/v1/deployments?watch=true&x=y",
                ("watch", "deployments"),
            ),
            (
                Method::GET,
                "/apis/apps/v1/namespaces/a/deployments",
                ("list", "deployments"),
            ),
            (
                Method::PATCH,
                "/apis/belay.dev/v1alpha1/namespaces/a/rollouts/b/status",
                ("patch", "rollouts/status"),
            ),
            (Method::GET, "/api/v1/namespaces/a", ("get", "namespaces")),
            (
                Method::POST,
                "/api/v1/namespaces/a/pods",
                ("create", "pods"),
            ),
            (Method::GET, "/version", ("get", "nonresource")),
            (Method::GET, "/apis/apps/v1", ("list", "discovery")),
        ];
        for (method, path, (verb, resource)) in cases {
            assert_eq!(of(&method, path), (verb, resource.to_owned()), "{path}");
        }
    }
}
