//! Where a service is, and how its certificate authority is known.

use crate::error::ApiError;
use std::fmt;
use std::str::FromStr;

/// The address of a vault service: `https://host:port`, perhaps with a path before the API's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address(String);

impl Address {
    /// Whether a text means a service at all; a vault in a directory otherwise.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    }

    /// The address without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port as one word that can be a file's name.
    #[must_use]
    pub fn file_name(&self) -> String {
        let kept = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        self.0.trim_start_matches("https://").chars().map(kept).collect()
    }
}

impl FromStr for Address {
    type Err = ApiError;

    /// Only `https`, no user, no query, no fragment: nothing secret belongs into an address.
    fn from_str(text: &str) -> Result<Self, ApiError> {
        let wrong = || ApiError::Address(text.to_owned());
        let rest = text.strip_prefix("https://").ok_or_else(wrong)?;
        let url = reqwest::Url::parse(text).map_err(|_| wrong())?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        if !plain || url.host_str().is_none_or(str::is_empty) || rest.starts_with('/') {
            return Err(wrong());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a certificate authority's certificate (DER): who pins it trusts that authority alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The one with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// Of a certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = ApiError;

    /// Colons and capitals, as other tools print them, are no difference.
    fn from_str(text: &str) -> Result<Self, ApiError> {
        let digits: String = text.trim().chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
        let id: format::BlobId = digits.parse().map_err(|_| ApiError::Fingerprint)?;
        Ok(Self(id.0))
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Fingerprint};

    #[test]
    fn an_address_is_https_and_carries_nothing_secret() {
        let address: Address = "https://vault.example:8443/".parse().unwrap();
        assert_eq!((address.as_str(), address.file_name().as_str()), ("https://vault.example:8443", "vault.example_8443"));
        for wrong in
            ["http://a", "https://", "https:///x", "https://user@a", "https://a?token=x", "https://a#x", "a:8443", "/srv/vault"]
        {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
        assert!(Address::is_meant("http://a") && Address::is_meant("https://a") && !Address::is_meant("/srv/a://b"));
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown_and_as_others_show_it() {
        let shown = Fingerprint::of(b"certificate");
        assert_eq!(shown.to_string().parse::<Fingerprint>().unwrap(), shown);
        let colons: Vec<String> = shown
            .to_string()
            .to_uppercase()
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).into_owned())
            .collect();
        assert_eq!(colons.join(":").parse::<Fingerprint>().unwrap(), shown);
        assert!("abc".parse::<Fingerprint>().is_err());
    }
}
