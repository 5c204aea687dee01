//! The HTTPS client between our processes: JSON, one certificate pinned by its fingerprint, a bearer token,
//! kept connections, a deadline on everything and a bound on every body.
//!
//! It is not a browser: no redirects, no cookies, no certificate authorities. [`Client::pinned`] is the way to
//! talk; [`Client::learning`] only finds out which certificate a machine presents (before it is claimed) and
//! never sends a token.

mod connection;
mod events;
mod trust;

pub use events::{Event, EventStream};

use crate::error::{ApiError, ErrorBody};
use crate::fingerprint::Fingerprint;
use axum::http::{Method, StatusCode, header};
use connection::Connector;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of an answer's body, when nothing else is set.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Time for a whole request, when nothing else is set.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// Idle connections kept for the next request.
const IDLE_MAX: usize = 4;

/// Why there is no answer, or which refusal was the answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("'{0}' is not an address: host:port, or https://host:port")]
    Address(String),
    /// Nobody answers there.
    #[error("{address} cannot be reached: {source}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else's certificate is presented there.
    #[error(
        "{address} presents the certificate {seen}, but {expected} is expected: another machine, or a man in the middle"
    )]
    WrongCertificate {
        /// Where.
        address: String,
        /// What was pinned.
        expected: Fingerprint,
        /// What came.
        seen: Fingerprint,
    },
    /// No TLS there, or a broken one.
    #[error("{address} does not speak TLS as it should: {source}")]
    Tls {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// No answer in time.
    #[error("{address} gave no answer within {} s", deadline.as_secs_f32())]
    Deadline {
        /// Where.
        address: String,
        /// How long it had.
        deadline: Duration,
    },
    /// The connection broke.
    #[error("the connection to {address} broke: {source}")]
    Broken {
        /// Where.
        address: String,
        /// Why.
        source: hyper::Error,
    },
    /// The answer is not what the API promises.
    #[error("{address} answered something that cannot be read: {reason}")]
    Malformed {
        /// Where.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It answered, and refused.
    #[error("{0}")]
    Refused(ApiError),
}

impl ClientError {
    /// The refusal, if the far end answered with one.
    #[must_use]
    pub fn refusal(&self) -> Option<&ApiError> {
        match self {
            ClientError::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
    token: Option<Arc<str>>,
    deadline: Duration,
    body_bytes_max: usize,
}

#[derive(Debug)]
struct Inner {
    connector: Connector,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Client {
    /// A client that talks only to the holder of this certificate. `address` is `host:port` or
    /// `https://host:port`.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn pinned(address: &str, fingerprint: Fingerprint) -> Result<Client, ClientError> {
        Client::with(address, Some(fingerprint))
    }

    /// A client that accepts any certificate and remembers it; it never sends a token.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn learning(address: &str) -> Result<Client, ClientError> {
        Client::with(address, None)
    }

    fn with(address: &str, pin: Option<Fingerprint>) -> Result<Client, ClientError> {
        let connector = Connector::new(address, pin)?;
        let inner = Arc::new(Inner { connector, idle: Mutex::default() });
        Ok(Client { inner, token: None, deadline: DEADLINE, body_bytes_max: BODY_BYTES_MAX })
    }

    /// Sends this bearer token with every request. A learning client keeps it to itself.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Client {
        self.token = Some(Arc::from(token));
        self
    }

    /// Gives each request this much time.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Client {
        self.deadline = deadline;
        self
    }

    /// The server's address as `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.inner.connector.address()
    }

    /// The fingerprint of the certificate that the last connection saw.
    #[must_use]
    pub fn fingerprint_seen(&self) -> Option<Fingerprint> {
        self.inner.connector.fingerprint_seen()
    }

    /// GET, answered by JSON.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(&self.send(Method::GET, path, Bytes::new()).await?.1)
    }

    /// GET, answered by bytes of any kind.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get_bytes(&self, path: &str) -> Result<Bytes, ClientError> {
        Ok(self.send(Method::GET, path, Bytes::new()).await?.1)
    }

    /// POST of JSON, answered by JSON.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.json(&self.send(Method::POST, path, self.encode(body)?).await?.1)
    }

    /// PUT of JSON, answered by JSON.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.json(&self.send(Method::PUT, path, self.encode(body)?).await?.1)
    }

    /// DELETE, answered by JSON.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(&self.send(Method::DELETE, path, Bytes::new()).await?.1)
    }

    /// Any method with a JSON body made before, for a proxy: the status and the raw body of a success.
    ///
    /// # Errors
    /// See [`ClientError`]; a refusal is [`ClientError::Refused`].
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let deadline = self.deadline;
        match tokio::time::timeout(deadline, self.exchange(method, path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Deadline { address: self.address().to_owned(), deadline }),
        }
    }

    /// Follows an event stream from now on.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self, path: &str) -> Result<EventStream, ClientError> {
        let open = async {
            let mut connection = self.inner.connector.connect().await?;
            let request = self.request(&Method::GET, path, Bytes::new())?;
            let answer = connection.send_request(request).await.map_err(|source| self.broken(source))?;
            match answer.status() {
                status if status.is_success() => {
                    Ok(EventStream::new(connection, answer.into_body(), self.address()))
                }
                status => Err(self.refused(status, &self.body(answer.into_body()).await?)),
            }
        };
        match tokio::time::timeout(self.deadline, open).await {
            Ok(stream) => stream,
            Err(_) => {
                Err(ClientError::Deadline { address: self.address().to_owned(), deadline: self.deadline })
            }
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let (connection, answer) = self.answer(&method, path, body).await?;
        let status = answer.status();
        let body = self.body(answer.into_body()).await?;
        self.keep(connection);
        if status.is_success() { Ok((status, body)) } else { Err(self.refused(status, &body)) }
    }

    /// Sends on a kept connection if one is alive, else on a new one. A kept connection may have been closed by
    /// the server meanwhile: what was certainly not handled, or may be repeated, is sent once more.
    async fn answer(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<(SendRequest<Full<Bytes>>, hyper::Response<Incoming>), ClientError> {
        while let Some(mut kept) = self.take_idle() {
            if kept.ready().await.is_err() {
                continue;
            }
            match kept.try_send_request(self.request(method, path, body.clone())?).await {
                Ok(answer) => return Ok((kept, answer)),
                Err(mut fault) => {
                    let unsent = fault.take_message().is_some();
                    if !unsent && !method.is_idempotent() {
                        return Err(self.broken(fault.into_error()));
                    }
                }
            }
        }
        let mut connection = self.inner.connector.connect().await?;
        let request = self.request(method, path, body)?;
        let answer = connection.send_request(request).await.map_err(|source| self.broken(source))?;
        Ok((connection, answer))
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<hyper::Request<Full<Bytes>>, ClientError> {
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address())
            .header(header::ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let (Some(token), true) = (&self.token, self.inner.connector.is_pinned()) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request
            .body(Full::new(body))
            .map_err(|fault| self.malformed(format!("request for '{path}': {fault}")))
    }

    async fn body(&self, body: Incoming) -> Result<Bytes, ClientError> {
        match Limited::new(body, self.body_bytes_max).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(fault) if fault.is::<LengthLimitError>() => {
                Err(self.malformed(format!("more than {} bytes", self.body_bytes_max)))
            }
            Err(fault) => match fault.downcast::<hyper::Error>() {
                Ok(source) => Err(self.broken(*source)),
                Err(fault) => Err(self.malformed(fault.to_string())),
            },
        }
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    fn keep(&self, connection: SendRequest<Full<Bytes>>) {
        let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !connection.is_closed() {
            idle.push(connection);
        }
    }

    fn encode<B: Serialize>(&self, body: &B) -> Result<Bytes, ClientError> {
        serde_json::to_vec(body).map(Bytes::from).map_err(|fault| self.malformed(fault.to_string()))
    }

    fn json<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        let text: &[u8] = if body.is_empty() { b"null" } else { body };
        serde_json::from_slice(text).map_err(|fault| self.malformed(fault.to_string()))
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> ClientError {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { error }) => ClientError::Refused(ApiError {
                status,
                code: error.code.into(),
                message: error.message,
                next: error.next,
            }),
            Err(_) => ClientError::Refused(ApiError::new(
                status,
                "refused",
                format!("{} says {status}", self.address()),
            )),
        }
    }

    fn broken(&self, source: hyper::Error) -> ClientError {
        ClientError::Broken { address: self.address().to_owned(), source }
    }

    fn malformed(&self, reason: String) -> ClientError {
        ClientError::Malformed { address: self.address().to_owned(), reason }
    }
}
