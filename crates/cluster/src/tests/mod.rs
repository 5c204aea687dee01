//! The two machines against each other over an invented wire, and the table of the states.

mod admission;
mod catching_up;
mod lamps;
mod silence;
mod table;
mod world;
