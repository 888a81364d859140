//! Rows on all cores where threads exist, one after the other elsewhere (browsers, or without the
//! feature `parallel`). The results are the same bits: a row never depends on another.

/// Calls `f(index, chunk)` for every `chunk`-long piece of `out` (the last may be shorter).
#[cfg(all(feature = "parallel", not(target_family = "wasm")))]
pub(crate) fn for_each_chunk<T: Send>(out: &mut [T], chunk: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) {
    use rayon::prelude::*;
    // Waking a pool for one piece takes longer than a small piece does.
    if out.len() <= chunk {
        return out.chunks_mut(chunk.max(1)).for_each(|piece| f(0, piece));
    }
    out.par_chunks_mut(chunk.max(1)).enumerate().for_each(|(i, piece)| f(i, piece));
}

/// Calls `f(index, chunk)` for every `chunk`-long piece of `out` (the last may be shorter).
#[cfg(not(all(feature = "parallel", not(target_family = "wasm"))))]
pub(crate) fn for_each_chunk<T>(out: &mut [T], chunk: usize, f: impl Fn(usize, &mut [T])) {
    out.chunks_mut(chunk.max(1)).enumerate().for_each(|(i, piece)| f(i, piece));
}

/// `f` of every index below `count`, in order.
#[cfg(all(feature = "parallel", not(target_family = "wasm")))]
pub(crate) fn map_all<R: Send>(count: usize, f: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    use rayon::prelude::*;
    if count < 2 {
        return (0..count).map(f).collect();
    }
    (0..count).into_par_iter().map(f).collect()
}

/// `f` of every index below `count`, in order.
#[cfg(not(all(feature = "parallel", not(target_family = "wasm"))))]
pub(crate) fn map_all<R>(count: usize, f: impl Fn(usize) -> R) -> Vec<R> {
    (0..count).map(f).collect()
}

/// [`map_all`] of what takes little: a thread takes `piece` of them at a time.
pub(crate) fn map_pieces<R: Clone + Default + Send>(count: usize, piece: usize, f: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    let mut out = vec![R::default(); count];
    for_each_chunk(&mut out, piece, |number, out| {
        out.iter_mut().enumerate().for_each(|(place, out)| *out = f(number * piece + place));
    });
    out
}
