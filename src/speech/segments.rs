//! From probabilities to segments.

use super::{FRAME, SAMPLE_RATE};

/// A stretch of speech, in seconds from the begin of the recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// Where it begins.
    pub start_s: f64,
    /// Where it ends.
    pub end_s: f64,
}

/// How probabilities become segments. The default is what Silero publishes for this network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentOptions {
    /// Speech begins with the first frame of at least this probability.
    pub threshold: f32,
    /// Speech can only end with a frame below this probability. Lower than `threshold`, so that a
    /// probability that hovers around one value does not cut a word to pieces.
    pub end_threshold: f32,
    /// Speech that is not longer than this is dropped, seconds.
    pub min_speech_s: f64,
    /// A pause must last this long to end a segment, seconds.
    pub min_silence_s: f64,
    /// Each segment grows by this on both sides, at most to the middle of the pause, seconds.
    pub pad_s: f64,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self { threshold: 0.5, end_threshold: 0.35, min_speech_s: 0.25, min_silence_s: 0.1, pad_s: 0.03 }
    }
}

/// Stretches of speech in a recording of `samples` samples at 16 kHz, from one probability per 512
/// samples; in order, without overlap. Probabilities of what lies beyond the recording are left out.
pub fn segments(probabilities: &[f32], samples: usize, options: &SegmentOptions) -> Vec<Segment> {
    let mut found = spans(probabilities, samples, options);
    pad(&mut found, samples, in_samples(options.pad_s));
    let seconds = |sample: usize| sample as f64 / f64::from(SAMPLE_RATE);
    found.into_iter().map(|span| Segment { start_s: seconds(span.start), end_s: seconds(span.end) }).collect()
}

/// In samples.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

fn spans(probabilities: &[f32], samples: usize, options: &SegmentOptions) -> Vec<Span> {
    let (min_speech, min_silence) = (in_samples(options.min_speech_s), in_samples(options.min_silence_s));
    let mut found = Vec::new();
    let mut keep = |start: usize, end: usize| {
        if end.saturating_sub(start) > min_speech {
            found.push(Span { start, end });
        }
    };
    // Begin of the speech that goes on, and of the pause within it that may prove to be its end.
    let (mut start, mut pause) = (None, None);
    for (frame, &p) in probabilities.iter().enumerate().take(samples.div_ceil(FRAME)) {
        let now = frame * FRAME;
        match start {
            None if p >= options.threshold => (start, pause) = (Some(now), None),
            Some(_) if p >= options.threshold => pause = None,
            Some(begin) if p < options.end_threshold => {
                let silence = *pause.get_or_insert(now);
                if now - silence >= min_silence {
                    keep(begin, silence);
                    (start, pause) = (None, None);
                }
            }
            _ => {}
        }
    }
    if let Some(begin) = start {
        keep(begin, samples);
    }
    found
}

fn pad(spans: &mut [Span], samples: usize, pad: usize) {
    if let Some(first) = spans.first_mut() {
        first.start = first.start.saturating_sub(pad);
    }
    for i in 1..spans.len() {
        let share = pad.min((spans[i].start - spans[i - 1].end) / 2);
        spans[i - 1].end += share;
        spans[i].start -= share;
    }
    if let Some(last) = spans.last_mut() {
        last.end = last.end.saturating_add(pad).min(samples);
    }
}

fn in_samples(seconds: f64) -> usize {
    // Negative and NaN become 0.
    (seconds * f64::from(SAMPLE_RATE)).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (probability, frames) runs.
    fn curve(runs: &[(f32, usize)]) -> Vec<f32> {
        runs.iter().flat_map(|&(p, n)| std::iter::repeat_n(p, n)).collect()
    }

    fn frames(found: &[Segment]) -> Vec<(f64, f64)> {
        let frame = FRAME as f64 / f64::from(SAMPLE_RATE);
        found.iter().map(|s| (s.start_s / frame, s.end_s / frame)).collect()
    }

    fn bare() -> SegmentOptions {
        SegmentOptions { pad_s: 0.0, ..SegmentOptions::default() }
    }

    #[test]
    fn begins_at_the_threshold_and_ends_below_the_lower_one() {
        // 0.4 is neither speech to begin with nor silence to end with.
        let p = curve(&[(0.4, 5), (0.5, 10), (0.4, 30), (0.34, 10), (0.4, 5)]);
        assert_eq!(frames(&segments(&p, p.len() * FRAME, &bare())), [(5.0, 45.0)]);
    }

    #[test]
    fn a_short_pause_does_not_split() {
        // 100 ms = 3.1 frames: the fifth quiet frame is the first that is 4 frames after the pause began.
        for (quiet, expected) in [(4, vec![(0.0, 24.0)]), (5, vec![(0.0, 10.0), (15.0, 25.0)])] {
            let p = curve(&[(0.9, 10), (0.1, quiet), (0.9, 10)]);
            assert_eq!(frames(&segments(&p, p.len() * FRAME, &bare())), expected, "{quiet} quiet frames");
        }
    }

    #[test]
    fn short_speech_is_dropped() {
        // 250 ms = 7.8 frames.
        for (loud, expected) in [(7, 0), (8, 1)] {
            let p = curve(&[(0.0, 3), (0.9, loud), (0.0, 10)]);
            assert_eq!(segments(&p, p.len() * FRAME, &bare()).len(), expected, "{loud} loud frames");
        }
    }

    #[test]
    fn padding_stays_inside_and_shares_a_pause() {
        let p = curve(&[(0.9, 10), (0.1, 5), (0.9, 10)]);
        let wide = SegmentOptions { pad_s: 10.0, ..SegmentOptions::default() };
        assert_eq!(frames(&segments(&p, p.len() * FRAME, &wide)), [(0.0, 12.5), (12.5, 25.0)]);
        let narrow = SegmentOptions::default();
        let found = segments(&p, p.len() * FRAME, &narrow);
        let speech_end = 10.0 * 0.032;
        assert!((found[0].end_s - speech_end - narrow.pad_s).abs() < 1e-9);
        assert!((found[1].start_s - 15.0 * 0.032 + narrow.pad_s).abs() < 1e-9);
    }

    #[test]
    fn speech_at_the_end_reaches_the_last_sample() {
        let p = curve(&[(0.0, 4), (0.9, 10)]);
        let samples = p.len() * FRAME + 100;
        let found = segments(&p, samples, &SegmentOptions::default());
        assert_eq!(found.len(), 1);
        assert!((found[0].end_s - samples as f64 / 16_000.0).abs() < 1e-9);
    }

    #[test]
    fn probabilities_beyond_the_recording_are_left_out() {
        let p = curve(&[(0.9, 20), (0.1, 10), (0.9, 20), (0.1, 10)]);
        for samples in (0..p.len() * FRAME).step_by(301) {
            let found = segments(&p, samples, &SegmentOptions::default());
            let end = samples as f64 / f64::from(SAMPLE_RATE);
            assert!(found.iter().all(|s| s.start_s < s.end_s && s.end_s <= end), "{samples} samples: {found:?}");
            assert_eq!(found.len(), usize::from(samples > 8 * FRAME) + usize::from(samples > 38 * FRAME), "{samples} samples: {found:?}");
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(segments(&[], 0, &SegmentOptions::default()).is_empty());
        assert!(segments(&[f32::NAN; 50], 50 * FRAME, &SegmentOptions::default()).is_empty());
    }
}
