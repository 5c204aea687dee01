//! Calls, told as they happen: who calls, what happens, what is heard, and what the records say.

mod calls;
mod cluster;
mod inside;
mod phone;
mod refusals;
mod registration;
mod requests;
mod world;
