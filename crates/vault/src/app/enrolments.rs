//! Enrolment: a machine's domain is taken in, and the token that its agent made becomes good.
//!
//! Nobody is logged in here. What counts is signed: the enrolment by the holder of a ticket that the owner signed, the token's
//! hash by the agent that the enrolment names.

use super::App;
use api::{EnrolRequest, Enrolled, token_statement};
use contract::{Error, ErrorKind, Result};
use format::enrolment::Enrolment;
use format::limits::SIGN_AGENT_TOKEN;
use format::signature::Signature;

impl App {
    /// Takes an enrolment in. The same request again is answered the same.
    pub(crate) async fn enrol(&self, request: EnrolRequest) -> Result<Enrolled> {
        let vault = self.vault.get().await?;
        let hash: [u8; 32] = digits(&request.token_hash, "the token's hash")?;
        let proof = Signature(digits(&request.proof, "the proof")?);
        let claimed = Enrolment::parse(&request.enrolment).map_err(|error| Error::unreadable("the enrolment", error))?;
        let statement = token_statement(claimed.ticket.vault, claimed.ticket.domain, &hash);
        claimed
            .agent
            .verify("proof of the agent", SIGN_AGENT_TOKEN, &statement, &proof)
            .map_err(|error| Error::new(ErrorKind::Denied, "the token is not proven to be the agent's").with_source(error))?;
        let enrolment = vault.enrol(request.enrolment).await?;
        let (domain, agent) = (enrolment.ticket.domain, enrolment.agent);
        self.tokens.accept(&request.token_id, hash, &request.name, domain, agent).await?;
        Ok(Enrolled { domain, agent })
    }
}

fn digits<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N]> {
    let invalid = || Error::new(ErrorKind::Invalid, format!("{what} has {} hexadecimal digits", 2 * N));
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(invalid());
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_| invalid())?;
    }
    Ok(bytes)
}
