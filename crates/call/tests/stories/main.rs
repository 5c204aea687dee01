//! Calls, told as they happen: who calls, what happens, what is heard, and what the records say.

mod calls;
mod phone;
mod world;
