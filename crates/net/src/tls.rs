//! Whom to trust: Mozilla's certificate authorities, and those that the operator adds.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::Error;

/// The TLS settings of every connection.
pub(crate) fn config(ca_file: Option<&Path>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        add(&mut roots, path)
            .map_err(|problem| Error::CaFile { path: path.display().to_string(), problem })?;
    }
    // The provider is named, so that another crate's choice of a default cannot change it.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| Error::CaFile {
        path: "the built-in TLS settings".to_owned(),
        problem: e.to_string(),
    })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| e.to_string())?;
    let mut added = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|e| format!("it is not PEM: {e}"))?;
        roots.add(certificate).map_err(|e| format!("a certificate cannot be used: {e}"))?;
        added += 1;
    }
    if added == 0 {
        return Err("it holds no certificate; expected PEM with `BEGIN CERTIFICATE`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "no certificate").expect("written");
        let problem = config(Some(&path)).expect_err("no certificate").to_string();
        assert!(problem.contains("it holds no certificate"), "{problem}");
        let missing = config(Some(&dir.path().join("missing"))).expect_err("no file").to_string();
        assert!(missing.contains("missing`: "), "{missing}");
        assert!(config(None).is_ok());
    }
}
