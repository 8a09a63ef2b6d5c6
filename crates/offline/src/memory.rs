//! How much memory the process holds, as the system sees it.

/// Returns the bytes of memory that the process has resident; `None` where the system does not tell.
pub(crate) fn resident_bytes() -> Option<u64> {
    /// Linux counts in pages, of this size on the machines that it is built for here.
    const PAGE_BYTES: u64 = 4096;
    let counts = std::fs::read_to_string("/proc/self/statm").ok()?;
    counts.split_whitespace().nth(1)?.parse::<u64>().ok().map(|pages| pages * PAGE_BYTES)
}

/// What each thread may take to decode rows, and to write answers, beside what the join itself holds.
const BYTES_A_THREAD: u64 = 64 << 20;

/// The least that a join works with, however small the limit.
const LEAST: u64 = 16 << 20;

/// Returns how many bytes a join may hold, of a limit for the whole process.
pub(crate) fn budget(limit: Option<u64>, threads: usize) -> Option<usize> {
    let used = resident_bytes().unwrap_or(0) + threads as u64 * BYTES_A_THREAD;
    limit.map(|limit| usize::try_from(limit.saturating_sub(used).max(LEAST)).unwrap_or(usize::MAX))
}
