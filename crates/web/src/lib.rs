//! What both web front ends share: HTTPS service and client, accounts and sessions, live events, and the
//! look of the pages.
//!
//! It is not an application: the only nouns it knows are those of [`common_data`], which both show. The manager and the call server give it their
//! routes, their [`face::Face`] (name and menu) and their [`auth::Auth`] (where accounts rest), and [`app::app`]
//! puts everything around them that must be the same on both: TLS, limits, login pages, CSRF, security
//! headers, error pages, assets, the event stream.
//!
//! | to … | use |
//! | --- | --- |
//! | serve | [`serve::serve`], [`cert::Certificate`], [`app::App`] |
//! | call another machine | [`client::Client`] (certificate pinned by [`fingerprint::Fingerprint`]) |
//! | know who asks | [`guard::Viewer`], [`guard::Administrator`] in an API handler, [`visit::Visit`] in a page |
//! | refuse | [`error::ApiError`]: JSON for the API, a page for people |
//! | draw | [`face::Face::page`], [`table::Table`], [`form::Field`], [`view::Cell`] |
//! | tell the pages that something changed | [`events::Hub::publish`] |

pub mod account;
pub mod app;
pub mod assets;
pub mod auth;
pub mod cert;
pub mod client;
pub mod common_data;
pub mod error;
pub mod events;
pub mod face;
pub mod fingerprint;
pub mod flash;
pub mod form;
pub mod guard;
pub mod json;
pub mod login;
pub mod openapi;
pub mod secret;
pub mod serve;
pub mod session;
pub mod table;
pub mod throttle;
pub mod view;
pub mod visit;

pub use account::{Account, AccountStore, Role};
pub use auth::{Auth, Principal};
pub use cert::Certificate;
pub use client::{Client, ClientError};
pub use error::ApiError;
pub use events::Hub;
pub use fingerprint::Fingerprint;
pub use guard::{Administrator, Viewer};
pub use json::Json;
pub use visit::Visit;
