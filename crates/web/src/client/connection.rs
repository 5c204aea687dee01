//! One connection of the client: TCP, TLS with the pinned certificate, HTTP/1.1.

use super::ClientError;
use super::trust::Pin;
use crate::fingerprint::Fingerprint;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The port when the address names none.
const HTTPS_PORT: u16 = 443;

/// Makes connections to one address.
pub(super) struct Connector {
    address: String,
    name: ServerName<'static>,
    pin: Arc<Pin>,
    tls: TlsConnector,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("address", &self.address)
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(address: &str, pin: Option<Fingerprint>) -> Result<Connector, ClientError> {
        let fault = || ClientError::Address(address.to_owned());
        let bare = address.strip_prefix("https://").unwrap_or(address).trim_end_matches('/');
        let (host, port) = host_and_port(bare).ok_or_else(fault)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| fault())?;
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let pin = Arc::new(Pin::new(pin));
        let tls = TlsConnector::from(Arc::new(pin.clone().config().map_err(|_| fault())?));
        Ok(Connector { address, name, pin, tls })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.pin.expected().is_some()
    }

    pub(super) fn fingerprint_seen(&self) -> Option<Fingerprint> {
        self.pin.seen()
    }

    /// A new connection, ready for a request.
    pub(super) async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let address = || self.address.clone();
        let unreachable = |source| ClientError::Unreachable { address: address(), source };
        let tcp = TcpStream::connect(&self.address).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let tls =
            self.tls.connect(self.name.clone(), tcp).await.map_err(|source| match self.pin.mismatch() {
                Some((expected, seen)) => {
                    ClientError::WrongCertificate { address: address(), expected, seen }
                }
                None => ClientError::Tls { address: address(), source },
            })?;
        let (sender, connection) = handshake(TokioIo::new(tls))
            .await
            .map_err(|source| ClientError::Broken { address: address(), source })?;
        // The task is the connection: it ends when the sender is dropped or the server closes.
        tokio::spawn(async move {
            if let Err(fault) = connection.await {
                tracing::trace!(%fault, "client connection ended");
            }
        });
        Ok(sender)
    }
}

/// Splits `host`, `host:port`, `[v6]`, `[v6]:port`.
fn host_and_port(address: &str) -> Option<(&str, u16)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, port.parse().ok()?)),
            None if port.is_empty() => Some((host, HTTPS_PORT)),
            None => None,
        };
    }
    match address.split_once(':') {
        Some((host, port)) if !host.is_empty() => Some((host, port.parse().ok()?)),
        None if !address.is_empty() => Some((address, HTTPS_PORT)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_scheme_a_port_and_be_version_6() {
        assert_eq!(host_and_port("127.0.0.1:7443"), Some(("127.0.0.1", 7443)));
        assert_eq!(host_and_port("[::1]:7443"), Some(("::1", 7443)));
        assert_eq!(host_and_port("cs.example"), Some(("cs.example", 443)));
        assert_eq!(host_and_port("cs.example:x"), None);
        assert_eq!(host_and_port(""), None);
        assert_eq!(Connector::new("https://[::1]:7443/", None).unwrap().address(), "[::1]:7443");
    }
}
