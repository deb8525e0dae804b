//! An endpoint: a method and a path, who may use it, what goes in and out, how long it may take.

use super::access::{self, Access, Rules};
use super::failure::Failure;
use crate::app::App;
use api::{Code, Line, Problem};
use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, on};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa::openapi::{HttpMethod, RefOr, Schema};

/// Most requests of strangers that one endpoint answers at once.
const STRANGERS_MAX: usize = 64;

/// What a body is.
#[derive(Clone)]
pub(crate) enum Content {
    /// There is none.
    Nothing,
    /// JSON of this schema.
    Json(Described),
    /// Bytes, and what they are.
    Octets(&'static str),
    /// Lines of JSON; the last one holds a report of this schema.
    Lines(Described),
    /// Values of this schema that come one after another for as long as somebody listens, and their content type.
    Stream(Described, &'static str),
    /// Text.
    Text(&'static str),
}

/// A type of the API with its schema.
#[derive(Clone)]
pub(crate) struct Described {
    pub(crate) name: Cow<'static, str>,
    pub(crate) schema: RefOr<Schema>,
    /// Schemas of the types in it.
    pub(crate) parts: Vec<(String, RefOr<Schema>)>,
    /// It may be null.
    pub(crate) optional: bool,
}

impl Described {
    pub(crate) fn of<T: ToSchema>() -> Self {
        let mut parts = Vec::new();
        T::schemas(&mut parts);
        Self { name: T::name(), schema: T::schema(), parts, optional: false }
    }
}

/// JSON of a type.
pub(crate) fn json<T: ToSchema>() -> Content {
    Content::Json(Described::of::<T>())
}

/// JSON of a type, or null.
pub(crate) fn json_or_null<T: ToSchema>() -> Content {
    Content::Json(Described { optional: true, ..Described::of::<T>() })
}

/// Progress, and a report of a type at last.
pub(crate) fn lines<T: ToSchema>() -> Content {
    // The form of the lines is described in words.
    let _: Option<Line<T>> = None;
    Content::Lines(Described::of::<T>())
}

/// Values of a type, one after another for as long as somebody listens.
pub(crate) fn stream<T: ToSchema>(content_type: &'static str) -> Content {
    Content::Stream(Described::of::<T>(), content_type)
}

/// An endpoint.
pub struct Endpoint {
    /// Its method.
    pub method: HttpMethod,
    /// Its path, with names in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    pub(crate) summary: &'static str,
    pub(crate) takes: Content,
    pub(crate) gives: Content,
    pub(crate) query: &'static [&'static str],
    is_long: bool,
    memory: usize,
    handler: MethodRouter<Arc<App>>,
}

impl Endpoint {
    pub(crate) fn new<H, T>(method: HttpMethod, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        let handler = on(filter(&method), handler);
        let (takes, gives) = (Content::Nothing, Content::Nothing);
        Self { method, path, access, summary: "", takes, gives, query: &[], is_long: false, memory: 0, handler }
    }

    /// What it does, for people.
    pub(crate) fn says(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// The body of its requests.
    pub(crate) fn takes(mut self, content: Content) -> Self {
        self.takes = content;
        self
    }

    /// The body of its answers.
    pub(crate) fn gives(mut self, content: Content) -> Self {
        self.gives = content;
        self
    }

    /// Names in its query.
    pub(crate) fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }

    /// It may take longer than an ordinary request.
    pub(crate) fn long(mut self) -> Self {
        self.is_long = true;
        self
    }

    /// Its answers may take so many bytes of memory while they are made: they are lent before.
    pub(crate) fn needs(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Its method as a word.
    #[must_use]
    pub fn method_name(&self) -> &'static str {
        match self.method {
            HttpMethod::Get => "GET",
            HttpMethod::Put => "PUT",
            HttpMethod::Post => "POST",
            HttpMethod::Delete => "DELETE",
            _ => "OTHER",
        }
    }

    /// Adds it, behind its access and its limit of time.
    pub(crate) fn mount(self, router: Router<Arc<App>>, app: &Arc<App>) -> Router<Arc<App>> {
        let (app, strangers) = (app.clone(), Semaphore::new(STRANGERS_MAX));
        let rules = Arc::new(Rules { access: self.access, memory: self.memory as u64, strangers });
        let limit = (!self.is_long).then(|| Duration::from_secs(app.limits.request_seconds));
        let handler = self.handler.route_layer(from_fn(move |request: Request, next: Next| {
            let (app, rules) = (app.clone(), rules.clone());
            async move { timed(limit, access::enforce(app, &rules, request, next)).await }
        }));
        router.route(self.path, handler)
    }
}

async fn timed(limit: Option<Duration>, answer: impl Future<Output = Response>) -> Response {
    let Some(limit) = limit else { return answer.await };
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        // Not busy: what was asked for may be done all the same.
        Err(_) => Failure::new(Problem::new(Code::TimedOut, "the request took too long")).into_response(),
    }
}

fn filter(method: &HttpMethod) -> axum::routing::MethodFilter {
    match method {
        HttpMethod::Put => axum::routing::MethodFilter::PUT,
        HttpMethod::Post => axum::routing::MethodFilter::POST,
        HttpMethod::Delete => axum::routing::MethodFilter::DELETE,
        _ => axum::routing::MethodFilter::GET,
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, STRANGERS_MAX};
    use crate::app::App;
    use crate::config::Config;
    use crate::http::access::Access;
    use crate::time::SystemClocks;
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use std::sync::Arc;
    use utoipa::openapi::HttpMethod;

    #[tokio::test]
    async fn of_strangers_so_many_are_answered_at_once_and_each_endpoint_counts_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data: directory.path().to_owned(), ..Config::default() };
        let app = App::open(config, Arc::new(SystemClocks::new())).await.unwrap();
        let open =
            |path, router| Endpoint::new(HttpMethod::Get, path, Access::Open, std::future::pending::<()>).mount(router, &app);
        let quick = Endpoint::new(HttpMethod::Get, "/quick", Access::Open, async || "quick");
        let router = quick.mount(open("/slow", Router::new()), &app).with_state(app.clone());
        let service = TowerToHyperService::new(router);
        let ask = |path: &str| service.call(Request::get(path).body(Body::empty()).unwrap());
        let mut waiting: Vec<_> = (0..STRANGERS_MAX).map(|_| Box::pin(ask("/slow"))).collect();
        for one in &mut waiting {
            assert!(tokio::time::timeout(std::time::Duration::ZERO, one).await.is_err());
        }
        assert_eq!(ask("/slow").await.unwrap().status(), 503);
        assert_eq!(ask("/quick").await.unwrap().status(), 200);
        waiting.pop();
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), ask("/slow")).await.is_err());
    }
}
