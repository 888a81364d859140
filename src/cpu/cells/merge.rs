//! Twins of `shaders/cell/merge.wgsl` and `split.wgsl`.

use crate::cpu::Call;
use crate::cpu::math::random_words;
use crate::device::shader::CellMergeParams as Params;

const CONCAT: u32 = 1;
const SUM: u32 = 2;

fn width(p: &Params) -> usize {
    p.hidden as usize * if p.kind == CONCAT { 2 } else { 1 }
}

/// Of number `at` of the rows.
fn factor(p: &Params, at: usize) -> f32 {
    if p.drop == 0 {
        return 1.0;
    }
    let (row, column) = (p.rows_before + (at / width(p)) as u32, (at % width(p)) as u32);
    if random_words([p.seed, row, column, 1])[0] < p.drop { 0.0 } else { p.scale }
}

pub(in crate::cpu) fn merge(call: &mut Call<'_>) {
    let p: Params = call.params();
    let (forward, reverse): (&[f32], &[f32]) = (call.read(1), call.read(2));
    let out: &mut [f32] = call.write(3);
    let (forward, reverse) = (&forward[p.forward_first as usize..], &reverse[p.reverse_first as usize..]);
    let (hidden, width) = (p.hidden as usize, width(&p));
    for (number, out) in out[p.out_first as usize..][..p.rows as usize * width].iter_mut().enumerate() {
        let column = number % width;
        let at = number / width * hidden + column % hidden;
        let value = if column < hidden { forward[at] } else { reverse[at] };
        let value = if p.kind == SUM { value + reverse[at] } else { value };
        *out = value * factor(&p, number);
    }
}

pub(in crate::cpu) fn split(call: &mut Call<'_>) {
    let p: Params = call.params();
    let out: &[f32] = call.read(1);
    let forward: &mut [f32] = call.write(2);
    let reverse: &mut [f32] = call.write(3);
    let out = &out[p.out_first as usize..];
    let (hidden, width) = (p.hidden as usize, width(&p));
    for number in 0..p.rows as usize * hidden {
        let at = number / hidden * width + number % hidden;
        let value = |at: usize| out[at] * factor(&p, at);
        forward[p.forward_first as usize + number] = value(at);
        match p.kind {
            SUM => reverse[p.reverse_first as usize + number] = value(at),
            CONCAT => reverse[p.reverse_first as usize + number] = value(at + hidden),
            _ => {}
        }
    }
}
