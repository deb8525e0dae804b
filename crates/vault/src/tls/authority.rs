//! The service's own certificate authority: made once, its key readable by the service alone.

use super::certificate_error;
use crate::error::ServiceError;
use api::Fingerprint;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use time::{Duration, OffsetDateTime};

const KEY: &str = "authority.key";
const CERTIFICATE: &str = "authority.pem";
/// The authority lasts.
const AUTHORITY_DAYS: i64 = 365 * 30;
/// A certificate lasts far beyond the next one.
const LEAF_DAYS: i64 = 365;
/// Clocks of clients may be behind by so much.
const BEHIND_DAYS: i64 = 2;

/// A certificate authority.
pub(super) struct Authority {
    key: KeyPair,
    certificate: CertificateDer<'static>,
}

impl Authority {
    /// The one in this directory; made where there is none.
    pub(super) fn open(directory: &Path) -> Result<Self, ServiceError> {
        let (key_path, path) = (directory.join(KEY), directory.join(CERTIFICATE));
        if !path.exists() {
            // A key without a certificate was never announced.
            make(&key_path, &path)?;
        }
        let text = fs::read_to_string(&key_path).map_err(file_error("read", &key_path))?;
        let key = KeyPair::from_pem(&text).map_err(certificate_error("read the key of the certificate authority"))?;
        let certificate = CertificateDer::from_pem_file(&path).map_err(certificate_error("read the certificate authority"))?;
        Ok(Self { key, certificate })
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// A certificate for these names, with a new key, from now on, and the authority's own behind it.
    pub(super) fn certify(&self, names: &[String], now: OffsetDateTime) -> Result<CertifiedKey, ServiceError> {
        let failed = || certificate_error::<rcgen::Error>("make a certificate for the service");
        let key = KeyPair::generate().map_err(failed())?;
        let mut leaf = CertificateParams::new(names.to_vec()).map_err(failed())?;
        leaf.distinguished_name.push(DnType::CommonName, "Holdfast vault service");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        (leaf.not_before, leaf.not_after) = validity(now, LEAF_DAYS);
        let params = params();
        let issuer = Issuer::from_params(&params, &self.key);
        let certificate = leaf.signed_by(&key, &issuer).map_err(failed())?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = any_supported_type(&key).map_err(certificate_error("use the key of the service's certificate"))?;
        Ok(CertifiedKey::new(chain, key))
    }
}

/// What an authority's certificate says; the same in every process, so that its name fits what it issued.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Holdfast vault service authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn validity(now: OffsetDateTime, days: i64) -> (OffsetDateTime, OffsetDateTime) {
    (now - Duration::days(BEHIND_DAYS), now + Duration::days(days))
}

fn make(key_path: &Path, path: &Path) -> Result<(), ServiceError> {
    let failed = || certificate_error::<rcgen::Error>("make a certificate authority");
    let key = KeyPair::generate().map_err(failed())?;
    let mut params = params();
    (params.not_before, params.not_after) = validity(OffsetDateTime::now_utc(), AUTHORITY_DAYS);
    let certificate = params.self_signed(&key).map_err(failed())?;
    write(key_path, key.serialize_pem().as_bytes(), 0o600).map_err(file_error("write", key_path))?;
    write(path, certificate.pem().as_bytes(), 0o644).map_err(file_error("write", path))
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn file_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> ServiceError {
    let path = path.display().to_string();
    move |source| ServiceError::File { doing, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::Authority;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_authority_stays_the_same_and_its_key_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let first = Authority::open(directory.path()).unwrap().fingerprint();
        assert_eq!(Authority::open(directory.path()).unwrap().fingerprint(), first);
        let mode = std::fs::metadata(directory.path().join("authority.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Authority::open(other.path()).unwrap().fingerprint(), first);
    }
}
