//! Small lattices of every kind.

use crate::common::Lcg;
use crate::truth::{Arc, Eos, Exit, Head, Kind, Lattice, Token, alignment_bands};

/// Tokens of a sample; durations come on top.
pub const VOCAB: usize = 5;
pub const BLANK: u32 = 3;
/// A symbol that no sample has as a label but those with a wildcard.
pub const WILD: u32 = 4;

/// Every kind, by name.
pub fn kinds() -> Vec<(&'static str, Kind)> {
    let constrained_wildcard = Kind { wildcard: Kind::wildcard(BLANK, WILD, 0.3).wildcard, ..Kind::constrained(BLANK) };
    vec![
        ("rnnt", Kind::rnnt(BLANK)),
        ("multi-blank", Kind::multi_blank(BLANK, &[(4, 2), (0, 3)], 0.05)),
        ("tdt 0 1 2", Kind::tdt(BLANK, &[0, 1, 2], 0.05)),
        ("tdt 1 2 4", Kind::tdt(BLANK, &[1, 2, 4], 0.0)),
        ("tdt 2 0 1", Kind::tdt(BLANK, &[2, 0, 1], 0.1)),
        ("tdt as rnnt", Kind::tdt_as_rnnt(BLANK, 2)),
        ("hat", Kind::hat(BLANK)),
        ("modified", Kind::modified(BLANK)),
        ("constrained", Kind::constrained(BLANK)),
        ("hat modified", Kind { head: Head::Hat { blank: BLANK }, ..Kind::modified(BLANK) }),
        ("hat tdt", Kind { head: Head::Hat { blank: BLANK }, ..Kind::tdt(BLANK, &[0, 1], 0.05) }),
        ("star", Kind::star(BLANK, -0.7)),
        ("bypass", Kind::bypass(BLANK, -1.1)),
        ("bypass of others", Kind::bypass_others(BLANK, -0.2)),
        ("target-robust", Kind::target_robust(BLANK, -0.7, -1.1)),
        ("w", Kind::w(BLANK, -0.4, Exit::LastCell)),
        ("w to the end", Kind::w(BLANK, -0.4, Exit::Terminal)),
        ("wildcard", Kind::wildcard(BLANK, WILD, 0.5)),
        ("constrained wildcard", constrained_wildcard),
        ("log-probs", Kind { head: Head::LogProbs, ..Kind::rnnt(BLANK) }),
        ("tdt log-probs", Kind { head: Head::LogProbs, ..Kind::tdt(BLANK, &[0, 1], 0.05) }),
    ]
}

/// A lattice with random input.
pub fn lattice(kind: &Kind, frames: usize, target: &[u32], numbers: &mut Lcg) -> Lattice {
    let count = frames * (target.len() + 1) * (VOCAB + kind.durations);
    let input = numbers.list(count, 2.0).into_iter().map(f64::from).collect();
    Lattice::new(kind.clone(), [frames, VOCAB], target.to_vec(), input)
}

/// Shapes that differ in what is long, labels that repeat, wildcards first and last.
const SHAPES: [(usize, &[u32]); 7] = [(1, &[]), (4, &[]), (1, &[1, 2]), (3, &[0, 0]), (4, &[1, 2]), (4, &[2, 0, 1]), (5, &[1])];
const WILD_SHAPES: [(usize, &[u32]); 4] = [(3, &[WILD]), (4, &[1, WILD]), (4, &[WILD, 2]), (4, &[1, WILD, WILD])];

/// Every kind in several shapes, plain and with options.
pub fn lattices() -> Vec<(String, Lattice)> {
    let mut numbers = Lcg(1);
    let mut all = Vec::new();
    for (name, kind) in kinds() {
        let shapes = if kind.wildcard.is_some() { &WILD_SHAPES[..] } else { &SHAPES[..] };
        for &(frames, target) in shapes {
            let plain = lattice(&kind, frames, target, &mut numbers);
            let eos = Some(Eos { symbol: 2, penalty: 0.25 });
            all.push((format!("{name} {frames} {target:?} late"), Lattice { delay: 0.1, eos, ..plain.clone() }));
            all.push((format!("{name} {frames} {target:?}"), plain));
        }
    }
    let plain = lattice(&Kind::modified(BLANK), 4, &[1, 2], &mut numbers);
    let bands = Some(alignment_bands(&[BLANK, 1, BLANK, 2], BLANK, 1));
    all.push(("modified in bands".into(), Lattice { bands, ..plain }));
    let plain = lattice(&Kind::rnnt(BLANK), 4, &[1, 2], &mut numbers);
    all.push(("rnnt in windows".into(), Lattice { windows: Some(vec![[0, 2], [1, 2]]), ..plain }));
    for i in 0..20 {
        let kind = random_kind(&mut numbers);
        let sample = lattice(&kind, 2 + i % 3, &[1, 2, 0][..i % 4], &mut numbers);
        all.push((format!("random {i} {:?}", sample.kind.arcs), sample));
    }
    all
}

/// A kind that nobody has a name for: up to six arcs, among them a blank and a label.
pub fn random_kind(numbers: &mut Lcg) -> Kind {
    let mut below = |n: u32| ((f64::from(numbers.next()) + 1.0) / 2.0 * f64::from(n)) as u32 % n;
    let durations = below(3);
    let mut arcs = vec![Arc::new(1, 0, Token::Symbol(BLANK)), Arc::new(below(2) as usize, 1, Token::Label)];
    for _ in 0..below(5) {
        let labels = below(2) as usize;
        let token = match below(4) {
            0 => Token::None,
            1 => Token::Symbol(below(VOCAB as u32)),
            2 if labels == 1 => Token::Label,
            _ => Token::Others { blank: BLANK },
        };
        arcs.push(Arc {
            duration: (durations > 0 && below(2) == 0).then(|| below(durations) as usize),
            then: (below(3) == 0).then(|| below(VOCAB as u32)),
            constant: -f64::from(below(10)) / 8.0,
            ends: below(2) == 0,
            // An arc without labels that takes no frame would lead nowhere.
            ..Arc::new((below(3) as usize).max(1 - labels), labels, token)
        });
    }
    Kind { sigma: f64::from(below(3)) / 10.0, durations: durations as usize, ..Kind::of(arcs) }
}
