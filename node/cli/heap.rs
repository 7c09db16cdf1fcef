//! The heap of the process.
//!
//! glibc gives each thread a heap of its own, up to eight for each core, and each keeps what was freed in it. Many
//! threads take and free a proof's buffers, so that what is kept this way went beyond small budgets. All threads share one heap instead.

/// Has all threads share one heap, where the system's allocator knows several; to be called before there are threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "mallopt has no safe wrapper")]
pub fn share() {
    // SAFETY: mallopt(3) reads two numbers; it is not called beside other threads, which older releases of glibc ask for.
    // It gives 0 where it does not know the parameter; then there are heaps as before.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Has all threads share one heap, where the system's allocator knows several.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn share() {}
