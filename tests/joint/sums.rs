//! Joiners without a layer, whose logits nobody writes.

use crate::bands::diagonal;
use crate::case::Case;
use crate::common::{contexts_with, shared_contexts};
use crate::kinds::{BLANK, Row, kinds};
use crate::{LENGTHS, bits, rnnt};
use weft::lattice::Status;
use weft::{Context, Tensor};

fn plan(case: &Case, context: &Context) -> weft::joint::JointPlan {
    case.with(context, true, |loss, batch| loss.plan_batch(batch).unwrap())
}

/// Kinds whose arcs read few symbols, and nothing else.
#[test]
fn no_logits_where_arcs_read_few_symbols() {
    let context = Context::cpu();
    for row in kinds() {
        let case = Case::new(&row, &LENGTHS, [0, 0, 0], 1);
        let plan = plan(&case, &context);
        let reads_more = row.kind.arcs().iter().any(|arc| arc.duration.is_some()) || row.reads_others();
        assert_eq!(plan.tile_rows() > 0, reads_more || row.name == "made up", "{}: {plan}", row.name);
        assert_eq!(plan.to_string().contains("of which none is written"), plan.tile_rows() == 0, "{plan}");
        assert_eq!(plan.to_string().contains("tile of logits"), plan.tile_rows() > 0, "{plan}");
    }
    let dropped = Case { dropout: 0.5, ..Case::new(&rnnt(), &LENGTHS, [0, 0, 0], 1) };
    assert!(plan(&dropped, &context).tile_rows() > 0);
    // 16 blanks.
    let blanks: Vec<(u32, u32)> = (1..17).map(|symbol| (symbol, symbol + 1)).collect();
    let many = weft::lattice::Kind::multi_blank(weft::lattice::Blank(0), &blanks).unwrap();
    let blanks: Vec<(u32, usize)> = blanks.iter().map(|&(symbol, frames)| (symbol, frames as usize)).collect();
    let row = Row { kind: many, truth: crate::truth::Kind::multi_blank(0, &blanks, 0.0), vocab: 20, ..rnnt() };
    let case = Case::new(&row, &LENGTHS, [0, 0, 0], 1);
    assert!(plan(&case, &context).tile_rows() > 0);
    case.check("16 blanks", &context);
}

/// Around pieces, blocks and fours of all kernels.
#[test]
fn sides() {
    for (vocab, lengths) in [
        (4, &[[9, 4], [17, 1]][..]),
        (5, &[[33, 17], [5, 40], [0, 3]]),
        (31, &[[16, 15], [1, 0]]),
        (32, &[[65, 3], [64, 7]]),
        (33, &[[3, 1]]),
        (127, &[[8, 7], [7, 8]]),
        (128, &[[5, 5]]),
        (129, &[[20, 2]]),
        (301, &[[18, 33], [2, 1]]),
    ] {
        for row in [rnnt(), kinds().swap_remove(2), kinds().swap_remove(3)] {
            let case = Case::new(&Row { vocab, ..row.clone() }, lengths, [0, 0, 0], vocab as u64);
            for (name, context) in shared_contexts() {
                assert_eq!(plan(&case, &context).tile_rows(), 0);
                case.check(&format!("V {vocab}, {lengths:?}, {}, {name}", row.name), &context);
            }
        }
    }
}

#[test]
fn one_symbol_and_two() {
    let kind = weft::lattice::Kind::rnnt(weft::lattice::Blank(0));
    for (vocab, lengths, symbols) in [(1, [[3, 0], [20, 0]], vec![]), (2, [[3, 2], [20, 1]], vec![1; 2])] {
        let row = Row { vocab, kind: kind.clone(), truth: crate::truth::Kind::rnnt(0), ..rnnt() };
        let mut case = Case::new(&Row { vocab: 4, ..row.clone() }, &lengths, [0, 0, 0], 2);
        let narrow = |list: &[f32]| list.chunks(4).flat_map(|line| line[..vocab].to_vec()).collect::<Vec<_>>();
        (case.row, case.hidden, case.encoder, case.predictor) = (row, vocab, narrow(&case.encoder), narrow(&case.predictor));
        case.targets = lengths.iter().map(|&[_, labels]| symbols.iter().copied().take(labels).collect()).collect();
        for (name, context) in shared_contexts() {
            case.check(&format!("V {vocab}, {name}"), &context);
        }
    }
}

#[test]
fn a_hundred_thousand_symbols() {
    let case = Case::new(&Row { vocab: 100_000, ..rnnt() }, &[[3, 2], [2, 1]], [0, 0, 0], 8);
    for (name, context) in shared_contexts() {
        case.check(&format!("V 100,000, {name}"), &context);
    }
}

/// Scores whose exponentials have no product in f32: the symbols that frames like are not those that positions like. And constants that
/// hide the rest.
#[test]
fn far_apart() {
    for (even, odd, constant) in [(300.0, 0.0, 0.0), (200.0, 0.0, 1e3), (0.0, 80.0, -1e4)] {
        let mut case = Case::new(&Row { vocab: 37, ..rnnt() }, &[[20, 6], [5, 3]], [0, 0, 0], 5);
        let width = case.hidden;
        for (place, x) in case.encoder.iter_mut().enumerate() {
            *x += if (place % width).is_multiple_of(2) { even } else { odd } + constant;
        }
        for (place, x) in case.predictor.iter_mut().enumerate() {
            *x += if place % width % 2 == 1 { even } else { odd } - constant;
        }
        for (name, context) in shared_contexts() {
            case.check(&format!("{even} {odd} {constant}, {name}"), &context);
        }
    }
}

/// Bands that leave some paths out, but few rows: none is written. Narrow ones take tiles.
#[test]
fn bands() {
    let lengths = [[14, 11], [0, 2], [12, 9], [40, 21]];
    for row in kinds().into_iter().filter(|row| row.labels_stay()) {
        for (reach, is_narrow) in [(1, true), (7, false)] {
            let case = Case { bands: Some(diagonal(&lengths, reach)), ..Case::new(&row, &lengths, [0, 0, 0], 3) };
            for (name, context) in shared_contexts() {
                let plan = plan(&case, &context);
                assert!(!is_narrow || plan.tile_rows() > 0, "{}: {plan}", row.name);
                assert!(is_narrow || plan.tile_rows() == 0 || row.name != "RNN-T", "{}: {plan}", row.name);
                case.check(&format!("bands of {reach}, {}, {name}", row.name), &context);
            }
        }
    }
}

#[test]
fn under_normalised() {
    for row in kinds().into_iter().take(5) {
        let (kind, truth) = (row.kind.clone().under_normalised(0.05).unwrap(), crate::truth::Kind { sigma: 0.05f32.into(), ..row.truth });
        let case = Case::new(&Row { kind, truth, ..row }, &LENGTHS, [0, 0, 0], 3);
        for (name, context) in shared_contexts() {
            case.check(&format!("{}, {name}", case.row.name), &context);
        }
    }
}

/// What is no number spoils its utterance alone: the others keep their bits.
#[test]
fn what_is_no_number() {
    let good = Case::new(&rnnt(), &LENGTHS, [0, 0, 0], 3);
    for (name, context) in shared_contexts() {
        let clean = good.run(&context, true);
        let read = |tensor: &Tensor| tensor.to_vec_blocking().unwrap();
        let clean_gradients = clean.gradients.as_ref().map(|g| [read(&g.encoder), read(&g.predictor)]).unwrap();
        for (side, bad) in [(0, f32::NAN), (0, f32::INFINITY), (1, f32::INFINITY), (1, f32::NAN)] {
            let mut case = good.clone();
            let own = 4 * case.padded[side] * case.hidden;
            let input = if side == 0 { &mut case.encoder } else { &mut case.predictor };
            input[own + case.hidden + 2] = bad;
            let out = case.run(&context, true);
            assert_eq!(out.status[4], Status::NonFinite, "{name}: {bad} on side {side}");
            let gradients = out.gradients.as_ref().map(|g| [read(&g.encoder), read(&g.predictor)]).unwrap();
            for part in 0..2 {
                let size = case.padded[part] * case.hidden;
                for n in 0..LENGTHS.len() {
                    let (got, was) = (&gradients[part][n * size..][..size], &clean_gradients[part][n * size..][..size]);
                    if n == 4 {
                        assert!(got.iter().all(|&g| g == 0.0), "{name}: {bad} on side {side}");
                    } else {
                        assert_eq!(bits(got), bits(was), "{name}: {bad} on side {side}: gradients of utterance {n}");
                        assert_eq!(out.costs[n].to_bits(), clean.costs[n].to_bits(), "{name}: cost of utterance {n}");
                    }
                }
            }
        }
    }
}

/// A mask over a frame, and over all labels of a position: paths go around, or there are none.
#[test]
fn masked_rows() {
    for row in kinds().into_iter().take(3) {
        let mut case = Case::new(&row, &[[6, 3], [7, 2], [4, 0]], [0, 0, 0], 6);
        let width = case.hidden;
        case.encoder[2 * width..3 * width].fill(f32::NEG_INFINITY);
        let at = (case.padded[1] + 1) * width;
        (0..width).filter(|&v| v as u32 != BLANK).for_each(|v| case.predictor[at + v] = f32::NEG_INFINITY);
        for (name, context) in shared_contexts() {
            let out = case.run(&context, true);
            assert_eq!(out.status, [Status::Infeasible, Status::Infeasible, Status::Ok], "{}, {name}", row.name);
            let gradients = out.gradients.unwrap();
            assert!(gradients.encoder.to_vec_blocking().unwrap().iter().all(|g| g.is_finite()), "{}, {name}", row.name);
        }
    }
}

/// The least workspace is named, is enough, and gives the same bits of costs; so do devices that grant little.
#[test]
fn within_any_limit() {
    for row in [rnnt(), kinds().swap_remove(3), kinds().swap_remove(4)] {
        let case = Case::new(&row, &[[20, 4], [13, 6], [0, 1], [31, 0], [7, 9]], [0, 0, 0], 9);
        for (name, context) in shared_contexts() {
            let refused = Case { limit: Some(1), ..case.clone() }.with(&context, true, |loss, batch| loss.plan_batch(batch).err().unwrap());
            let weft::Error::LimitExceeded { need, have: 1, .. } = refused else { panic!("{refused}") };
            let all = plan(&case, &context);
            assert!(need < all.workspace_bytes() && all.tile_rows() == 0, "{need} {all}");
            let costs = bits(&case.run(&context, false).costs);
            let case = Case { limit: Some(need), ..case.clone() };
            let few = plan(&case, &context);
            assert!(few.workspace_bytes() <= need && few.tiles() > 1, "{need}: {few}");
            case.check(&format!("{need} B, {}, {name}", row.name), &context);
            assert_eq!(bits(&case.run(&context, true).costs), costs, "{need} B, {}, {name}", row.name);
        }
        for (name, context) in contexts_with(|options| options.with_max_binding_bytes(32_768).with_max_workgroups(7)) {
            case.check(&format!("small windows, {}, {name}", row.name), &context);
        }
    }
}

#[test]
fn the_same_bits_again() {
    let case = Case::new(&Row { vocab: 50, ..rnnt() }, &[[40, 18], [33, 20]], [0, 0, 0], 5);
    for (name, context) in shared_contexts() {
        let all = || {
            let gradients = case.run(&context, true).gradients.unwrap();
            [gradients.encoder, gradients.predictor].map(|tensor| bits(&tensor.to_vec_blocking().unwrap()))
        };
        assert_eq!(all(), all(), "{name}");
    }
}
