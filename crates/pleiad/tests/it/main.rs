//! Tests of the binary as it is installed: its help, its samples, its refusals. Calls and cuts are testkit's.

mod packaging;
mod wrong_settings;
