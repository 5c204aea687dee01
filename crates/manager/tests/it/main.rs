//! A real manager over its real HTTPS API, against impostors: small HTTPS machines that answer what a test wants
//! (an old release, a gateway, subscribers …) and remember what was asked of them, so that a test can prove a
//! refusal *and* that nothing was changed.

#[cfg(test)]
mod access;
#[cfg(test)]
mod claim;
#[cfg(test)]
mod configure;
#[cfg(test)]
mod identify;
#[cfg(test)]
mod impostor;
#[cfg(test)]
mod topology;
#[cfg(test)]
mod world;
