//! The world in a box: simulator, soft phones, live processes.

pub mod live;
pub mod phone;
pub mod sim;
