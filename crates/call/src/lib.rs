//! Registrar, location, legs, B2BUA and call records as pure machines.
