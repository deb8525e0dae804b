//! Tokens: 256 random bits each, known here by their hash alone.
//!
//! ```text
//! hf_<id, 16 digits>_<secret, 64 digits>
//! ```
//! The id is not secret: it finds the row. The hash of the whole text is compared in constant time.

use crate::db::{Accepted, Database, TokenRow};
use crate::error::ServiceError;
use api::{Scope, Token, TokenIssued};
use contract::{Error, ErrorKind, Result};
use format::{AgentKey, DomainId};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;

/// A one-time token is good for so long.
const ONE_TIME: Duration = Duration::from_secs(24 * 3600);

/// The tokens of the service.
pub(crate) struct Tokens {
    database: Database,
    /// Lasting tokens that were seen; a token that is removed leaves it first.
    known: RwLock<HashMap<String, Arc<TokenRow>>>,
    /// Held while tokens change: one that is ended meanwhile would be known again for ever.
    changing: Mutex<()>,
}

impl Tokens {
    pub(crate) async fn load(database: Database) -> Result<Self, ServiceError> {
        let rows = database.tokens().await?.into_iter().filter(|row| !row.one_time);
        let known = rows.map(|row| (row.id.clone(), Arc::new(row))).collect();
        Ok(Self { database, known: RwLock::new(known), changing: Mutex::default() })
    }

    /// Whether nobody could log in: no administrator, and no way to become one.
    pub(crate) async fn nobody_administrates(&self) -> Result<bool, ServiceError> {
        let now = now_ms();
        let rows = self.database.tokens().await?;
        Ok(!rows.iter().any(|row| row.scope == Scope::Administrator && row.expires_ms.is_none_or(|expires| expires > now)))
    }

    /// What a token is good for; none if it is not good.
    pub(crate) async fn scope(&self, text: &str) -> Result<Option<Scope>, ServiceError> {
        let row = self.find(text).await?;
        Ok(row.filter(|row| !row.one_time).map(|row| row.scope))
    }

    /// Whether a lasting token that was good still is.
    pub(crate) async fn is_good(&self, id: &str) -> Result<bool, ServiceError> {
        if self.known.read().expect("no panic under this lock").contains_key(id) {
            return Ok(true);
        }
        Ok(self.database.token(id).await?.is_some())
    }

    /// Whether it is a one-time token that was not exchanged yet. It stays one.
    pub(crate) async fn is_one_time(&self, text: &str) -> Result<bool, ServiceError> {
        Ok(self.find(text).await?.is_some_and(|row| row.one_time))
    }

    /// The row that a token's text proves to belong to.
    async fn find(&self, text: &str) -> Result<Option<Arc<TokenRow>>, ServiceError> {
        let Some(id) = api::token_id(text) else { return Ok(None) };
        let known = self.known.read().expect("no panic under this lock").get(id).cloned();
        let row = match known {
            Some(row) => row,
            None => match self.database.token(id).await? {
                Some(row) => Arc::new(row),
                None => return Ok(None),
            },
        };
        let fits = blake3::Hash::from(row.hash) == blake3::Hash::from(api::token_hash(text))
            && row.expires_ms.is_none_or(|expires| now_ms() < expires);
        Ok(fits.then_some(row))
    }

    /// A new token that lasts.
    pub(crate) async fn issue(&self, name: &str, scope: Scope) -> Result<TokenIssued> {
        check_name(name)?;
        let (row, secret) = new_row(name, scope, None);
        let _alone = self.changing.lock().await;
        self.database.insert_token(&row).await?;
        Ok(self.issued(row, secret))
    }

    /// The token that an enrolled agent made: only its hash comes here. The same one again is no error; an enrolment gives no
    /// second one, also after the first was ended.
    pub(crate) async fn accept(&self, id: &str, hash: [u8; 32], name: &str, domain: DomainId, agent: AgentKey) -> Result<()> {
        check_name(name)?;
        if id.len() != 16 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::new(ErrorKind::Invalid, "the id of a token has 16 hexadecimal digits"));
        }
        let (id, name, scope) = (id.to_owned(), name.to_owned(), Scope::Agent { domain, agent });
        let row = TokenRow { id, hash, name, scope, one_time: false, created_ms: now_ms(), expires_ms: None };
        let _alone = self.changing.lock().await;
        match self.database.accept_token(domain, &row).await? {
            Accepted::Now => {
                self.known.write().expect("no panic under this lock").insert(row.id.clone(), Arc::new(row));
                Ok(())
            }
            Accepted::Before => Ok(()),
            Accepted::Ended => Err(Error::new(ErrorKind::Denied, "the agent's token was ended by an administrator")),
            Accepted::Another => Err(Error::new(ErrorKind::Conflict, "the enrolment token was used already")
                .with_hint("'holdfast agent token' makes another one")),
        }
    }

    /// A new token to be exchanged, once, within a day.
    pub(crate) async fn issue_one_time(&self, scope: Scope) -> Result<String, ServiceError> {
        let expires = now_ms().saturating_add(ONE_TIME.as_millis() as i64);
        let (row, secret) = new_row("one-time", scope, Some(expires));
        self.database.insert_token(&row).await?;
        Ok(secret)
    }

    /// Exchanges a one-time token.
    pub(crate) async fn redeem(&self, text: &str, name: &str) -> Result<Option<TokenIssued>> {
        check_name(name)?;
        let Some(one_time) = self.find(text).await?.filter(|row| row.one_time) else { return Ok(None) };
        let (row, secret) = new_row(name, one_time.scope, None);
        let _alone = self.changing.lock().await;
        let exchanged = self.database.exchange_token(&one_time.id, &row).await?;
        Ok(exchanged.then(|| self.issued(row, secret)))
    }

    /// All that last, oldest first.
    pub(crate) async fn list(&self) -> Result<Vec<Token>> {
        let rows = self.database.tokens().await?;
        Ok(rows.iter().filter(|row| !row.one_time).map(shown).collect())
    }

    /// Ends a token at once. It is forgotten first: whatever happens then, the database alone says whether it is good.
    pub(crate) async fn revoke(&self, id: &str) -> Result<()> {
        let _alone = self.changing.lock().await;
        self.known.write().expect("no panic under this lock").remove(id);
        let removed = self.database.remove_token(id).await?;
        if removed { Ok(()) } else { Err(Error::new(ErrorKind::NotFound, "there is no such token")) }
    }

    fn issued(&self, row: TokenRow, secret: String) -> TokenIssued {
        let token = shown(&row);
        self.known.write().expect("no panic under this lock").insert(row.id.clone(), Arc::new(row));
        TokenIssued { secret, token }
    }
}

fn shown(row: &TokenRow) -> Token {
    Token { id: row.id.clone(), name: row.name.clone(), scope: row.scope, created_ms: row.created_ms }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > api::limits::TOKEN_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Error::new(ErrorKind::Invalid, "the name of a token has 1 to 128 bytes and no control characters"));
    }
    Ok(())
}

fn new_row(name: &str, scope: Scope, expires_ms: Option<i64>) -> (TokenRow, String) {
    let text = api::token_text(system::random(), &system::random());
    let id = api::token_id(&text).unwrap_or_default().to_owned();
    let row = TokenRow {
        id,
        hash: api::token_hash(&text),
        name: name.to_owned(),
        scope,
        one_time: expires_ms.is_some(),
        created_ms: now_ms(),
        expires_ms,
    };
    (row, text)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Scope, Tokens};
    use crate::db::Database;
    use std::future::Future;
    use std::os::unix::fs::PermissionsExt;
    use std::task::{Context, Waker};

    #[tokio::test]
    async fn a_token_is_good_until_it_is_revoked_and_its_secret_is_not_in_the_database() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("service.db");
        let tokens = Tokens::load(Database::open(&path).await.unwrap()).await.unwrap();
        let issued = tokens.issue("somebody", Scope::Administrator).await.unwrap();
        assert_eq!(tokens.scope(&issued.secret).await.unwrap(), Some(Scope::Administrator));
        let mut other = issued.secret.clone();
        let last = if other.pop() == Some('0') { '1' } else { '0' };
        other.push(last);
        assert_eq!(tokens.scope(&other).await.unwrap(), None);
        let again = Tokens::load(Database::open(&path).await.unwrap()).await.unwrap();
        assert_eq!(again.scope(&issued.secret).await.unwrap(), Some(Scope::Administrator));
        tokens.revoke(&issued.token.id).await.unwrap();
        assert_eq!(tokens.scope(&issued.secret).await.unwrap(), None);
        for file in ["service.db", "service.db-wal"] {
            let bytes = std::fs::read(directory.path().join(file)).unwrap_or_default();
            let secret = &issued.secret.as_bytes()[20..];
            assert!(!bytes.windows(secret.len()).any(|some| some == secret), "{file}");
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_token_whose_end_was_interrupted_is_good_only_as_long_as_the_database_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("service.db");
        let tokens = Tokens::load(Database::open(&path).await.unwrap()).await.unwrap();
        let issued = tokens.issue("somebody", Scope::Administrator).await.unwrap();
        // The caller goes away as soon as the database was asked, whether it has answered by then or not.
        let mut revoking = Box::pin(tokens.revoke(&issued.token.id));
        let _ = revoking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(revoking);
        Database::open(&path).await.unwrap().remove_token(&issued.token.id).await.unwrap();
        assert_eq!(tokens.scope(&issued.secret).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_one_time_token_is_exchanged_once_and_opens_nothing_itself() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = Tokens::load(Database::open(&directory.path().join("service.db")).await.unwrap()).await.unwrap();
        assert!(tokens.nobody_administrates().await.unwrap());
        let one_time = tokens.issue_one_time(Scope::Administrator).await.unwrap();
        assert!(!tokens.nobody_administrates().await.unwrap());
        assert_eq!(tokens.scope(&one_time).await.unwrap(), None);
        let lasting = tokens.redeem(&one_time, "admin").await.unwrap().unwrap();
        assert_eq!(tokens.scope(&lasting.secret).await.unwrap(), Some(Scope::Administrator));
        assert!(tokens.redeem(&one_time, "admin").await.unwrap().is_none());
        assert!(tokens.redeem(&lasting.secret, "admin").await.unwrap().is_none(), "a lasting token is not exchanged");
    }

    #[tokio::test]
    async fn a_token_that_is_ended_while_it_is_made_is_good_only_as_long_as_the_database_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = Tokens::load(Database::open(&directory.path().join("service.db")).await.unwrap()).await.unwrap();
        for round in 0..50 {
            let (secret, domain) = (api::token_text([round; 8], &[round; 32]), format::DomainId([round; 16]));
            let (id, hash) = (api::token_id(&secret).unwrap(), api::token_hash(&secret));
            let (accepted, _) = tokio::join!(
                tokens.accept(id, hash, "machine", domain, format::AgentKey([1; 32])),
                // Ended as soon as it is there.
                async { while tokens.revoke(id).await.is_err() && round % 2 == 0 {} }
            );
            accepted.unwrap();
            let is_there = tokens.database.token(id).await.unwrap().is_some();
            assert_eq!(tokens.scope(&secret).await.unwrap().is_some(), is_there, "{round}");
        }
    }
}
