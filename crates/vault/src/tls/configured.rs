//! A configured certificate: read from its files, and again when they change.

use super::certificate_error;
use crate::error::ServiceError;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

/// A chain and its key, from two files.
pub(super) struct ConfiguredCertificate {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Read>,
}

struct Read {
    certified: Arc<CertifiedKey>,
    /// Of the files as they were.
    marks: [Mark; 2],
}

/// What changes when a file does: device and number, length, time of the last change.
type Mark = Option<(u64, u64, u64, i64, i64)>;

impl ConfiguredCertificate {
    pub(super) fn open(certificate: &Path, key: &Path, provider: Arc<CryptoProvider>) -> Result<Self, ServiceError> {
        let current = RwLock::new(read(certificate, key, &provider)?);
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), provider, current })
    }

    /// New connections get what the files hold now. On an error what was read before goes on, and the next look tries again.
    pub(super) fn look(&self) -> Result<(), ServiceError> {
        let known = self.current.read().expect("no panic under this lock").marks;
        if marks(&self.certificate, &self.key) != known {
            let next = read(&self.certificate, &self.key, &self.provider)?;
            *self.current.write().expect("no panic under this lock") = next;
        }
        Ok(())
    }

    fn certified(&self) -> Arc<CertifiedKey> {
        self.current.read().expect("no panic under this lock").certified.clone()
    }
}

impl ResolvesServerCert for ConfiguredCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
}

impl fmt::Debug for ConfiguredCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredCertificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

fn read(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<Read, ServiceError> {
    // Before the files are read: a change meanwhile is seen at the next look.
    let marks = marks(certificate, key);
    let failed = certificate_error("read the configured certificate");
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).map_err(&failed)?.collect();
    let chain = chain.map_err(&failed)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(certificate_error("read the key of the configured certificate"))?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(certificate_error("use the configured certificate"))?;
    Ok(Read { certified: Arc::new(certified), marks })
}

fn marks(certificate: &Path, key: &Path) -> [Mark; 2] {
    [certificate, key].map(|path| {
        let file = fs::metadata(path).ok()?;
        Some((file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
    })
}

#[cfg(test)]
mod tests {
    use super::ConfiguredCertificate;
    use std::fs;
    use std::sync::Arc;

    #[test]
    fn files_that_change_are_read_again_and_ones_that_do_not_fit_change_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (directory.path().join("certificate.pem"), directory.path().join("key.pem"));
        let pair = || {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let write = |(chain, secret): (String, String)| {
            fs::write(&certificate, chain).unwrap();
            fs::write(&key, secret).unwrap();
        };
        write(pair());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let configured = ConfiguredCertificate::open(&certificate, &key, provider).unwrap();
        let first = configured.certified();
        configured.look().unwrap();
        assert!(Arc::ptr_eq(&first, &configured.certified()));
        let next = pair();
        fs::write(&certificate, &next.0).unwrap();
        assert!(configured.look().is_err(), "the key is still the old one");
        assert!(Arc::ptr_eq(&first, &configured.certified()));
        write(next);
        configured.look().unwrap();
        assert!(!Arc::ptr_eq(&first, &configured.certified()));
        fs::remove_file(&key).unwrap();
        assert!(configured.look().is_err());
    }
}
