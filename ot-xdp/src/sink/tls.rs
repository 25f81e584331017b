//! TLS towards receivers: verified, with a certificate of the sensor where one is configured.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::config::SinkEntry;

/// What a connection is secured with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates that the receiver's is verified by; those of the host without a file.
    pub ca: Option<PathBuf>,
    /// Certificate and key of the sensor.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    /// Of a configured sink.
    pub fn new(entry: &SinkEntry) -> TlsFiles {
        TlsFiles { ca: entry.ca_file.clone(), identity: entry.cert_file.clone().zip(entry.key_file.clone()) }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// A sentence that says which file is wrong.
    pub fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = &self.ca {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|e| format!("{}: {e}", file.display()))?;
            }
        } else {
            let native = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(native.certs);
            if roots.is_empty() {
                return Err("this host has no certificates to verify by; name some with `ca_file`".to_owned());
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots);
        let config = match &self.identity {
            Some((certificate, key)) => {
                let pem = fs::read(key).map_err(|e| format!("{}: {e}", key.display()))?;
                let parsed = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| format!("{}: {e}", key.display()))?;
                builder
                    .with_client_auth_cert(certificates(certificate)?, parsed)
                    .map_err(|e| format!("{} and {}: {e}", certificate.display(), key.display()))?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|e| format!("{}: {e}", file.display()))?;
    if all.is_empty() {
        return Err(format!("{}: no certificate in it; PEM is expected", file.display()));
    }
    Ok(all)
}

/// The name that the receiver's certificate has to have.
///
/// # Errors
/// When it is no name.
pub fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).map_err(|_| format!("`{bare}` is no host name and no address"))
}

/// Did the handshake fail in a way that does not get better by itself?
pub fn is_refusal(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|e| e.is::<rustls::Error>())
}
