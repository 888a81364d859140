// The product of `gemm.wgsl` by the matrices that subgroups of some devices multiply: A and B of f16, sums in f32. Eight
// subgroups, two down and four across, own a tile; each sums 4 x 2 matrices. NT, NN, TN: how A and B lie. Lines begin at multiples
// of four elements and are multiples of four long. Native only: browsers have no such matrices yet.
// Twin: src/dense/gemm.rs.
#import gemm_params

#ifdef SIDE8
const SIDE = 8u;
alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Sum = coop_mat8x8<f32, C>;
#else
const SIDE = 16u;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;
#endif
const TILE = 8u * SIDE;
const DEPTH = 4u * SIDE;
// Invocations: of eight subgroups.
override WORKGROUP: u32 = 16u * SIDE;

@group(0) @binding(1)
var<storage, read> a: array<vec4<f16>>;
@group(0) @binding(2)
var<storage, read> b: array<vec4<f16>>;

// Tiles as they lie in memory, in fours. Two fours more to a line: neighbours fall into other memory banks.
#ifdef TN
const A_WIDTH = TILE / 4u;
const A_LINES = DEPTH;
#else
const A_WIDTH = DEPTH / 4u;
const A_LINES = TILE;
#endif
#ifdef NT
const B_WIDTH = DEPTH / 4u;
const B_LINES = TILE;
#else
const B_WIDTH = TILE / 4u;
const B_LINES = DEPTH;
#endif
const A_PITCH = A_WIDTH + 2u;
const B_PITCH = B_WIDTH + 2u;
const FOURS = TILE * DEPTH / 4u;
var<workgroup> wg_a: array<vec4<f16>, A_LINES * A_PITCH>;
var<workgroup> wg_b: array<vec4<f16>, B_LINES * B_PITCH>;
// A matrix of sums for each subgroup.
var<workgroup> wg_sums: array<vec4f, 2u * SIDE * SIDE>;

// The i-th four of the tile of A that an invocation reads; zeros outside of A.
fn a_four(i: u32, local: u32, first_row: u32, k: u32, end: u32) -> vec4<f16> {
    let number = i * WORKGROUP + local;
    let line = number / A_WIDTH;
    let place = number % A_WIDTH * 4u;
#ifdef TN
    let is_in = k + line < end && first_row + place < params.rows;
    let at = params.a_first + (k + line) * params.a_stride + first_row + place;
#else
    let is_in = first_row + line < params.rows && k + place < end;
    let at = params.a_first + (first_row + line) * params.a_stride + k + place;
#endif
    if (number < FOURS && is_in) {
        return a[at / 4u];
    }
    return vec4<f16>();
}

fn b_four(i: u32, local: u32, first_column: u32, k: u32, end: u32) -> vec4<f16> {
    let number = i * WORKGROUP + local;
    let line = number / B_WIDTH;
    let place = number % B_WIDTH * 4u;
#ifdef NT
    let is_in = first_column + line < params.columns && k + place < end;
    let at = params.b_first + (first_column + line) * params.b_stride + k + place;
#else
    let is_in = k + line < end && first_column + place < params.columns;
    let at = params.b_first + (k + line) * params.b_stride + first_column + place;
#endif
    if (number < FOURS && is_in) {
        return b[at / 4u];
    }
    return vec4<f16>();
}

fn keep_a(i: u32, local: u32, four: vec4<f16>) {
    let number = i * WORKGROUP + local;
    if (number < FOURS) {
        wg_a[number / A_WIDTH * A_PITCH + number % A_WIDTH] = four;
    }
}

fn keep_b(i: u32, local: u32, four: vec4<f16>) {
    let number = i * WORKGROUP + local;
    if (number < FOURS) {
        wg_b[number / B_WIDTH * B_PITCH + number % B_WIDTH] = four;
    }
}

// Writes the matrix of sums of this subgroup that begins in row m and column n.
fn store_matrix(part: u32, m: u32, n: u32, subgroup: u32, lane: u32) {
    for (var i = lane; i < SIDE * SIDE / 4u; i += WORKGROUP / 8u) {
        store_four(part, m + i / (SIDE / 4u), n + i % (SIDE / 4u) * 4u, wg_sums[subgroup * SIDE * SIDE / 4u + i]);
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

    var sum00 = Sum();
    var sum01 = Sum();
    var sum10 = Sum();
    var sum11 = Sum();
    var sum20 = Sum();
    var sum21 = Sum();
    var sum30 = Sum();
    var sum31 = Sum();
    var a0 = a_four(0u, local, first_row, begin, end);
    var a1 = a_four(1u, local, first_row, begin, end);
    var a2 = a_four(2u, local, first_row, begin, end);
    var a3 = a_four(3u, local, first_row, begin, end);
    var a4 = a_four(4u, local, first_row, begin, end);
    var a5 = a_four(5u, local, first_row, begin, end);
    var a6 = a_four(6u, local, first_row, begin, end);
    var a7 = a_four(7u, local, first_row, begin, end);
    var b0 = b_four(0u, local, first_column, begin, end);
    var b1 = b_four(1u, local, first_column, begin, end);
    var b2 = b_four(2u, local, first_column, begin, end);
    var b3 = b_four(3u, local, first_column, begin, end);
    var b4 = b_four(4u, local, first_column, begin, end);
    var b5 = b_four(5u, local, first_column, begin, end);
    var b6 = b_four(6u, local, first_column, begin, end);
    var b7 = b_four(7u, local, first_column, begin, end);
    for (var k = begin; k < end; k += DEPTH) {
        keep_a(0u, local, a0);
        keep_a(1u, local, a1);
        keep_a(2u, local, a2);
        keep_a(3u, local, a3);
        keep_a(4u, local, a4);
        keep_a(5u, local, a5);
        keep_a(6u, local, a6);
        keep_a(7u, local, a7);
        keep_b(0u, local, b0);
        keep_b(1u, local, b1);
        keep_b(2u, local, b2);
        keep_b(3u, local, b3);
        keep_b(4u, local, b4);
        keep_b(5u, local, b5);
        keep_b(6u, local, b6);
        keep_b(7u, local, b7);
        workgroupBarrier();
        // They come while the tile is multiplied.
        a0 = a_four(0u, local, first_row, k + DEPTH, end);
        a1 = a_four(1u, local, first_row, k + DEPTH, end);
        a2 = a_four(2u, local, first_row, k + DEPTH, end);
        a3 = a_four(3u, local, first_row, k + DEPTH, end);
        a4 = a_four(4u, local, first_row, k + DEPTH, end);
        a5 = a_four(5u, local, first_row, k + DEPTH, end);
        a6 = a_four(6u, local, first_row, k + DEPTH, end);
        a7 = a_four(7u, local, first_row, k + DEPTH, end);
        b0 = b_four(0u, local, first_column, k + DEPTH, end);
        b1 = b_four(1u, local, first_column, k + DEPTH, end);
        b2 = b_four(2u, local, first_column, k + DEPTH, end);
        b3 = b_four(3u, local, first_column, k + DEPTH, end);
        b4 = b_four(4u, local, first_column, k + DEPTH, end);
        b5 = b_four(5u, local, first_column, k + DEPTH, end);
        b6 = b_four(6u, local, first_column, k + DEPTH, end);
        b7 = b_four(7u, local, first_column, k + DEPTH, end);
        for (var depth = 0u; depth < DEPTH; depth += SIDE) {
#ifdef TN
            let a_at = depth * A_PITCH + row / 4u;
            let left0 = coopLoad<Left>(&wg_a[a_at + 0u * SIDE / 4u], a_pitch);
            let left1 = coopLoad<Left>(&wg_a[a_at + 1u * SIDE / 4u], a_pitch);
            let left2 = coopLoad<Left>(&wg_a[a_at + 2u * SIDE / 4u], a_pitch);
            let left3 = coopLoad<Left>(&wg_a[a_at + 3u * SIDE / 4u], a_pitch);
#else
            let a_at = row * A_PITCH + depth / 4u;
            let left0 = coopLoadT<Left>(&wg_a[a_at + 0u * SIDE * A_PITCH], a_pitch);
            let left1 = coopLoadT<Left>(&wg_a[a_at + 1u * SIDE * A_PITCH], a_pitch);
            let left2 = coopLoadT<Left>(&wg_a[a_at + 2u * SIDE * A_PITCH], a_pitch);
            let left3 = coopLoadT<Left>(&wg_a[a_at + 3u * SIDE * A_PITCH], a_pitch);
#endif
#ifdef NT
            let b_at = column * B_PITCH + depth / 4u;
            let right0 = coopLoad<Right>(&wg_b[b_at + 0u * SIDE * B_PITCH], b_pitch);
            let right1 = coopLoad<Right>(&wg_b[b_at + 1u * SIDE * B_PITCH], b_pitch);
#else
            let b_at = depth * B_PITCH + column / 4u;
            let right0 = coopLoadT<Right>(&wg_b[b_at + 0u * SIDE / 4u], b_pitch);
            let right1 = coopLoadT<Right>(&wg_b[b_at + 1u * SIDE / 4u], b_pitch);
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
    let is_whole = part < params.parts && first_row + TILE <= params.rows && first_column + TILE <= params.columns;
    let is_plain = is_whole && params.has_bias == 0u && params.activation_out == 0u && params.accumulates == 0u;
    if (!is_plain) {
        let sums_at = subgroup * SIDE * SIDE / 4u;
        let sums_pitch = SIDE / 4u;
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
