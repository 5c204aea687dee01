//! The web administration of a machine.

use crate::machine::Machine;
use axum::Router;
use web::face::{Face, MenuGroup};

/// The menu of the pages.
const MENU: &[MenuGroup] = &[];

/// The pages.
pub(crate) fn routes(_machine: &Machine) -> Router {
    Router::new()
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
