//! Tells the processor that memory will be read soon.

#![allow(
    unsafe_code,
    reason = "measured: joining 1M questions to 10M rows took 4.4 s of processor time without this, 3.9 s with it"
)]

/// Asks for the cache line of an item, if there is such an item. Changes nothing but the time that a later read takes.
#[inline]
pub(crate) fn prefetch<T>(items: &[T], place: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(item) = items.get(place) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the pointer is to an item of a slice; a prefetch reads nothing that the program sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (items, place);
}
