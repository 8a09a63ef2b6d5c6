//! The memory allocator of what is shipped: the wheel and the command line. Programs that use the libraries bring
//! their own.
//!
//! It is not: an account of who holds memory; engines estimate that themselves.

#![allow(unsafe_code, reason = "the allocator's options are set through its C interface")]

use libmimalloc_sys::{mi_option_set, mi_option_t};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// After how many milliseconds freed memory is given back; its number in `mimalloc.h`, which the bindings leave out.
const PURGE_DELAY: mi_option_t = 15;

/// Gives memory that was freed back to the system at once, and not only a second later: for processes whose memory
/// is limited. It costs the time that asking the system for the memory again takes.
pub fn give_back_at_once() {
    // SAFETY: the option is one that may be changed at any time, by any thread.
    unsafe { mi_option_set(PURGE_DELAY, 0) };
}
