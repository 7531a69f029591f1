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

/// Takes the pages that lie wholly in `bytes`, a part of the program's own read-only data, out of memory. Who reads them again gets
/// them from the file.
#[cfg(target_os = "linux")]
pub(super) fn release_pages(bytes: &'static [u8]) {
    // SAFETY: sysconf only reads a constant of the system.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0);
    if !page.is_power_of_two() {
        return;
    }
    let start = bytes.as_ptr().align_offset(page);
    let length = bytes.len().saturating_sub(start) / page * page;
    if length == 0 {
        return;
    }
    let pages = bytes[start..start + length].as_ptr().cast_mut();
    // SAFETY: `bytes` are constants without addresses in them, so the loader never wrote to pages wholly inside: they are those of
    // the file, and what is read there before and after is the same. A refusal leaves everything as it is.
    unsafe { libc::madvise(pages.cast(), length, libc::MADV_DONTNEED) };
}

#[cfg(not(target_os = "linux"))]
pub(super) fn release_pages(_bytes: &'static [u8]) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn released_pages_read_the_same() {
        static BYTES: &[u8] = include_bytes!("../../models/detector.tflite");
        let before = BYTES.to_vec();
        super::release_pages(BYTES);
        assert!(before == BYTES);
        super::release_pages(&BYTES[1..2]);
    }
}
