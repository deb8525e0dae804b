//! Tokens, asked of a service.

use super::ServiceVault;
use super::connection::Call;
use crate::enrolments::{EnrolRequest, Enrolled};
use crate::tokens::{Redeem, Scope, TokenIssued, TokenList, TokenRequest};
use bytes::Bytes;
use contract::Result;
use format::limits::KEM_PUBLIC_BYTES;
use reqwest::Method;

impl ServiceVault {
    /// Exchanges the one-time token that this client was made with for one that lasts. It works once.
    pub async fn redeem(&self, name: &str) -> Result<TokenIssued> {
        let call = Call::post("/v1/login").json(&Redeem { name: name.to_owned() })?;
        self.connection.send_json(call).await
    }

    /// Makes a token. Administrators only.
    pub async fn issue_token(&self, name: &str, scope: Scope) -> Result<TokenIssued> {
        let call = Call::post("/v1/tokens").json(&TokenRequest { name: name.to_owned(), scope })?;
        self.connection.send_json(call).await
    }

    /// All tokens, without their secrets. Administrators only.
    pub async fn tokens(&self) -> Result<TokenList> {
        self.connection.send_json(Call::get("/v1/tokens")).await
    }

    /// Ends a token, at once. Administrators only.
    pub async fn revoke_token(&self, id: &str) -> Result<()> {
        self.connection.send(Call::new(Method::DELETE, format!("/v1/tokens/{id}"))).await.map(drop)
    }

    /// The owner's X-Wing public key. Whoever uses it must know its hash.
    pub async fn owner_key(&self) -> Result<Bytes> {
        self.connection.send(Call::get("/v1/vault/owner-key").answer_max(KEM_PUBLIC_BYTES)).await
    }

    /// Enrols an agent. The same request again is answered the same.
    pub async fn enrol(&self, request: &EnrolRequest) -> Result<Enrolled> {
        self.connection.send_json(Call::post("/v1/enrolments").again().json(request)?).await
    }

    /// What the client's own token is good for.
    pub async fn own_scope(&self) -> Result<Scope> {
        self.connection.send_json(Call::get("/v1/scope")).await
    }
}
