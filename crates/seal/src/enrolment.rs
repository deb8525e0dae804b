//! Enrolment: the token that the owner gives to a machine, and the keys that the machine makes with it.
//!
//! ```text
//! token     = "hfe1_" ‖ base 64 (RFC 4648, section 5, no padding) of the bytes
//! bytes     = owner (32) ‖ one-time key's seed (32) ‖ ticket (byte string) ‖ checksum (32)
//! agent key = magic (8) ‖ agent's seed (32) ‖ domain (16) ‖ id key (32) ‖ X-Wing secret (32) ‖ checksum (32)
//! ```

use crate::agent::AgentSigner;
use crate::domain::DomainSecret;
use crate::error::{Result, SealError};
use crate::secret::{equal, opaque};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use format::codec::verified;
use format::enrolment::{Enrolment, Ticket};
use format::signature::Signature;
use format::{AgentKey, DomainId, OwnerKey, Reader, Writer, limits};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// What enrolment tokens begin with.
const PREFIX: &str = "hfe1_";
/// Most characters of a token.
const CHARACTERS_MAX: usize = 2 * limits::ENROLMENT_BYTES_MAX;

/// What a machine needs to enrol: it works once, expires, and opens nothing that is in the vault.
pub struct EnrolmentToken {
    /// The owner, whom the machine pins.
    pub owner: OwnerKey,
    /// The key that the owner's ticket names.
    pub one_time: AgentSigner,
    /// The owner's word, which covers where the machine enrols and to whom it wraps its secret.
    pub ticket: Ticket,
}

opaque!(EnrolmentToken);

impl EnrolmentToken {
    /// The token as text.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let mut writer = Writer::new();
        writer.raw(self.owner.as_bytes()).raw(self.one_time.to_bytes().as_slice()).bytes(&self.ticket.encode());
        let bytes = Zeroizing::new(writer.finish_with_checksum());
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        SecretString::from(format!("{PREFIX}{}", text.as_str()))
    }

    /// Reads a token. What its ticket says must still be verified with the owner's key: that is the service's business, too.
    pub fn from_text(text: &str) -> Result<Self> {
        let invalid = || SealError::Invalid("this is no enrolment token, or a character of it is wrong");
        let text = text.trim();
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() <= CHARACTERS_MAX).ok_or_else(invalid)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(digits).map_err(|_| invalid())?);
        let body = verified("enrolment token", &bytes, limits::ENROLMENT_BYTES_MAX).map_err(|_| invalid())?;
        let mut reader = Reader::new("enrolment token", body);
        let owner = OwnerKey(reader.array()?);
        let seed = Zeroizing::new(reader.array()?);
        let ticket = Ticket::parse(reader.bytes("ticket", limits::ENROLMENT_BYTES_MAX)?)?;
        reader.end()?;
        let token = Self { owner, one_time: AgentSigner::from_bytes(*seed), ticket };
        if token.one_time.key() != token.ticket.one_time {
            return Err(invalid());
        }
        owner.verify("ticket", limits::SIGN_TICKET, &token.ticket.signed_bytes(), &token.ticket.signature)?;
        Ok(token)
    }

    /// What stands in a ticket for the owner's X-Wing key.
    #[must_use]
    pub fn hash_of(owner_public: &[u8]) -> [u8; 32] {
        *blake3::hash(owner_public).as_bytes()
    }

    /// The enrolment of these keys: their secret is wrapped to the owner, whose X-Wing key must be the one that the token means.
    pub fn enrol(&self, owner_public: &[u8], keys: &AgentKeys, created_ms: i64) -> Result<Enrolment> {
        if !equal(&Self::hash_of(owner_public), &self.ticket.owner_public) {
            return Err(SealError::WrongKey("this is not the owner's key that the token means"));
        }
        let (ticket, agent) = (self.ticket.clone(), keys.signer.key());
        let wrapped_secret = keys.secret.wrap_to_owner(owner_public, ticket.domain)?;
        let (public, signature) = (keys.secret.public(), Signature([0; 64]));
        let mut enrolment = Enrolment { ticket, created_ms, public, wrapped_secret, agent, signature };
        enrolment.signature = self.one_time.sign_as(limits::SIGN_ENROLMENT, &enrolment.signed_bytes());
        Ok(enrolment)
    }
}

/// The keys of an enrolled machine: they open and write its own domain, and nothing else of the vault.
pub struct AgentKeys {
    /// Signs its points.
    pub signer: AgentSigner,
    /// Its domain.
    pub domain: DomainId,
    /// The domain's secret.
    pub secret: DomainSecret,
}

opaque!(AgentKeys);

impl AgentKeys {
    /// New keys for a domain.
    #[must_use]
    pub fn generate(domain: DomainId) -> Self {
        Self { signer: AgentSigner::generate(), domain, secret: DomainSecret::generate() }
    }

    /// The agent's public key.
    #[must_use]
    pub fn agent(&self) -> AgentKey {
        self.signer.key()
    }

    /// The bytes of the agent key file. They are secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::new();
        writer.raw(&limits::MAGIC_AGENT).raw(self.signer.to_bytes().as_slice()).raw(self.domain.as_bytes());
        writer.raw(self.secret.to_bytes().as_slice());
        Zeroizing::new(writer.finish_with_checksum())
    }

    /// Reads an agent key file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("agent key", verified("agent key", bytes, limits::KEY_OBJECT_BYTES_MAX)?);
        reader.magic(limits::MAGIC_AGENT)?;
        let seed = Zeroizing::new(reader.array()?);
        let domain = DomainId(reader.array()?);
        let secret = Zeroizing::new(reader.array()?);
        reader.end()?;
        Ok(Self { signer: AgentSigner::from_bytes(*seed), domain, secret: DomainSecret::from_bytes(&secret) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::OwnerSeed;
    use format::VaultId;
    use secrecy::ExposeSecret;

    fn token(seed: &OwnerSeed) -> EnrolmentToken {
        let one_time = AgentSigner::generate();
        let ticket = Ticket {
            vault: VaultId([1; 16]),
            one_time: one_time.key(),
            domain: DomainId([2; 16]),
            name: "machine".to_owned(),
            items: Vec::new(),
            expires_ms: 5,
            service: "https://vault.example:8443".to_owned(),
            authority: Some([3; 32]),
            owner_public: EnrolmentToken::hash_of(&seed.public()),
            signature: Signature([0; 64]),
        };
        EnrolmentToken { owner: seed.owner_key(), one_time, ticket: seed.sign_ticket(ticket) }
    }

    #[test]
    fn a_token_comes_back_and_any_changed_character_is_noticed() {
        let seed = OwnerSeed::generate();
        let text = token(&seed).to_text();
        let text = text.expose_secret();
        let read = EnrolmentToken::from_text(&format!(" {text}\n")).unwrap();
        assert_eq!((read.ticket.service.as_str(), read.ticket.authority), ("https://vault.example:8443", Some([3; 32])));
        assert_eq!(read.ticket.name, "machine");
        for place in [5, 40, text.len() / 2, text.len() - 1] {
            let mut changed = text.to_owned().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert!(EnrolmentToken::from_text(std::str::from_utf8(&changed).unwrap()).is_err(), "{place}");
        }
    }

    #[test]
    fn who_carries_a_token_cannot_change_where_it_leads_and_to_whom_its_secret_is_wrapped() {
        let seed = OwnerSeed::generate();
        let changes: [fn(&mut Ticket); 4] = [
            |ticket| ticket.service = "https://elsewhere.example".to_owned(),
            |ticket| ticket.authority = Some([9; 32]),
            |ticket| ticket.authority = None,
            |ticket| ticket.owner_public = EnrolmentToken::hash_of(&OwnerSeed::generate().public()),
        ];
        for change in changes {
            let mut carried = token(&seed);
            change(&mut carried.ticket);
            assert!(EnrolmentToken::from_text(carried.to_text().expose_secret()).is_err());
        }
        assert!(EnrolmentToken::from_text(token(&seed).to_text().expose_secret()).is_ok());
    }

    #[test]
    fn a_secret_that_is_wrapped_to_somebody_else_is_not_adopted() {
        let (seed, thief) = (OwnerSeed::generate(), OwnerSeed::generate());
        let token = token(&seed);
        let keys = AgentKeys::generate(token.ticket.domain);
        let mut enrolment = token.enrol(&seed.public(), &keys, 7).unwrap();
        enrolment.wrapped_secret = keys.secret.wrap_to_owner(&thief.public(), token.ticket.domain).unwrap();
        enrolment.signature = token.one_time.sign_as(limits::SIGN_ENROLMENT, &enrolment.signed_bytes());
        let mut descriptor = crate::owner::tests::descriptor(&seed);
        descriptor.admit(&[enrolment]);
        assert_eq!(seed.adopt(&mut descriptor.clone()), Err(SealError::EnrolledSecret(keys.domain)));
        assert_eq!(seed.unopened(&descriptor), [keys.domain]);
        // One that may add nothing any more does no harm.
        descriptor.certificates[0].retired = true;
        assert!(seed.unopened(&descriptor).is_empty());
        seed.adopt(&mut descriptor).unwrap();
    }

    #[test]
    fn the_owner_opens_what_an_enrolled_machine_made() {
        let seed = OwnerSeed::generate();
        let token = token(&seed);
        let keys = AgentKeys::generate(token.ticket.domain);
        assert!(token.enrol(&OwnerSeed::generate().public(), &keys, 7).is_err());
        let enrolment = token.enrol(&seed.public(), &keys, 7).unwrap();
        let opened = seed.domain_secret(&enrolment.domain_entry()).unwrap();
        assert_eq!(opened.to_bytes(), keys.secret.to_bytes());
        let again = AgentKeys::from_bytes(&keys.to_bytes()).unwrap();
        assert_eq!((again.agent(), again.secret.to_bytes()), (keys.agent(), keys.secret.to_bytes()));
    }
}
