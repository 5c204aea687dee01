//! The manager's pages. A page asks the service, as the API does, and draws the answer; it never opens the
//! store and decides nothing.
//!
//! | page | address |
//! | --- | --- |
//! | [`overview`] | `/`: figures, the [map](map_svg), its twin as a table, the last operations |
//! | [`topology`] | `/topology`: region > multi-site > cluster server > nodes, with the forms that create them |
//! | [`machine`] | `/machines/{id}`: identity, live state, deployment, its operations |
//! | [`operations`] | `/operations` |
//! | [`data`] | `/clusters/{cluster}/data/{kind}`, `/clusters/{cluster}/explain` |
//! | [`doctor`] | `/doctor` |
//!
//! Live parts follow the service's topics: `map` (supervision), `operation` (the log), `topology`.

mod data;
mod doctor;
mod machine;
mod map_svg;
mod operations;
mod overview;
mod tone;
mod topology;

#[cfg(test)]
mod tests;

use crate::service::Service;
use axum::Router;
use std::sync::Arc;
use web::common_data::{NUMBERING_MENU, USERS_MENU};
use web::face::{Face, MenuGroup, MenuItem};

/// The menu.
pub const MENU: &[MenuGroup] = &[
    MenuGroup {
        label: "Network",
        items: &[
            MenuItem { label: "Overview", href: "/", icon: "map" },
            MenuItem { label: "Topology", href: "/topology", icon: "tree" },
        ],
    },
    NUMBERING_MENU,
    USERS_MENU,
    MenuGroup {
        label: "Operations",
        items: &[
            MenuItem { label: "Operations log", href: "/operations", icon: "log" },
            MenuItem { label: "Doctor", href: "/doctor", icon: "doctor" },
        ],
    },
];

/// What the handlers share.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    service: Service,
    face: Arc<Face>,
}

/// The routes of the pages.
pub fn routes(service: Service, face: Arc<Face>) -> Router {
    let desk = Desk { service, face };
    Router::new()
        .merge(overview::routes())
        .merge(topology::routes())
        .merge(machine::routes())
        .merge(operations::routes())
        .merge(doctor::routes())
        .merge(data::routes(&desk))
        .with_state(desk)
}
