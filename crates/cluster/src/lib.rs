//! The cluster link: protocol, synchronisation, digests, member supervision.
