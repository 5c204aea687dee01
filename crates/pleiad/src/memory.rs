//! Gives large memory back to the system.
//!
//! Hashing one password takes 19 MiB for a moment. glibc raises the size from which it maps memory apart at the first
//! such block that is freed, so the second block comes from its heap and stays there: every daemon would hold
//! 19 MiB for good (measured: 25 MiB of own memory at rest without this, 5 MiB with it).

/// Blocks from this size on are mapped apart, and returned when they are freed.
#[cfg(target_env = "gnu")]
const MAPPED_APART_BYTES: i32 = 1024 * 1024;

/// Fixes that size. Call it first: it is about memory that is allocated later.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "glibc has no other door to this setting but an environment variable")]
pub(crate) fn return_large_blocks() {
    // SAFETY: mallopt only stores the number; no other thread runs yet, and no memory of ours is touched.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_APART_BYTES);
    }
}

/// Other C libraries return large blocks by themselves.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn return_large_blocks() {}
