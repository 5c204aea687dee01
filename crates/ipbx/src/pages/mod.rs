//! The web administration of a machine. A page asks [`crate::service`], as the API does, and draws the answer.
//!
//! | page | address |
//! | --- | --- |
//! | [`overview`] | `/`: state, link or nodes, data |
//! | [`phones`] | `/registrations` |
//! | [`calls`] | `/calls`: in progress and ended; `/calls/{session}`: one call with its [`ladder`] |
//! | [`bans`] | `/bans`: who is not heard, for wrong passwords or floods |
//! | [`data`] | `/data/{kind}`, `/explain`; on a node read-only, with the owner named (SYN-14, SYN-16) |
//!
//! Every page carries the [`banner`]: role, number, state, release. Live parts follow the topics `state`,
//! `nodes`, `bindings`, `calls`, `records`, `bans`, `objects`.

mod banner;
mod bans;
mod calls;
mod data;
mod ladder;
mod overview;
mod phones;

#[cfg(test)]
mod tests;

use crate::machine::Machine;
use axum::Router;
use axum::response::Response;
use std::sync::Arc;
use web::common_data::{NUMBERING_MENU, USERS_MENU};
use web::face::{Face, MenuGroup, MenuItem, Page};
use web::{ApiError, Visit};

/// The menu of the pages.
const MENU: &[MenuGroup] = &[
    MenuGroup {
        label: "Machine",
        items: &[
            MenuItem { label: "Overview", href: "/", icon: "server" },
            MenuItem { label: "Registrations", href: "/registrations", icon: "handset" },
            MenuItem { label: "Calls", href: "/calls", icon: "phone" },
            MenuItem { label: "Bans", href: "/bans", icon: "barred" },
        ],
    },
    NUMBERING_MENU,
    USERS_MENU,
];

/// What the handlers share.
#[derive(Clone)]
struct Desk {
    machine: Machine,
    face: Arc<Face>,
}

impl Desk {
    /// The page with banner and frame.
    async fn show(&self, visit: &Visit, page: Page) -> Result<Response, ApiError> {
        let banner = banner::of(&self.machine).await;
        Ok(self.face.page(visit, &page.banner(banner)))
    }
}

/// The pages.
pub(crate) fn routes(machine: &Machine) -> Router {
    let desk = Desk { machine: machine.clone(), face: Arc::new(face(machine)) };
    Router::new()
        .merge(overview::routes())
        .merge(phones::routes())
        .merge(calls::routes())
        .merge(bans::routes())
        .merge(data::routes(&desk))
        .with_state(desk)
}

/// The frame around them.
pub(crate) fn face(machine: &Machine) -> Face {
    Face {
        title: "Call server",
        place: machine.config().name.clone(),
        release: machine.config().release.to_string(),
        menu: MENU,
    }
}
