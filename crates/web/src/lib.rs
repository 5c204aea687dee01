//! What both web front ends share: layout, forms, sessions, events, TLS, the pinned HTTPS client.
