//! The call server daemon in all its roles, and its web administration.
