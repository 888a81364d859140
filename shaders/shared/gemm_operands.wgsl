// The factors of `gemm.wgsl`, read in fours: four neighbours of a line, as they lie in memory, so that nothing waits for
// them before they are needed. PACK4: lines begin at multiples of four elements and are multiples of four long.
// F16: each factor may be f16, two in a word, without any need of f16 arithmetic.
#import gemm_params

#ifdef F16
override A_HALF: bool = false;
override B_HALF: bool = false;
// f32: four words; f16: two, or the bits of one element each.
alias Four = vec4u;
#ifdef PACK4
alias Words = vec2u;
#else
alias Words = u32;
#endif
#else
alias Four = vec4f;
#ifdef PACK4
alias Words = vec4f;
#else
alias Words = f32;
#endif
#endif

// Whether the elements of a line follow k: A [rows, depth], not [depth, rows]; B [columns, depth], not [depth, columns].
override A_DEEP: bool = false;
override B_DEEP: bool = false;

@group(0) @binding(1)
var<storage, read> a: array<Words>;
@group(0) @binding(2)
var<storage, read> b: array<Words>;

// What lies outside is read from the beginning and dropped: without branches, which some compilers take minutes for.

// Fours of four lines.
struct Lines {
    first: Four,
    second: Four,
    third: Four,
    fourth: Four,
}

#ifdef PACK4
fn a_four(at: u32) -> Four {
#ifdef F16
    if (A_HALF) {
        return vec4u(a[at / 4u], 0u, 0u);
    }
    return vec4u(a[at / 2u], a[at / 2u + 1u]);
#else
    return a[at / 4u];
#endif
}

fn b_four(at: u32) -> Four {
#ifdef F16
    if (B_HALF) {
        return vec4u(b[at / 4u], 0u, 0u);
    }
    return vec4u(b[at / 2u], b[at / 2u + 1u]);
#else
    return b[at / 4u];
#endif
}

fn a_line(line: u32, begin: u32, lines: u32, end: u32) -> Four {
    let is_in = line < lines && begin < end;
    let four = a_four(select(0u, params.a_first + line * params.a_stride + begin, is_in));
    return select(Four(), four, is_in);
}

fn b_line(line: u32, begin: u32, lines: u32, end: u32) -> Four {
    let is_in = line < lines && begin < end;
    let four = b_four(select(0u, params.b_first + line * params.b_stride + begin, is_in));
    return select(Four(), four, is_in);
}
#else
#ifdef F16
fn a_one(at: u32, is_in: bool) -> u32 {
    let word = a[select(0u, select(at, at / 2u, A_HALF), is_in)];
    return select(0u, select(word, (word >> (16u * (at % 2u))) & 0xffffu, A_HALF), is_in);
}

fn b_one(at: u32, is_in: bool) -> u32 {
    let word = b[select(0u, select(at, at / 2u, B_HALF), is_in)];
    return select(0u, select(word, (word >> (16u * (at % 2u))) & 0xffffu, B_HALF), is_in);
}
#else
fn a_one(at: u32, is_in: bool) -> f32 {
    return select(0.0, a[select(0u, at, is_in)], is_in);
}

fn b_one(at: u32, is_in: bool) -> f32 {
    return select(0.0, b[select(0u, at, is_in)], is_in);
}
#endif

fn a_line(line: u32, begin: u32, lines: u32, end: u32) -> Four {
    let at = params.a_first + line * params.a_stride + begin;
    let left = select(0u, end - min(begin, end), line < lines);
    return Four(a_one(at, left > 0u), a_one(at + 1u, left > 1u), a_one(at + 2u, left > 2u), a_one(at + 3u, left > 3u));
}

fn b_line(line: u32, begin: u32, lines: u32, end: u32) -> Four {
    let at = params.b_first + line * params.b_stride + begin;
    let left = select(0u, end - min(begin, end), line < lines);
    return Four(b_one(at, left > 0u), b_one(at + 1u, left > 1u), b_one(at + 2u, left > 2u), b_one(at + 3u, left > 3u));
}
#endif

// Rows m .. m + 4 of A at k .. k + 4. What lies outside of A, or from `end` on, is zero.
fn load_a(m: u32, k: u32, end: u32) -> Lines {
    if (A_DEEP) {
        let rows = params.rows;
        return Lines(a_line(m, k, rows, end), a_line(m + 1u, k, rows, end), a_line(m + 2u, k, rows, end), a_line(m + 3u, k, rows, end));
    }
    let rows = params.rows;
    return Lines(a_line(k, m, end, rows), a_line(k + 1u, m, end, rows), a_line(k + 2u, m, end, rows), a_line(k + 3u, m, end, rows));
}

// Columns n .. n + 4 of B, likewise.
fn load_b(n: u32, k: u32, end: u32) -> Lines {
    if (B_DEEP) {
        let columns = params.columns;
        return Lines(b_line(n, k, columns, end), b_line(n + 1u, k, columns, end), b_line(n + 2u, k, columns, end), b_line(n + 3u, k, columns, end));
    }
    let columns = params.columns;
    return Lines(b_line(k, n, end, columns), b_line(k + 1u, n, end, columns), b_line(k + 2u, n, end, columns), b_line(k + 3u, n, end, columns));
}

#ifdef F16
fn values(four: Four, half: bool) -> vec4f {
    if (half) {
#ifdef PACK4
        return vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
#else
        return vec4f(unpack2x16float(four.x | (four.y << 16u)), unpack2x16float(four.z | (four.w << 16u)));
#endif
    }
    return bitcast<vec4f>(four);
}

fn a_values(four: Four) -> vec4f {
    return values(four, A_HALF);
}

fn b_values(four: Four) -> vec4f {
    return values(four, B_HALF);
}
#else
fn a_values(four: Four) -> vec4f {
    return four;
}

fn b_values(four: Four) -> vec4f {
    return four;
}
#endif

// A vector over four rows for each of four k.
fn a_block(lines: Lines) -> mat4x4f {
    var block = mat4x4f(a_values(lines.first), a_values(lines.second), a_values(lines.third), a_values(lines.fourth));
    if (A_DEEP) {
        block = transpose(block);
    }
    if (ACTIVATION_IN != 0u) {
        let code = ACTIVATION_IN;
        block = mat4x4f(
            activate_four(code, block[0]),
            activate_four(code, block[1]),
            activate_four(code, block[2]),
            activate_four(code, block[3]),
        );
    }
    return block;
}

// A vector over four columns for each of four k.
fn b_block(lines: Lines) -> mat4x4f {
    let block = mat4x4f(b_values(lines.first), b_values(lines.second), b_values(lines.third), b_values(lines.fourth));
    if (B_DEEP) {
        return transpose(block);
    }
    return block;
}
