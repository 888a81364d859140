enable f16;
enable wgpu_cooperative_matrix;
// The product of `gemm.wgsl` of factors of f32, by the matrices of f16 that subgroups of some devices multiply: each element, times a
// power of two that brings the largest of its line to between 2^14 and 2^15, is the sum of two halves, and what they leave of it is below
// 2^-22 of it or 2^-38 of the largest of its line (2^-27 where a device takes halves below 2^-14 for zero). The product of the two small
// halves is left out, for it is no larger than that. Sums are in f32: of SPAN of k each by the device's matrices, which cut what a sum has
// too much and do not round it, and of these by additions. Eight subgroups, two down and four across, own a tile; each sums 4 x 2
// matrices. Lines begin at multiples of four elements and are multiples of four long. Native only.
// Lines are those that a row, or a column, of C is made of; with an element that is not finite all of that is not.
// Method: Markidis et al. 2018 (two halves), Ootomo and Yokota 2022.
// Twin: src/cpu/gemm.rs::product, in f32.
#import gemm_params
#import gemm_lines

const TILE = 8u * SIDE;
const DEPTH = 2u * SIDE;
const SPAN = 4u * DEPTH;
// Eight subgroups of 32, or of 8.
const WORKGROUP = SIDE * SIDE;

@group(0) @binding(1)
var<storage, read> a: array<vec4f>;
@group(0) @binding(2)
var<storage, read> b: array<vec4f>;
// The largest magnitudes of each row's line, as bits, and of each column's (`line_most.wgsl`).
@group(0) @binding(5)
var<storage, read> a_most: array<u32>;
@group(0) @binding(6)
var<storage, read> b_most: array<u32>;

// Tiles of either half as they lie in memory, in fours. Two fours more to a line: neighbours fall into other memory banks.
var<workgroup> wg_a: array<vec4<f16>, A_LINES * A_PITCH>;
var<workgroup> wg_a_small: array<vec4<f16>, A_LINES * A_PITCH>;
var<workgroup> wg_b: array<vec4<f16>, B_LINES * B_PITCH>;
var<workgroup> wg_b_small: array<vec4<f16>, B_LINES * B_PITCH>;
// A matrix of sums for each subgroup.
var<workgroup> wg_sums: array<vec4f, 2u * SIDE * SIDE>;

// The power of two, as the exponent of a float.
fn exponent(most: u32) -> u32 {
    return min(268u - (most >> 23u), 254u);
}

fn row_exponent(m: u32) -> u32 {
    return exponent(a_most[min(m, params.rows - 1u)]);
}

fn column_exponent(n: u32) -> u32 {
    return exponent(b_most[min(n, params.columns - 1u)]);
}

// The nearest numbers of f16 above 2^-14. By integers: a compiler may take what comes back from f16 for what went there.
fn large(x: vec4f) -> vec4f {
    return bitcast<vec4f>((bitcast<vec4u>(x) + vec4u(0x1000u)) & vec4u(0xffffe000u));
}

fn power(exponent: u32) -> f32 {
    return bitcast<f32>(exponent << 23u);
}

// By both powers, in two steps: half of the way each, so that nothing overflows on it.
fn scaled_back(sum: f32, exponents: u32) -> f32 {
    let back = 254u - min(exponents, 508u) / 2u;
    let rest = 508u - min(exponents, 508u) - back;
    return sum * power(clamp(back, 1u, 254u)) * power(clamp(rest, 1u, 254u));
}

fn a_four(i: u32, at: u32, left: u32) -> vec4f {
    if (i * A_STEP < left) {
        return a[at + i * (A_STEP * (params.a_stride / 4u))];
    }
    return vec4f();
}

fn b_four(i: u32, at: u32, left: u32) -> vec4f {
    if (i * B_STEP < left) {
        return b[at + i * (B_STEP * (params.b_stride / 4u))];
    }
    return vec4f();
}

// Writes the matrix of sums of this subgroup that begins in row m and column n.
fn store_matrix(part: u32, m: u32, n: u32, subgroup: u32, lane: u32) {
    for (var i = lane; i < SIDE * SIDE / 4u; i += WORKGROUP / 8u) {
        let row = m + i / (SIDE / 4u);
        let column = n + i % (SIDE / 4u) * 4u;
        if (row < params.rows && column < params.columns) {
            var sums = wg_sums[subgroup * SIDE * SIDE / 4u + i];
            let of_row = row_exponent(row);
            for (var j = 0u; j < 4u; j++) {
                sums[j] = scaled_back(sums[j], of_row + column_exponent(column + j));
                if (params.has_bias != 0u) {
                    sums[j] += bias[params.bias_first + min(column + j, params.columns - 1u)];
                }
            }
            store_four(part, row, column, sums);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let across = (params.columns + TILE - 1u) / TILE;
    let down = (params.rows + TILE - 1u) / TILE;
    let number = group.x + group.y * groups.x;
    let part = number / (across * down);
    let tile = number % (across * down);
    let first_row = tile / across * TILE;
    let first_column = tile % across * TILE;
    // Those beyond the last part have nothing to sum.
    let begin = min(part * params.part_depth, params.depth);
    let end = min(begin + params.part_depth, params.depth);
    let subgroup = local / (WORKGROUP / 8u);
    let lane = local % (WORKGROUP / 8u);
    let row = subgroup / 4u * (4u * SIDE);
    let column = subgroup % 4u * (2u * SIDE);
    let a_pitch = A_PITCH;
    let b_pitch = B_PITCH;

    // Where an invocation's first four lies in the tiles, and in the matrices.
    let a_kept = local / A_WIDTH * A_PITCH + local % A_WIDTH;
    let b_kept = local / B_WIDTH * B_PITCH + local % B_WIDTH;
#ifdef TN
    let a_line = local / A_WIDTH;
    let a_place = first_row + local % A_WIDTH * 4u;
    let a_power = vec4f(
        power(row_exponent(a_place)),
        power(row_exponent(a_place + 1u)),
        power(row_exponent(a_place + 2u)),
        power(row_exponent(a_place + 3u)),
    );
#repeat i 4
    let a_power$i = a_power;
#end
#else
    let a_line = first_row + local / A_WIDTH;
    let a_place = local % A_WIDTH * 4u;
#repeat i 4
    let a_power$i = power(row_exponent(a_line + $(i)u * A_STEP));
#end
#endif
#ifdef NT
    let b_line = first_column + local / B_WIDTH;
    let b_place = local % B_WIDTH * 4u;
#repeat i 4
    let b_power$i = power(column_exponent(b_line + $(i)u * B_STEP));
#end
#else
    let b_line = local / B_WIDTH;
    let b_place = first_column + local % B_WIDTH * 4u;
    let b_power = vec4f(
        power(column_exponent(b_place)),
        power(column_exponent(b_place + 1u)),
        power(column_exponent(b_place + 2u)),
        power(column_exponent(b_place + 3u)),
    );
#repeat i 4
    let b_power$i = b_power;
#end
#endif
#repeat r 4
#repeat c 2
    var sum$(r)_$(c) = Sum();
    var total$(r)_$(c) = Sum();
#end
#end
    let is_inside = first_row + TILE <= params.rows && first_column + TILE <= params.columns;
    // In fours, from one read of an invocation to the next.
    let a_step = A_STEP * (params.a_stride / 4u);
    let b_step = B_STEP * (params.b_stride / 4u);
    let a_begin = a_span(a_line, a_place, begin, end);
    let b_begin = b_span(b_line, b_place, begin, end);
#repeat i 4
    var a$i = a_four($(i)u, a_begin.x, a_begin.y);
    var b$i = b_four($(i)u, b_begin.x, b_begin.y);
#end
    for (var k = begin; k < end; k += DEPTH) {
#repeat i 4
        let a_scaled$i = a$i * a_power$i;
        let a_large$i = large(a_scaled$i);
        wg_a[a_kept + $(i)u * A_STEP * A_PITCH] = vec4<f16>(a_large$i);
        wg_a_small[a_kept + $(i)u * A_STEP * A_PITCH] = vec4<f16>(a_scaled$i - a_large$i);
        let b_scaled$i = b$i * b_power$i;
        let b_large$i = large(b_scaled$i);
        wg_b[b_kept + $(i)u * B_STEP * B_PITCH] = vec4<f16>(b_large$i);
        wg_b_small[b_kept + $(i)u * B_STEP * B_PITCH] = vec4<f16>(b_scaled$i - b_large$i);
#end
        workgroupBarrier();
        // They come while the tile is multiplied. Inside of A and B, which holds for whole workgroups, reads are not tested.
        let next = k + DEPTH;
        let a_next = a_span(a_line, a_place, next, end);
        let b_next = b_span(b_line, b_place, next, end);
        if (is_inside && next + DEPTH <= end) {
#repeat i 4
            a$i = a[a_next.x + $(i)u * a_step];
            b$i = b[b_next.x + $(i)u * b_step];
#end
        } else if (next < end) {
#repeat i 4
            a$i = a_four($(i)u, a_next.x, a_next.y);
            b$i = b_four($(i)u, b_next.x, b_next.y);
#end
        }
#ifdef TN
        let a_at = row / 4u;
#else
        let a_at = row * A_PITCH;
#endif
#ifdef NT
        let b_at = column * B_PITCH;
#else
        let b_at = column / 4u;
#endif
#repeat d 2
#repeat c 2
#ifdef NT
        let right$(d)_$(c)_at = b_at + $(d)u * SIDE / 4u + $(c)u * SIDE * B_PITCH;
        let right$(d)_$(c) = coopLoad<Right>(&wg_b[right$(d)_$(c)_at], b_pitch);
        let right_small$(d)_$(c) = coopLoad<Right>(&wg_b_small[right$(d)_$(c)_at], b_pitch);
#else
        let right$(d)_$(c)_at = b_at + $(d)u * SIDE * B_PITCH + $(c)u * SIDE / 4u;
        let right$(d)_$(c) = coopLoadT<Right>(&wg_b[right$(d)_$(c)_at], b_pitch);
        let right_small$(d)_$(c) = coopLoadT<Right>(&wg_b_small[right$(d)_$(c)_at], b_pitch);
#endif
#end
#repeat r 4
#ifdef TN
        let left$(d)_$(r)_at = a_at + $(d)u * SIDE * A_PITCH + $(r)u * SIDE / 4u;
        let left$(d)_$(r) = coopLoad<Left>(&wg_a[left$(d)_$(r)_at], a_pitch);
        let left_small$(d)_$(r) = coopLoad<Left>(&wg_a_small[left$(d)_$(r)_at], a_pitch);
#else
        let left$(d)_$(r)_at = a_at + $(d)u * SIDE / 4u + $(r)u * SIDE * A_PITCH;
        let left$(d)_$(r) = coopLoadT<Left>(&wg_a[left$(d)_$(r)_at], a_pitch);
        let left_small$(d)_$(r) = coopLoadT<Left>(&wg_a_small[left$(d)_$(r)_at], a_pitch);
#endif
#repeat c 2
        sum$(r)_$(c) = coopMultiplyAdd(left_small$(d)_$(r), right$(d)_$(c), sum$(r)_$(c));
#end
#repeat c 2
        sum$(r)_$(c) = coopMultiplyAdd(left$(d)_$(r), right_small$(d)_$(c), sum$(r)_$(c));
#end
#repeat c 2
        sum$(r)_$(c) = coopMultiplyAdd(left$(d)_$(r), right$(d)_$(c), sum$(r)_$(c));
#end
#end
#end
        if ((next - begin) % SPAN == 0u || next >= end) {
#repeat r 4
#repeat c 2
            total$(r)_$(c) = total$(r)_$(c) + sum$(r)_$(c);
            sum$(r)_$(c) = Sum();
#end
#end
        }
        workgroupBarrier();
    }

    // Those beyond the last part write nothing: their rows are beyond the last.
    let m = select(params.rows, first_row + row, part < params.parts);
    let n = first_column + column;
    let sums_at = subgroup * SIDE * SIDE / 4u;
    let sums_pitch = SIDE / 4u;
#repeat r 4
#repeat c 2
    coopStoreT(total$(r)_$(c), &wg_sums[sums_at], sums_pitch);
    workgroupBarrier();
    store_matrix(part, m + $(r)u * SIDE, n + $(c)u * SIDE, subgroup, lane);
    workgroupBarrier();
#end
#end
}
