//! Sequences: lengths, directions, carried states, resets, zoneout, masks.

use crate::assert_near;
use crate::truth::{Activation, Cell, Direction, Problem, Stack};

fn cells() -> [Cell; 4] {
    [Cell::lstm(), Cell::gru_reset_before(), Cell::s_lstm(), Cell::rnn(Activation::Relu)]
}

/// One sequence of a problem, alone and without padding.
fn alone(problem: &Problem, n: usize) -> Problem {
    let mut one = problem.clone();
    one.batch = 1;
    one.frames = problem.lengths[n];
    one.lengths = vec![one.frames];
    let x = problem.values.get("x").chunks_exact(problem.inputs).skip(n).step_by(problem.batch).take(one.frames);
    one.values.set("x", &x.collect::<Vec<_>>().concat());
    for name in problem.cell.states() {
        one.values.set(name, &problem.values.get(name)[n * problem.hidden..][..problem.hidden]);
    }
    one
}

#[test]
fn a_ragged_batch_is_its_sequences_one_by_one() {
    for cell in cells() {
        for reverse in [false, true] {
            let mut problem = Problem::random(cell, [6, 3, 2, 4], 7);
            problem.lengths = vec![4, 0, 6];
            problem.reverse = reverse;
            problem.values.get_mut("x")[5 * 3 * 2..][..2].fill(f64::NAN);
            let whole = problem.solve();
            for n in 0..3 {
                let one = alone(&problem, n).solve();
                let y: Vec<f64> = whole.y.chunks_exact(4).skip(n).step_by(3).flatten().copied().collect();
                let (used, padding) = y.split_at(4 * problem.lengths[n]);
                assert_eq!(used, one.y);
                assert!(padding.iter().all(|&x| x == 0.0));
                for (all, own) in whole.states.iter().zip(&one.states) {
                    assert_eq!(all[n * 4..][..4], own[..]);
                }
            }
            let pull = problem.random_pull(1);
            let gradients = problem.gradients(&pull);
            let x = gradients.get("x").chunks_exact(2).skip(1).step_by(3);
            assert!(x.flatten().chain(&gradients.get("x")[30..32]).all(|&x| x == 0.0), "padding has no gradient");
            // A sequence of no frames hands its state through.
            assert_eq!(gradients.get("h")[4..8], pull.states[0][4..8]);
        }
    }
}

#[test]
fn two_pieces_are_the_whole() {
    for cell in cells() {
        let whole = Problem::random(cell, [5, 2, 3, 4], 9);
        let mut first = whole.clone();
        (first.frames, first.lengths) = (2, vec![2, 2]);
        first.values.get_mut("x").truncate(2 * 2 * 3);
        let begun = first.solve();
        let mut second = whole.clone();
        (second.frames, second.lengths) = (3, vec![3, 3]);
        second.values.get_mut("x").drain(..2 * 2 * 3);
        for (name, state) in cell.states().iter().zip(&begun.states) {
            second.values.set(name, state);
        }
        let (ended, expected) = (second.solve(), whole.solve());
        assert_eq!([begun.y, ended.y].concat(), expected.y);
        assert_eq!(ended.states, expected.states);
        // A reset forgets what was before.
        let reset = Problem { resets: vec![(2, 0), (2, 1)], ..whole };
        for name in cell.states() {
            second.values.get_mut(name).fill(0.0);
        }
        assert_eq!(reset.solve().y[2 * 2 * 4..], second.solve().y);
    }
}

#[test]
fn reverse_is_forward_over_turned_frames() {
    let forward = Problem::random(Cell::lstm(), [4, 1, 2, 3], 11);
    let mut reverse = Problem { reverse: true, ..forward.clone() };
    let x: Vec<f64> = forward.values.get("x").rchunks_exact(2).flatten().copied().collect();
    reverse.values.set("x", &x);
    let turned: Vec<f64> = reverse.solve().y.rchunks_exact(3).flatten().copied().collect();
    assert_eq!(turned, forward.solve().y);
}

#[test]
fn all_states_end_with_the_last() {
    let solution = Problem::random(Cell::lstm(), [4, 2, 2, 3], 12).solve();
    assert_eq!(solution.all[0], solution.y);
    assert_eq!(solution.all[1][3 * 6..], solution.states[1]);
}

#[test]
fn zoneout_of_one_keeps_and_of_zero_does_nothing() {
    let plain = Problem::random(Cell::lstm(), [3, 2, 2, 3], 13);
    let with = |h: f64, c: f64| Problem { zoneout: vec![Some(vec![h; 18]), Some(vec![c; 18])], ..plain.clone() }.solve();
    assert_eq!(with(0.0, 0.0).y, plain.solve().y);
    assert_eq!(with(1.0, 1.0).states[0], plain.values.get("h"));
    assert_eq!(with(1.0, 1.0).states[1], plain.values.get("c"));
    // Frame by frame: half of the old, half of what a plain step gives.
    let one = Problem { frames: 1, lengths: vec![1, 1], ..plain.clone() };
    let step = one.solve();
    let half = Problem { zoneout: vec![Some(vec![0.5; 6]), None], ..one.clone() }.solve();
    let expected: Vec<f64> = step.y.iter().zip(one.values.get("h")).map(|(new, old)| 0.5 * new + 0.5 * old).collect();
    assert_near("half", &half.y, &expected, 1e-15);
    assert_eq!(half.states[1], step.states[1]);
}

#[test]
fn a_mask_is_on_the_candidate() {
    let mut problem = Problem::random(Cell::li_gru(), [3, 1, 2, 2], 14);
    problem.mask = Some(vec![0.0, 1.0]);
    let masked = problem.solve();
    // Without a candidate a unit only fades.
    let mut before = problem.values.get("h")[0].abs();
    for t in 0..3 {
        assert!(masked.y[t * 2].abs() < before);
        before = masked.y[t * 2].abs();
    }
}

#[test]
fn heads_are_cells_side_by_side() {
    // Two heads of two units, each also alone.
    let mut whole = Problem::random(Cell::gru(), [4, 2, 3, 4], 16);
    whole.set_heads(2);
    let solution = whole.solve();
    for head in 0..2 {
        let mut one = Problem::new(Cell::gru(), [4, 2, 3, 2]);
        one.values.set("x", whole.values.get("x"));
        // Units 2 head and 2 head + 1 of each gate, or of each sequence.
        let own = |name: &str, width: usize| -> Vec<f64> {
            let rows = whole.values.get(name).chunks_exact(width).enumerate();
            rows.filter(|(row, _)| row % 4 / 2 == head).flat_map(|(_, row)| row.to_vec()).collect()
        };
        for (name, width) in [("weight_ih", 3), ("bias_ih", 1), ("bias_hh", 1), ("h", 1)] {
            one.values.set(name, &own(name, width));
        }
        one.values.set("weight_hh", &own("weight_hh", 4).chunks_exact(4).flat_map(|row| row[2 * head..][..2].to_vec()).collect::<Vec<_>>());
        let y: Vec<f64> = solution.y.chunks_exact(4).flat_map(|h| h[2 * head..][..2].to_vec()).collect();
        assert_near("head", &one.solve().y, &y, 1e-15);
    }
    let gradients = whole.gradients(&whole.random_pull(1));
    let zeros = gradients.get("weight_hh").iter().filter(|&&g| g == 0.0).count();
    assert_eq!(zeros, 3 * 4 * 2, "what is no part of a head has no gradient");
}

#[test]
fn a_stack_of_one_is_a_layer() {
    let problem = Problem { lengths: vec![3, 5], ..Problem::random(Cell::lstm(), [5, 2, 3, 4], 15) };
    for direction in [Direction::Forward, Direction::Reverse] {
        let suffix = if direction == Direction::Reverse { "_l0_reverse" } else { "_l0" };
        let mut stack = Stack::new(problem.cell, 1, direction, [5, 2, 3, 4]);
        stack.lengths.clone_from(&problem.lengths);
        for (name, _) in stack.shapes() {
            stack.values.set(&name, problem.values.get(name.strip_suffix(suffix).unwrap_or(&name)));
        }
        let layer = Problem { reverse: direction == Direction::Reverse, ..problem.clone() };
        let (solution, expected) = (stack.solve(), layer.solve());
        assert_eq!((solution.y, solution.states), (expected.y, expected.states));
    }
}
