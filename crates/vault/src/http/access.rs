//! Who may use an endpoint: the one place where that is decided.

use super::answer;
use super::failure::Failure;
use super::line::{Line, UntilSent};
use super::segments::Segments;
use crate::app::App;
use crate::app::budget::{self, Holder};
use crate::app::work::Loans;
use api::{Code, Problem, Scope};
use axum::extract::{FromRequestParts, Request};
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use format::DomainId;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Who may use an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Everybody, without a token.
    Open,
    /// Who has no token yet, and proves by what the request holds that he may have one: a few at once.
    Newcomer,
    /// Who has a one-time token; the handler exchanges it.
    OneTime,
    /// Who has any token.
    Anyone,
    /// Agents, in the domain that the path names, if it is theirs; and administrators.
    OwnDomain,
    /// Administrators.
    Administrator,
}

/// The one-time token that came with a request. It is good, and not used up yet.
#[derive(Clone)]
pub(crate) struct Bearer(pub(crate) String);

/// The caller has one of the few places of newcomers: what it sends has to come at once.
#[derive(Clone, Copy)]
pub(crate) struct Hasty;

/// Who asks. Handlers find it where access is not open.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// What the caller's token is good for.
    pub(crate) scope: Scope,
    /// By which the service knows the token.
    pub(crate) token: String,
}

/// What an endpoint asks of those who use it.
pub(crate) struct Rules {
    pub(crate) access: Access,
    /// Most bytes of memory that an answer usually takes while it is made, where that is much.
    pub(crate) memory: u64,
    /// Requests of strangers at once, where access is open. Each endpoint has its own: whether the process runs can be asked
    /// whatever else strangers ask.
    pub(crate) strangers: Semaphore,
}

/// Lets a request through to its handler, or answers it. Who is not known takes nobody's place: a request is counted, and
/// anything of its body read, once its caller was identified.
pub(crate) async fn enforce(app: Arc<App>, rules: &Rules, mut request: Request, next: Next) -> Response {
    match rules.access {
        Access::Open => match rules.strangers.try_acquire() {
            Ok(_place) => next.run(request).await,
            Err(_) => Failure::busy("too many ask that at once").into_response(),
        },
        Access::Newcomer => match app.newcomers.try_acquire() {
            Ok(_place) => {
                request.extensions_mut().insert(Hasty);
                next.run(request).await
            }
            Err(_) => Failure::busy("too many machines enrol at once").into_response(),
        },
        _ => answer_known(&app, rules, request, next).await.unwrap_or_else(Failure::into_response),
    }
}

async fn answer_known(app: &App, rules: &Rules, request: Request, next: Next) -> Result<Response, Failure> {
    let (request, holder) = identify(app, rules.access, request).await?;
    if matches!(rules.access, Access::Administrator | Access::OneTime) && request.method() != Method::GET {
        // What administrators change makes room, or leads to it.
        app.reserve.yield_if_full().await;
    }
    // Only now: whoever is not known would keep a connection by asking once.
    let asked = match request.extensions().get::<Line>() {
        Some(line) => {
            let token = request.extensions().get::<Caller>().map(|caller| caller.token.as_str());
            let asked = line.begin(holder, token);
            Some(asked.ok_or_else(|| Failure::busy("too many connections are open with tokens of that kind"))?)
        }
        None => None,
    };
    let place = app.at_once.lend_now(holder, 1).map(Arc::new);
    let place = place.ok_or_else(|| Failure::busy("the vault service has too many requests at once"))?;
    let reserved = match rules.memory.div_ceil(1024) {
        0 => None,
        units => {
            let lent = app.packs_out.lend(holder, units, budget::SHORT_PATIENCE).await;
            Some(lent.ok_or_else(|| Failure::busy("too many large answers are under way"))?)
        }
    };
    let mut response = Loans::of(place.clone(), next.run(request)).await;
    let lent = answer::lend(&app.packs_out, holder, &mut response, reserved).await?;
    response.extensions_mut().insert(Arc::new(UntilSent { _asked: asked, _lent: lent }));
    Ok(response)
}

async fn identify(app: &App, access: Access, request: Request) -> Result<(Request, Holder), Failure> {
    let (mut parts, body) = request.into_parts();
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map(|(_, token)| token.trim()).filter(|token| token.len() <= api::limits::TOKEN_BYTES_MAX);
    let token = token.ok_or_else(unauthenticated)?.to_owned();
    if access == Access::OneTime {
        if !app.tokens.is_one_time(&token).await.map_err(contract::Error::from)? {
            return Err(unauthenticated());
        }
        parts.extensions.insert(Bearer(token));
        return Ok((Request::from_parts(parts, body), Holder::Administrators));
    }
    let scope = app.tokens.scope(&token).await.map_err(contract::Error::from)?.ok_or_else(unauthenticated)?;
    let domain = match access {
        Access::OwnDomain => Some(Segments::from_request_parts(&mut parts, &()).await?.parse::<DomainId>("domain")?),
        _ => None,
    };
    authorize(access, &scope, domain)?;
    let token = api::token_id(&token).unwrap_or_default().to_owned();
    parts.extensions.insert(Caller { scope, token });
    Ok((Request::from_parts(parts, body), Holder::from(scope)))
}

/// Whether a token of this scope opens an endpoint, for the domain that its path names.
fn authorize(access: Access, scope: &Scope, domain: Option<DomainId>) -> Result<(), Failure> {
    let allowed = match (access, scope) {
        (Access::Open | Access::Newcomer | Access::Anyone, _) | (_, Scope::Administrator) => true,
        (Access::OwnDomain, Scope::Agent { domain: own, .. }) => domain == Some(*own),
        (Access::OneTime | Access::Administrator, Scope::Agent { .. }) => false,
    };
    if allowed {
        return Ok(());
    }
    Err(Failure::new(Problem::new(Code::Denied, "the token is not good for that").with_hint(match access {
        Access::OwnDomain => "an agent's token is good for the agent's own domain",
        _ => "that takes an administrator's token",
    })))
}

/// The answer to a request without a token that is good.
pub(crate) fn unauthenticated() -> Failure {
    Failure::new(
        Problem::new(Code::Unauthenticated, "the vault service does not know who asks: there is no token, or it is not valid")
            .with_hint("'holdfast login' stores a token for this address"),
    )
}

#[cfg(test)]
mod tests {
    use super::{Access, authorize};
    use api::Scope;
    use format::{AgentKey, DomainId};

    #[test]
    fn an_agent_has_its_own_domain_and_nothing_else() {
        let own = DomainId([1; 16]);
        let agent = Scope::Agent { domain: own, agent: AgentKey([2; 32]) };
        assert!(authorize(Access::OwnDomain, &agent, Some(own)).is_ok());
        assert!(authorize(Access::Anyone, &agent, None).is_ok());
        assert!(authorize(Access::OwnDomain, &agent, Some(DomainId([3; 16]))).is_err());
        assert!(authorize(Access::OwnDomain, &agent, None).is_err());
        assert!(authorize(Access::Administrator, &agent, Some(own)).is_err());
        assert!(authorize(Access::Administrator, &Scope::Administrator, None).is_ok());
    }
}
