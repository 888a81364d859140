// The product of `gemm.wgsl` by the matrices that subgroups of some devices multiply: A and B of f16, sums in f32. Eight
// subgroups, two down and four across, own a tile; each sums 4 x 2 matrices. NT, NN, TN: how A and B lie. Lines begin at multiples
// of four elements and are multiples of four long. Native only: browsers have no such matrices yet.
// Twin: src/dense/gemm.rs.
#import gemm_params
#import gemm_lines

const TILE = 8u * SIDE;
const DEPTH = 4u * SIDE;
// Eight subgroups of 32, or of 8.
const WORKGROUP = SIDE * SIDE;

@group(0) @binding(1)
var<storage, read> a: array<vec4<f16>>;
@group(0) @binding(2)
var<storage, read> b: array<vec4<f16>>;

// Tiles as they lie in memory, in fours. Two fours more to a line: neighbours fall into other memory banks.
var<workgroup> wg_a: array<vec4<f16>, A_LINES * A_PITCH>;
var<workgroup> wg_b: array<vec4<f16>, B_LINES * B_PITCH>;
// A matrix of sums for each subgroup.
var<workgroup> wg_sums: array<vec4f, 2u * SIDE * SIDE>;

// The i-th of eight fours that an invocation reads of the tile: `at` is its first, and `left` lines are there from that one's on.
fn a_four(i: u32, at: u32, left: u32) -> vec4<f16> {
    if (i * A_STEP < left) {
        return a[at + i * (A_STEP * (params.a_stride / 4u))];
    }
    return vec4<f16>();
}

fn b_four(i: u32, at: u32, left: u32) -> vec4<f16> {
    if (i * B_STEP < left) {
        return b[at + i * (B_STEP * (params.b_stride / 4u))];
    }
    return vec4<f16>();
}

// Writes the matrix of sums of this subgroup that begins in row m and column n.
fn store_matrix(part: u32, m: u32, n: u32, subgroup: u32, lane: u32) {
    for (var i = lane; i < SIDE * SIDE / 4u; i += WORKGROUP / 8u) {
        store_four(part, m + i / (SIDE / 4u), n + i % (SIDE / 4u) * 4u, wg_sums[subgroup * SIDE * SIDE / 4u + i]);
    }
}

fn bias_at(n: u32) -> f32 {
    return select(0.0, bias[params.bias_first + min(n, params.columns - 1u)], n < params.columns);
}

// The biases of SIDE columns from n on, in every line of this subgroup's matrix in workgroup memory.
fn spread_bias(n: u32, subgroup: u32, lane: u32) {
    for (var i = lane; i < SIDE * SIDE / 4u; i += WORKGROUP / 8u) {
        let first = n + i % (SIDE / 4u) * 4u;
        wg_sums[subgroup * SIDE * SIDE / 4u + i] = vec4f(bias_at(first), bias_at(first + 1u), bias_at(first + 2u), bias_at(first + 3u));
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
#else
    let a_line = first_row + local / A_WIDTH;
    let a_place = local % A_WIDTH * 4u;
#endif
#ifdef NT
    let b_line = first_column + local / B_WIDTH;
    let b_place = local % B_WIDTH * 4u;
#else
    let b_line = local / B_WIDTH;
    let b_place = first_column + local % B_WIDTH * 4u;
#endif
    let sums_at = subgroup * SIDE * SIDE / 4u;
    let sums_pitch = SIDE / 4u;
    // Sums begin with the bias: added at the end, it would keep them from being written as matrices.
    var start0 = Sum();
    var start1 = Sum();
    if (params.has_bias != 0u) {
        spread_bias(first_column + column, subgroup, lane);
        workgroupBarrier();
        start0 = coopLoadT<Sum>(&wg_sums[sums_at], sums_pitch);
        workgroupBarrier();
        spread_bias(first_column + column + SIDE, subgroup, lane);
        workgroupBarrier();
        start1 = coopLoadT<Sum>(&wg_sums[sums_at], sums_pitch);
        workgroupBarrier();
    }
    var sum00 = start0;
    var sum01 = start1;
    var sum10 = start0;
    var sum11 = start1;
    var sum20 = start0;
    var sum21 = start1;
    var sum30 = start0;
    var sum31 = start1;
    let is_inside = first_row + TILE <= params.rows && first_column + TILE <= params.columns;
    // In fours, from one read of an invocation to the next.
    let a_step = A_STEP * (params.a_stride / 4u);
    let b_step = B_STEP * (params.b_stride / 4u);
    let a_begin = a_span(a_line, a_place, begin, end);
    var a0 = a_four(0u, a_begin.x, a_begin.y);
    var a1 = a_four(1u, a_begin.x, a_begin.y);
    var a2 = a_four(2u, a_begin.x, a_begin.y);
    var a3 = a_four(3u, a_begin.x, a_begin.y);
    var a4 = a_four(4u, a_begin.x, a_begin.y);
    var a5 = a_four(5u, a_begin.x, a_begin.y);
    var a6 = a_four(6u, a_begin.x, a_begin.y);
    var a7 = a_four(7u, a_begin.x, a_begin.y);
    let b_begin = b_span(b_line, b_place, begin, end);
    var b0 = b_four(0u, b_begin.x, b_begin.y);
    var b1 = b_four(1u, b_begin.x, b_begin.y);
    var b2 = b_four(2u, b_begin.x, b_begin.y);
    var b3 = b_four(3u, b_begin.x, b_begin.y);
    var b4 = b_four(4u, b_begin.x, b_begin.y);
    var b5 = b_four(5u, b_begin.x, b_begin.y);
    var b6 = b_four(6u, b_begin.x, b_begin.y);
    var b7 = b_four(7u, b_begin.x, b_begin.y);
    for (var k = begin; k < end; k += DEPTH) {
        wg_a[a_kept + 0u * A_STEP * A_PITCH] = a0;
        wg_a[a_kept + 1u * A_STEP * A_PITCH] = a1;
        wg_a[a_kept + 2u * A_STEP * A_PITCH] = a2;
        wg_a[a_kept + 3u * A_STEP * A_PITCH] = a3;
        wg_a[a_kept + 4u * A_STEP * A_PITCH] = a4;
        wg_a[a_kept + 5u * A_STEP * A_PITCH] = a5;
        wg_a[a_kept + 6u * A_STEP * A_PITCH] = a6;
        wg_a[a_kept + 7u * A_STEP * A_PITCH] = a7;
        wg_b[b_kept + 0u * B_STEP * B_PITCH] = b0;
        wg_b[b_kept + 1u * B_STEP * B_PITCH] = b1;
        wg_b[b_kept + 2u * B_STEP * B_PITCH] = b2;
        wg_b[b_kept + 3u * B_STEP * B_PITCH] = b3;
        wg_b[b_kept + 4u * B_STEP * B_PITCH] = b4;
        wg_b[b_kept + 5u * B_STEP * B_PITCH] = b5;
        wg_b[b_kept + 6u * B_STEP * B_PITCH] = b6;
        wg_b[b_kept + 7u * B_STEP * B_PITCH] = b7;
        workgroupBarrier();
        // They come while the tile is multiplied. A test before each read would cost a fifth of the speed: inside of A and B, which
        // holds for whole workgroups, there is none.
        let next = k + DEPTH;
        let a_next = a_span(a_line, a_place, next, end);
        let b_next = b_span(b_line, b_place, next, end);
        if (is_inside && next + DEPTH <= end) {
            a0 = a[a_next.x + 0u * a_step];
            a1 = a[a_next.x + 1u * a_step];
            a2 = a[a_next.x + 2u * a_step];
            a3 = a[a_next.x + 3u * a_step];
            a4 = a[a_next.x + 4u * a_step];
            a5 = a[a_next.x + 5u * a_step];
            a6 = a[a_next.x + 6u * a_step];
            a7 = a[a_next.x + 7u * a_step];
            b0 = b[b_next.x + 0u * b_step];
            b1 = b[b_next.x + 1u * b_step];
            b2 = b[b_next.x + 2u * b_step];
            b3 = b[b_next.x + 3u * b_step];
            b4 = b[b_next.x + 4u * b_step];
            b5 = b[b_next.x + 5u * b_step];
            b6 = b[b_next.x + 6u * b_step];
            b7 = b[b_next.x + 7u * b_step];
        } else if (next < end) {
            a0 = a_four(0u, a_next.x, a_next.y);
            a1 = a_four(1u, a_next.x, a_next.y);
            a2 = a_four(2u, a_next.x, a_next.y);
            a3 = a_four(3u, a_next.x, a_next.y);
            a4 = a_four(4u, a_next.x, a_next.y);
            a5 = a_four(5u, a_next.x, a_next.y);
            a6 = a_four(6u, a_next.x, a_next.y);
            a7 = a_four(7u, a_next.x, a_next.y);
            b0 = b_four(0u, b_next.x, b_next.y);
            b1 = b_four(1u, b_next.x, b_next.y);
            b2 = b_four(2u, b_next.x, b_next.y);
            b3 = b_four(3u, b_next.x, b_next.y);
            b4 = b_four(4u, b_next.x, b_next.y);
            b5 = b_four(5u, b_next.x, b_next.y);
            b6 = b_four(6u, b_next.x, b_next.y);
            b7 = b_four(7u, b_next.x, b_next.y);
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
        // Written out: a driver that leaves this a loop is 6 % slower.
        {
#ifdef TN
            let left0 = coopLoad<Left>(&wg_a[a_at + 0u * SIDE * A_PITCH + 0u * SIDE / 4u], a_pitch);
            let left1 = coopLoad<Left>(&wg_a[a_at + 0u * SIDE * A_PITCH + 1u * SIDE / 4u], a_pitch);
            let left2 = coopLoad<Left>(&wg_a[a_at + 0u * SIDE * A_PITCH + 2u * SIDE / 4u], a_pitch);
            let left3 = coopLoad<Left>(&wg_a[a_at + 0u * SIDE * A_PITCH + 3u * SIDE / 4u], a_pitch);
#else
            let left0 = coopLoadT<Left>(&wg_a[a_at + 0u * SIDE / 4u + 0u * SIDE * A_PITCH], a_pitch);
            let left1 = coopLoadT<Left>(&wg_a[a_at + 0u * SIDE / 4u + 1u * SIDE * A_PITCH], a_pitch);
            let left2 = coopLoadT<Left>(&wg_a[a_at + 0u * SIDE / 4u + 2u * SIDE * A_PITCH], a_pitch);
            let left3 = coopLoadT<Left>(&wg_a[a_at + 0u * SIDE / 4u + 3u * SIDE * A_PITCH], a_pitch);
#endif
#ifdef NT
            let right0 = coopLoad<Right>(&wg_b[b_at + 0u * SIDE / 4u + 0u * SIDE * B_PITCH], b_pitch);
            let right1 = coopLoad<Right>(&wg_b[b_at + 0u * SIDE / 4u + 1u * SIDE * B_PITCH], b_pitch);
#else
            let right0 = coopLoadT<Right>(&wg_b[b_at + 0u * SIDE * B_PITCH + 0u * SIDE / 4u], b_pitch);
            let right1 = coopLoadT<Right>(&wg_b[b_at + 0u * SIDE * B_PITCH + 1u * SIDE / 4u], b_pitch);
#endif
            sum00 = coopMultiplyAdd(left0, right0, sum00);
            sum01 = coopMultiplyAdd(left0, right1, sum01);
            sum10 = coopMultiplyAdd(left1, right0, sum10);
            sum11 = coopMultiplyAdd(left1, right1, sum11);
            sum20 = coopMultiplyAdd(left2, right0, sum20);
            sum21 = coopMultiplyAdd(left2, right1, sum21);
            sum30 = coopMultiplyAdd(left3, right0, sum30);
            sum31 = coopMultiplyAdd(left3, right1, sum31);
        }
        {
#ifdef TN
            let left0 = coopLoad<Left>(&wg_a[a_at + 1u * SIDE * A_PITCH + 0u * SIDE / 4u], a_pitch);
            let left1 = coopLoad<Left>(&wg_a[a_at + 1u * SIDE * A_PITCH + 1u * SIDE / 4u], a_pitch);
            let left2 = coopLoad<Left>(&wg_a[a_at + 1u * SIDE * A_PITCH + 2u * SIDE / 4u], a_pitch);
            let left3 = coopLoad<Left>(&wg_a[a_at + 1u * SIDE * A_PITCH + 3u * SIDE / 4u], a_pitch);
#else
            let left0 = coopLoadT<Left>(&wg_a[a_at + 1u * SIDE / 4u + 0u * SIDE * A_PITCH], a_pitch);
            let left1 = coopLoadT<Left>(&wg_a[a_at + 1u * SIDE / 4u + 1u * SIDE * A_PITCH], a_pitch);
            let left2 = coopLoadT<Left>(&wg_a[a_at + 1u * SIDE / 4u + 2u * SIDE * A_PITCH], a_pitch);
            let left3 = coopLoadT<Left>(&wg_a[a_at + 1u * SIDE / 4u + 3u * SIDE * A_PITCH], a_pitch);
#endif
#ifdef NT
            let right0 = coopLoad<Right>(&wg_b[b_at + 1u * SIDE / 4u + 0u * SIDE * B_PITCH], b_pitch);
            let right1 = coopLoad<Right>(&wg_b[b_at + 1u * SIDE / 4u + 1u * SIDE * B_PITCH], b_pitch);
#else
            let right0 = coopLoadT<Right>(&wg_b[b_at + 1u * SIDE * B_PITCH + 0u * SIDE / 4u], b_pitch);
            let right1 = coopLoadT<Right>(&wg_b[b_at + 1u * SIDE * B_PITCH + 1u * SIDE / 4u], b_pitch);
#endif
            sum00 = coopMultiplyAdd(left0, right0, sum00);
            sum01 = coopMultiplyAdd(left0, right1, sum01);
            sum10 = coopMultiplyAdd(left1, right0, sum10);
            sum11 = coopMultiplyAdd(left1, right1, sum11);
            sum20 = coopMultiplyAdd(left2, right0, sum20);
            sum21 = coopMultiplyAdd(left2, right1, sum21);
            sum30 = coopMultiplyAdd(left3, right0, sum30);
            sum31 = coopMultiplyAdd(left3, right1, sum31);
        }
        {
#ifdef TN
            let left0 = coopLoad<Left>(&wg_a[a_at + 2u * SIDE * A_PITCH + 0u * SIDE / 4u], a_pitch);
            let left1 = coopLoad<Left>(&wg_a[a_at + 2u * SIDE * A_PITCH + 1u * SIDE / 4u], a_pitch);
            let left2 = coopLoad<Left>(&wg_a[a_at + 2u * SIDE * A_PITCH + 2u * SIDE / 4u], a_pitch);
            let left3 = coopLoad<Left>(&wg_a[a_at + 2u * SIDE * A_PITCH + 3u * SIDE / 4u], a_pitch);
#else
            let left0 = coopLoadT<Left>(&wg_a[a_at + 2u * SIDE / 4u + 0u * SIDE * A_PITCH], a_pitch);
            let left1 = coopLoadT<Left>(&wg_a[a_at + 2u * SIDE / 4u + 1u * SIDE * A_PITCH], a_pitch);
            let left2 = coopLoadT<Left>(&wg_a[a_at + 2u * SIDE / 4u + 2u * SIDE * A_PITCH], a_pitch);
            let left3 = coopLoadT<Left>(&wg_a[a_at + 2u * SIDE / 4u + 3u * SIDE * A_PITCH], a_pitch);
#endif
#ifdef NT
            let right0 = coopLoad<Right>(&wg_b[b_at + 2u * SIDE / 4u + 0u * SIDE * B_PITCH], b_pitch);
            let right1 = coopLoad<Right>(&wg_b[b_at + 2u * SIDE / 4u + 1u * SIDE * B_PITCH], b_pitch);
#else
            let right0 = coopLoadT<Right>(&wg_b[b_at + 2u * SIDE * B_PITCH + 0u * SIDE / 4u], b_pitch);
            let right1 = coopLoadT<Right>(&wg_b[b_at + 2u * SIDE * B_PITCH + 1u * SIDE / 4u], b_pitch);
#endif
            sum00 = coopMultiplyAdd(left0, right0, sum00);
            sum01 = coopMultiplyAdd(left0, right1, sum01);
            sum10 = coopMultiplyAdd(left1, right0, sum10);
            sum11 = coopMultiplyAdd(left1, right1, sum11);
            sum20 = coopMultiplyAdd(left2, right0, sum20);
            sum21 = coopMultiplyAdd(left2, right1, sum21);
            sum30 = coopMultiplyAdd(left3, right0, sum30);
            sum31 = coopMultiplyAdd(left3, right1, sum31);
        }
        {
#ifdef TN
            let left0 = coopLoad<Left>(&wg_a[a_at + 3u * SIDE * A_PITCH + 0u * SIDE / 4u], a_pitch);
            let left1 = coopLoad<Left>(&wg_a[a_at + 3u * SIDE * A_PITCH + 1u * SIDE / 4u], a_pitch);
            let left2 = coopLoad<Left>(&wg_a[a_at + 3u * SIDE * A_PITCH + 2u * SIDE / 4u], a_pitch);
            let left3 = coopLoad<Left>(&wg_a[a_at + 3u * SIDE * A_PITCH + 3u * SIDE / 4u], a_pitch);
#else
            let left0 = coopLoadT<Left>(&wg_a[a_at + 3u * SIDE / 4u + 0u * SIDE * A_PITCH], a_pitch);
            let left1 = coopLoadT<Left>(&wg_a[a_at + 3u * SIDE / 4u + 1u * SIDE * A_PITCH], a_pitch);
            let left2 = coopLoadT<Left>(&wg_a[a_at + 3u * SIDE / 4u + 2u * SIDE * A_PITCH], a_pitch);
            let left3 = coopLoadT<Left>(&wg_a[a_at + 3u * SIDE / 4u + 3u * SIDE * A_PITCH], a_pitch);
#endif
#ifdef NT
            let right0 = coopLoad<Right>(&wg_b[b_at + 3u * SIDE / 4u + 0u * SIDE * B_PITCH], b_pitch);
            let right1 = coopLoad<Right>(&wg_b[b_at + 3u * SIDE / 4u + 1u * SIDE * B_PITCH], b_pitch);
#else
            let right0 = coopLoadT<Right>(&wg_b[b_at + 3u * SIDE * B_PITCH + 0u * SIDE / 4u], b_pitch);
            let right1 = coopLoadT<Right>(&wg_b[b_at + 3u * SIDE * B_PITCH + 1u * SIDE / 4u], b_pitch);
#endif
            sum00 = coopMultiplyAdd(left0, right0, sum00);
            sum01 = coopMultiplyAdd(left0, right1, sum01);
            sum10 = coopMultiplyAdd(left1, right0, sum10);
            sum11 = coopMultiplyAdd(left1, right1, sum11);
            sum20 = coopMultiplyAdd(left2, right0, sum20);
            sum21 = coopMultiplyAdd(left2, right1, sum21);
            sum30 = coopMultiplyAdd(left3, right0, sum30);
            sum31 = coopMultiplyAdd(left3, right1, sum31);
        }
        workgroupBarrier();
    }

    // Those beyond the last part write nothing: their rows are beyond the last.
    let m = select(params.rows, first_row + row, part < params.parts);
    let n = first_column + column;
    let is_bare = params.has_factors + params.accumulates == 0u && ACTIVATION_OUT == 0u;
    let is_plain = is_inside && part < params.parts && is_bare;
    if (!is_plain) {
        coopStoreT(sum00, &wg_sums[sums_at], sums_pitch);
        workgroupBarrier();
        store_matrix(part, m + 0u * SIDE, n + 0u * SIDE, subgroup, lane);
        workgroupBarrier();
        coopStoreT(sum01, &wg_sums[sums_at], sums_pitch);
        workgroupBarrier();
        store_matrix(part, m + 0u * SIDE, n + 1u * SIDE, subgroup, lane);
        workgroupBarrier();
        coopStoreT(sum10, &wg_sums[sums_at], sums_pitch);
        workgroupBarrier();
        store_matrix(part, m + 1u * SIDE, n + 0u * SIDE, subgroup, lane);
        workgroupBarrier();
        coopStoreT(sum11, &wg_sums[sums_at], sums_pitch);
        workgroupBarrier();
        store_matrix(part, m + 1u * SIDE, n + 1u * SIDE, subgroup, lane);
        workgroupBarrier();
        coopStoreT(sum20, &wg_sums[sums_at], sums_pitch);
        workgroupBarrier();
        store_matrix(part, m + 2u * SIDE, n + 0u * SIDE, subgroup, lane);
        workgroupBarrier();
        coopStoreT(sum21, &wg_sums[sums_at], sums_pitch);
        workgroupBarrier();
        store_matrix(part, m + 2u * SIDE, n + 1u * SIDE, subgroup, lane);
        workgroupBarrier();
        coopStoreT(sum30, &wg_sums[sums_at], sums_pitch);
        workgroupBarrier();
        store_matrix(part, m + 3u * SIDE, n + 0u * SIDE, subgroup, lane);
        workgroupBarrier();
        coopStoreT(sum31, &wg_sums[sums_at], sums_pitch);
        workgroupBarrier();
        store_matrix(part, m + 3u * SIDE, n + 1u * SIDE, subgroup, lane);
        workgroupBarrier();
    }
    if (is_plain) {
        let pitch = params.c_stride;
        let at = params.c_first + part * params.part_stride + m * pitch + n;
        let at0 = at + 0u * SIDE * pitch;
        let next0 = at0 + SIDE;
        coopStoreT(sum00, &c[at0], pitch);
        coopStoreT(sum01, &c[next0], pitch);
        let at1 = at + 1u * SIDE * pitch;
        let next1 = at1 + SIDE;
        coopStoreT(sum10, &c[at1], pitch);
        coopStoreT(sum11, &c[next1], pitch);
        let at2 = at + 2u * SIDE * pitch;
        let next2 = at2 + SIDE;
        coopStoreT(sum20, &c[at2], pitch);
        coopStoreT(sum21, &c[next2], pitch);
        let at3 = at + 3u * SIDE * pitch;
        let next3 = at3 + SIDE;
        coopStoreT(sum30, &c[at3], pitch);
        coopStoreT(sum31, &c[next3], pitch);
    }
}
