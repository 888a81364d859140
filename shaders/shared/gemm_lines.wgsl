// How factors come to products by matrices: TILE lines of DEPTH, of which invocations read fours. NT, NN, TN: how A and B lie.

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

// Two fours more to a line of a tile: neighbours fall into other memory banks.
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
// Lines that all invocations together read at a time.
const A_STEP = WORKGROUP / A_WIDTH;
const B_STEP = WORKGROUP / B_WIDTH;

// What an invocation reads of a tile from k on: its first four, and how many lines are there, none where its place in a line is not.
fn a_span(line: u32, place: u32, k: u32, end: u32) -> vec2u {
#ifdef TN
    let left = select(0u, end - min(k + line, end), place < params.rows);
    return vec2u((params.a_first + (k + line) * params.a_stride + place) / 4u, left);
#else
    let left = select(0u, params.rows - min(line, params.rows), k + place < end);
    return vec2u((params.a_first + line * params.a_stride + k + place) / 4u, left);
#endif
}

fn b_span(line: u32, place: u32, k: u32, end: u32) -> vec2u {
#ifdef NT
    let left = select(0u, params.columns - min(line, params.columns), k + place < end);
    return vec2u((params.b_first + line * params.b_stride + k + place) / 4u, left);
#else
    let left = select(0u, end - min(k + line, end), place < params.columns);
    return vec2u((params.b_first + (k + line) * params.b_stride + place) / 4u, left);
#endif
}
