//! Keeping the memory of a process that runs for years where it is.

/// Sets the C library's allocator for pictures: large buffers come from the system and go back to
/// it at once, and threads share two arenas.
///
/// By default glibc raises the size from which it does so with every freed picture, and gives each
/// thread an arena of its own; then every mixture of sizes leaves holes that only ever grow.
/// To be called before threads are started. Does nothing with another C library.
pub fn bound_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [
        (libc::M_MMAP_THRESHOLD, 256 << 10),
        (libc::M_TRIM_THRESHOLD, 512 << 10),
        (libc::M_ARENA_MAX, 2),
    ] {
        // SAFETY: mallopt takes two integers and only changes the allocator's own settings; a
        // parameter it does not know is refused and leaves the default.
        unsafe {
            libc::mallopt(parameter, value);
        }
    }
}
