//! SDP, RTP, G.711 and tones without sockets.
