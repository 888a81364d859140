//! Work for as many threads as there are cores.

#[cfg(not(target_family = "wasm"))]
use std::sync::atomic::{AtomicUsize, Ordering};

/// What `work` makes of each item, in their order. Items are worked on side by side, by threads that end with the call: those of a pool
/// could be busy with what the caller's program gave them, or wait for the caller.
#[cfg(not(target_family = "wasm"))]
pub(super) fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let place = || next.fetch_add(1, Ordering::Relaxed);
        let item = || Some(place()).and_then(|place| Some((place, items.get(place)?)));
        std::iter::from_fn(item).map(|(place, item)| (place, work(item))).collect::<Vec<_>>()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut made = std::thread::scope(|scope| {
        // Where a thread cannot be had, the others take its items.
        let spawn = |_| std::thread::Builder::new().name("weft".to_owned()).spawn_scoped(scope, take).ok();
        let others: Vec<_> = (1..cores.min(items.len())).map_while(spawn).collect();
        let mut made = take();
        for other in others {
            made.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        made
    });
    made.sort_unstable_by_key(|&(place, _)| place);
    made.into_iter().map(|(_, result)| result).collect()
}

/// What `work` makes of each item, in their order.
#[cfg(target_family = "wasm")]
pub(super) fn map<T, R>(items: &[T], work: impl Fn(&T) -> R) -> Vec<R> {
    items.iter().map(work).collect()
}

#[cfg(test)]
mod tests {
    use super::map;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_item_is_worked_on_once_and_keeps_its_place() {
        for count in [0, 1, 2, 100] {
            let calls = AtomicUsize::new(0);
            let items: Vec<usize> = (0..count).collect();
            let made = map(&items, |item| {
                calls.fetch_add(1, Ordering::Relaxed);
                item * 2
            });
            assert_eq!(made, items.iter().map(|item| item * 2).collect::<Vec<_>>());
            assert_eq!(calls.into_inner(), count);
        }
    }
}
