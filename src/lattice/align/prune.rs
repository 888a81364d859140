//! Which positions of each frame nearly all paths go through.

/// First positions of runs of `width` positions, one a frame, that hold as much as can be of `visits` [T, U + 1]: the probability of paths
/// through each cell. The first frame's run begins with the first position, the last one's ends with the last, no run begins before the
/// one before, or more than `step` behind it. The width is one that lets these meet.
pub(super) fn runs(visits: &[f64], columns: usize, width: usize, step: usize) -> Vec<u32> {
    let frames = visits.len() / columns;
    let last = columns - width;
    let mut begins: Vec<usize> = visits.chunks_exact(columns).map(|frame| best(frame, width)).collect();
    if let Some(end) = begins.last_mut() {
        *end = last;
    }
    // From the end: what comes later lets earlier runs begin no later; then, not too long before.
    for t in (1..frames).rev() {
        begins[t - 1] = begins[t - 1].min(begins[t]);
    }
    for t in (1..frames).rev() {
        begins[t - 1] = begins[t - 1].max(begins[t].saturating_sub(step));
    }
    begins.iter().enumerate().map(|(t, &begin)| begin.min(t * step) as u32).collect()
}

/// The first of the best runs.
fn best(frame: &[f64], width: usize) -> usize {
    let sums = frame.windows(width).map(|run| run.iter().sum::<f64>());
    let first_best = |best: (usize, f64), (begin, sum): (usize, f64)| if sum > best.1 { (begin, sum) } else { best };
    sums.enumerate().fold((0, f64::NEG_INFINITY), first_best).0
}

/// The least width, from `wanted` on, with which runs get from the first position to the last in T frames: they climb `width - 1`
/// positions a frame, or one where labels take a frame.
pub(super) fn least_width(wanted: usize, frames: usize, columns: usize, labels_take_frames: bool) -> usize {
    let reaches = |width: usize| {
        let step = if labels_take_frames { 1 } else { width - 1 };
        frames.saturating_sub(1).saturating_mul(step) + width >= columns
    };
    (wanted.max(1)..columns).find(|&width| reaches(width)).unwrap_or(columns)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// As k2 documents it (`get_rnnt_prune_ranges`): both rules as lower bounds of arrays that are read from their ends.
    fn as_documented(visits: &[f64], columns: usize, width: usize, step: i64) -> Vec<u32> {
        let frames = visits.len() / columns;
        let lower_bound = |list: &mut Vec<i64>| (1..list.len()).rev().for_each(|i| list[i - 1] = list[i - 1].min(list[i]));
        let turn = |list: &mut Vec<i64>| list.iter_mut().zip(0..).for_each(|(s, t)| *s = step * t - *s);
        let mut begins: Vec<i64> = visits.chunks_exact(columns).map(|frame| best(frame, width) as i64).collect();
        begins[frames - 1] = (columns - width) as i64;
        lower_bound(&mut begins);
        turn(&mut begins);
        lower_bound(&mut begins);
        begins.iter_mut().for_each(|s| *s = (*s).max(0));
        turn(&mut begins);
        begins.into_iter().map(|s| u32::try_from(s).unwrap()).collect()
    }

    #[test]
    fn runs_are_those_of_k2() {
        let mut state = 1u64;
        let mut number = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64
        };
        for (frames, columns, wanted) in [(1, 1, 3), (1, 4, 1), (9, 4, 2), (5, 12, 3), (40, 17, 5), (30, 30, 1), (3, 40, 2)] {
            for labels_take_frames in [false, true] {
                let width = least_width(wanted, frames, columns, labels_take_frames);
                let step = if labels_take_frames { 1 } else { width - 1 };
                for _ in 0..20 {
                    let visits: Vec<f64> = (0..frames * columns).map(|_| number()).collect();
                    let runs = runs(&visits, columns, width, step);
                    assert_eq!(runs, as_documented(&visits, columns, width, step as i64), "T {frames}, U + 1 {columns}, {width}");
                    assert_eq!((runs[0], runs[frames - 1] as usize), (0, columns - width));
                    assert!(runs.windows(2).all(|two| (two[0]..=two[0] + step as u32).contains(&two[1])));
                }
            }
        }
    }

    #[test]
    fn a_run_follows_what_is_visited() {
        let visited = [0, 0, 1, 1, 3, 4, 4];
        let visits: Vec<f64> = visited.iter().flat_map(|&u| (0..5).map(move |place| f64::from(u8::from(place == u)))).collect();
        assert_eq!(runs(&visits, 5, 2, 1), [0, 0, 0, 1, 2, 3, 3]);
        assert_eq!(runs(&visits, 5, 3, 2), [0, 0, 0, 0, 1, 2, 2]);
    }

    #[test]
    fn widths_are_raised_where_the_end_would_be_out_of_reach() {
        assert_eq!(least_width(5, 188, 91, false), 5);
        assert_eq!(least_width(1, 10, 10, false), 2);
        assert_eq!(least_width(1, 1, 10, false), 10);
        assert_eq!(least_width(2, 20, 20, true), 2);
        assert_eq!(least_width(2, 15, 20, true), 6);
        assert_eq!(least_width(9, 3, 4, false), 4);
    }
}
