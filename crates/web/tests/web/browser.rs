//! What a browser does: pages, cookies, forms.

use crate::world::World;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::net::TcpStream;
use web::Role;
use web::serve::Limits;

/// A browser that trusts everything and keeps cookies.
struct Browser {
    address: String,
    cookies: BTreeMap<String, String>,
}

struct Page {
    status: StatusCode,
    location: Option<String>,
    html: String,
    headers: hyper::HeaderMap,
}

impl Browser {
    fn at(world: &World) -> Browser {
        Browser { address: world.address.clone(), cookies: BTreeMap::new() }
    }

    async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, "", &[]).await
    }

    async fn post(&mut self, path: &str, form: &str) -> Page {
        let origin = format!("https://{}", self.address);
        self.send(Method::POST, path, form, &[("origin", &origin)]).await
    }

    async fn send(&mut self, method: Method, path: &str, form: &str, headers: &[(&str, &str)]) -> Page {
        let tls = TcpStream::connect(&self.address).await.unwrap();
        let tls = anything().connect("127.0.0.1".try_into().unwrap(), tls).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        let cookies: Vec<String> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address)
            .header("accept", "text/html")
            .header("cookie", cookies.join("; "))
            .header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = sender
            .send_request(request.body(Full::new(Bytes::from(form.to_owned()))).unwrap())
            .await
            .unwrap();
        let headers = answer.headers().clone();
        for cookie in headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("Secure; HttpOnly; SameSite=Strict"), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let status = answer.status();
        let location = headers.get("location").map(|l| l.to_str().unwrap().to_owned());
        let html =
            String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Page { status, location, html, headers }
    }
}

/// TLS that accepts any certificate: what is tested here is above it.
fn anything() -> tokio_rustls::TlsConnector {
    #[derive(Debug)]
    struct Anything;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    impl ServerCertVerifier for Anything {
        fn verify_server_cert(
            &self,
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &[rustls::pki_types::CertificateDer<'_>],
            _: &rustls::pki_types::ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            rustls::crypto::aws_lc_rs::default_provider()
                .signature_verification_algorithms
                .supported_schemes()
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    Arc::new(config).into()
}

/// The token in a page's form.
fn csrf(html: &str) -> String {
    let at = html.find("name=\"_csrf\" value=\"").expect("a form with a token") + 20;
    html[at..].split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_login_leads_to_a_new_password_and_nowhere_else() {
    let world = World::start(Limits::default()).await;
    let first = world.auth.create("admin", Role::Administrator).await.unwrap();
    let mut browser = Browser::at(&world);
    assert_eq!(browser.get("/?a=1").await.location.as_deref(), Some("/login?next=%2F%3Fa%3D1"));
    let login = browser.post("/login", &format!("user=admin&password={first}")).await;
    assert_eq!(login.location.as_deref(), Some("/password"));
    assert_eq!(browser.get("/").await.location.as_deref(), Some("/password"));
    assert_eq!(browser.get("/api/v1/things").await.status, StatusCode::FORBIDDEN);
    let token = csrf(&browser.get("/password").await.html);
    let form = |new: &str, again: &str| format!("_csrf={token}&old={first}&new={new}&again={again}");
    assert!(
        browser.post("/password", &form("long+enough+1", "other")).await.html.contains("passwords differ")
    );
    assert_eq!(browser.post("/password", &form("short", "short")).await.status, StatusCode::BAD_REQUEST);
    let changed = browser.post("/password", &form("long+enough+1", "long+enough+1")).await;
    assert_eq!(changed.location.as_deref(), Some("/login"));
    assert_eq!(browser.get("/").await.location.as_deref(), Some("/login"), "the old session is over");
    assert!(browser.get("/login").await.html.contains("The password is changed"), "the login page says why");
    browser.post("/login", "user=admin&password=long+enough+1").await;
    assert!(browser.get("/").await.html.contains("All is well"));
}

#[tokio::test]
async fn a_form_needs_the_token_of_its_session_and_our_own_origin() {
    let world = World::start(Limits::default()).await;
    world.auth.set_password("admin", Role::Administrator, "long enough", false).await.unwrap();
    let mut browser = Browser::at(&world);
    browser.post("/login", "user=admin&password=long+enough").await;
    let token = csrf(&browser.get("/").await.html);
    assert_eq!(browser.post("/things", "a=1").await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.post("/things", "_csrf=wrong").await.status, StatusCode::FORBIDDEN);
    let foreign = [("origin", "https://evil.example")];
    let form = format!("_csrf={token}");
    assert_eq!(browser.send(Method::POST, "/things", &form, &foreign).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.post("/things", &form).await.location.as_deref(), Some("/"));
    let page = browser.get("/").await;
    assert!(page.html.contains("It is") && !page.html.contains("<done>"), "the sentence is shown, escaped");
    assert!(!browser.get("/").await.html.contains("It is"), "and shown once");
    let csp = page.headers["content-security-policy"].to_str().unwrap();
    assert!(csp.starts_with("default-src 'self'"));
    assert!(!page.html.contains("style=") && !page.html.contains("<script>"), "nothing inline");
}

#[tokio::test]
async fn a_login_never_leads_to_another_site_and_a_refusal_is_a_page() {
    let world = World::start(Limits::default()).await;
    let mut browser = Browser::at(&world);
    let wrong = browser.post("/login", "user=viewer&password=wrong").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.html.contains("user or password is wrong"));
    let login = browser.post("/login?next=%2F%2Fevil.example", "user=viewer&password=just+looking").await;
    assert_eq!(login.location.as_deref(), Some("/"));
    let token = csrf(&browser.get("/").await.html);
    let refused = browser.post("/things", &format!("_csrf={token}")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.html.contains("this account may look, not change"));
    assert!(browser.get("/nowhere").await.html.contains("there is no such page"));
    browser.post("/logout", &format!("_csrf={token}")).await;
    assert_eq!(browser.get("/").await.location.as_deref(), Some("/login"));
}
