//! SIP without sockets: parse, print, transactions, dialogs, digest.
