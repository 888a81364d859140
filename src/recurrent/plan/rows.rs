//! Cells with layer norms: two launches a step, the products, then the norms and the update of each sequence. Forward, where all that has
//! norms is the product, and the batch is small, it is one: each workgroup finishes the step before for all units of its sequences.

use super::Problem;
use super::stepped::{GatesAt, Spread, Windows, gradient_params, step_params, steps_back};
use crate::device::Caps;
use crate::device::recording::{BindSet, Binding, BufferId, Recording, fold};
use crate::device::shader::{CellProductParams, Kernel};

/// What workgroups may read again in a step of one launch, bytes: beyond that, a second launch takes less.
const MOST_READ_AGAIN: u64 = 16 << 20;
/// Hidden units a workgroup of `shaders/cell/normed_step.wgsl`.
const UNITS: u64 = 8;

/// Whether a step forward is one launch.
fn is_one_launch(problem: &Problem) -> bool {
    let shape = problem.shape;
    let each = 4 * (shape.inputs + shape.rows + shape.states) * problem.hidden * problem.batch;
    shape.rows > 0 && problem.norms.state.is_none() && each.saturating_mul(problem.hidden.div_ceil(UNITS)) <= MOST_READ_AGAIN
}

/// Products of one step, and their moments, in whole windows: elements.
fn half_size(problem: &Problem) -> u64 {
    (problem.batch * (problem.shape.rows * problem.hidden + 8 * problem.hidden.div_ceil(UNITS))).next_multiple_of(64)
}

/// Bytes of what the launches of a step share.
pub(super) fn product_bytes(problem: &Problem) -> u64 {
    if is_one_launch(problem) { 8 * half_size(problem) } else { (problem.shape.rows * problem.plane_bytes()).max(4) }
}

/// What [`product`] multiplies, and where vectors and results are.
struct Product {
    rows: u64,
    depth: u64,
    from_first: u64,
    from_pitch: u64,
    to_pitch: u64,
    /// Adds to the results, but for sequences that begin anew at this frame.
    accumulates: Option<u64>,
}

fn product(recording: &mut Recording, caps: &Caps, problem: &Problem, set: BindSet, product: &Product) {
    let spread = Spread::of(caps, problem, Kernel::CellProduct, product.rows);
    let params = CellProductParams {
        batch: problem.batch as u32,
        hidden: problem.hidden as u32,
        rows: product.rows as u32,
        depth: product.depth as u32,
        from_first: product.from_first as u32,
        from_pitch: product.from_pitch as u32,
        to_first: 0,
        to_pitch: product.to_pitch as u32,
        accumulates: u32::from(product.accumulates.is_some()),
        next: product.accumulates.unwrap_or(0) as u32,
        has_lengths: u32::from(problem.lengths),
        resets_first: problem.resets_first() as u32,
        reset_words: problem.reset_words() as u32,
    };
    recording.dispatch_with(spread.shader, &spread.constants, set, &params, spread.grid, problem.step_work());
}

/// The steps of a stretch. `bindings` are those of `shaders/shared/cell_call.wgsl`, then y; `products` is what the launches share.
pub(super) fn forward(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    bindings: &[Binding; 6],
    products: BufferId,
    windows: Windows,
) {
    if is_one_launch(problem) {
        return forward_in_one(recording, caps, problem, bindings, products, windows);
    }
    let &[gx, weight_hh, units, sequences, states, y] = bindings;
    let products = recording.whole(products);
    let product_set = recording.bind(&[weight_hh, sequences, states, products]);
    let set = recording.bind(&[gx, weight_hh, units, sequences, states, y, products]);
    let grid = fold(problem.batch, caps.max_workgroups);
    let hidden = problem.hidden;
    let rows = problem.shape.rows * hidden;
    let (first, count) = windows.stretch;
    for step in first..first + count {
        if rows > 0 {
            let from_first = problem.slot_of(step, windows.slots) * problem.batch * hidden;
            let each = Product { rows, depth: hidden, from_first, from_pitch: hidden, to_pitch: rows, accumulates: None };
            product(recording, caps, problem, product_set, &each);
        }
        let params = step_params(problem, windows, step);
        recording.dispatch_program(
            (caps.shader(Kernel::CellRow), &problem.program),
            &[],
            set,
            &params,
            grid,
            problem.batch * rows.max(hidden),
        );
    }
}

/// Likewise, with a launch a step, which also finishes the one before, and one more for the last.
fn forward_in_one(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    bindings: &[Binding; 6],
    products: BufferId,
    windows: Windows,
) {
    let &[gx, weight_hh, units, sequences, states, y] = bindings;
    let all = recording.whole(products);
    let set = recording.bind(&[gx, weight_hh, units, sequences, states, y, all]);
    let spread = Spread::like_step(caps, problem, Kernel::CellNormedStep);
    let constants = [0.0, 1.0].map(|finishes| [&spread.constants[..], &[("FINISHES", finishes)]].concat());
    let (first, count) = windows.stretch;
    for step in first..first + count {
        let finishes = u64::from(step > first);
        let params = step_params(problem, windows, step - finishes);
        let constants = &constants[finishes as usize];
        recording.dispatch_program((spread.shader, &problem.program), constants, set, &params, spread.grid, problem.step_work());
    }
    let last = first + count - 1;
    let bytes = problem.shape.rows * problem.plane_bytes();
    let own = Binding { buffer: products, offset: last % 2 * 4 * half_size(problem), bytes };
    let set = recording.bind(&[gx, weight_hh, units, sequences, states, y, own]);
    let params = step_params(problem, windows, last);
    let grid = fold(problem.batch, caps.max_workgroups);
    recording.dispatch_program((caps.shader(Kernel::CellRow), &problem.program), &[], set, &params, grid, bytes / 4);
}

/// The steps of a stretch from its last to its first, and what is left to multiply after the first of all. `bindings` are factors,
/// then those of `shaders/shared/cell_gradient_call.wgsl`.
pub(super) fn backward(
    recording: &mut Recording,
    caps: &Caps,
    problem: &Problem,
    weight_transposed: Binding,
    bindings: &[Binding; 7],
    windows: Windows,
    gates_at: GatesAt<'_>,
) {
    let &[_, _, sequences, _, _, gates, carry] = bindings;
    let product_set = recording.bind(&[weight_transposed, sequences, gates, carry]);
    let set = recording.bind(bindings);
    let grid = fold(problem.batch, caps.max_workgroups);
    let hidden = problem.hidden;
    let rows = problem.shape.rows * hidden;
    for step in steps_back(windows) {
        let params = gradient_params(problem, windows, gates_at, step);
        if rows > 0 && params.has_next != 0 {
            let accumulates = Some(u64::from(params.next));
            let each = Product {
                rows: hidden,
                depth: rows,
                from_first: params.next_first.into(),
                from_pitch: rows,
                to_pitch: hidden,
                accumulates,
            };
            product(recording, caps, problem, product_set, &each);
        }
        if step.is_some() {
            let work = problem.batch * rows.max(hidden);
            recording.dispatch_program((caps.shader(Kernel::CellRowGradient), &problem.program), &[], set, &params, grid, work);
        }
    }
}
