// CTC gradient pass: d cost / d logits of a frame is its softmax minus the occupancies of the states,
// summed by symbol; by log-probabilities it is minus the occupancies. Rows beyond an utterance's frames, and utterances that are not ok, get exact zeros.
// Twin: src/cpu/ctc/gradient.rs.
//
// A row is done in tiles of symbols. The occupancies of the symbols of a tile stand in workgroup memory,
// where each is written by one invocation: the host lists the distinct labels of a target with their
// positions, so that no sum is shared, and every logit is read once and every gradient written once.
#import ctc_rows
#import ctc_occupancy
#import lattice_status
#import gradients

// Of each utterance at `distinct_at`: for each tile, and for the end, the address of its first entry; the
// entries, by symbol: the symbol, the address of its first position; and one more as the end.
@group(0) @binding(1)
var<storage, read> batch: array<u32>;
// Of each frame: weight of the blank, bits of the log2 normaliser.
@group(0) @binding(2)
var<storage, read> frames: array<vec2u>;
@group(0) @binding(3)
var<storage, read> lattice: array<vec4f>;
@group(0) @binding(4)
var<storage, read> anchors: array<vec4i>;
@group(0) @binding(5)
var<storage, read> results: array<u32>;

// Symbols of a tile for each invocation of a row.
const DEPTH = 8u;
// Occupancies of the tile of each row: those of the first symbols of all packs, then of the second ones, …
var<workgroup> wg_occupied: array<f32, DEPTH * WORKGROUP>;
var<workgroup> wg_blank: array<f32, WORKGROUP>;

// Takes the occupancies of a pack out of a tile that begins at `tile`.
fn take_occupied(tile: u32, pack: u32) -> Scores {
    let packs = DEPTH * LANES / PACK;
    let at = tile + pack;
#ifdef PACK4
    let x = vec4f(wg_occupied[at], wg_occupied[at + packs], wg_occupied[at + 2u * packs], wg_occupied[at + 3u * packs]);
    wg_occupied[at] = 0.0;
    wg_occupied[at + packs] = 0.0;
    wg_occupied[at + 2u * packs] = 0.0;
    wg_occupied[at + 3u * packs] = 0.0;
#else
#ifdef PACK2
    let x = vec2f(wg_occupied[at], wg_occupied[at + packs]);
    wg_occupied[at] = 0.0;
    wg_occupied[at + packs] = 0.0;
#else
    let x = wg_occupied[at];
    wg_occupied[at] = 0.0;
#endif
#endif
    return x;
}

fn put_occupied(tile: u32, symbol: u32, x: f32) {
    wg_occupied[tile + symbol % PACK * (DEPTH * LANES / PACK) + symbol / PACK] = x;
}

fn gradient_of(packed: Packed, normaliser: f32, occupied: Scores) -> Scores {
    let p = select(exp2(clean_scores(packed) * LOG2_E - normaliser), Scores(0.0), PICKED);
    return clamp(p - occupied, Scores(-params.clamp), Scores(params.clamp));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let n = params.first_utterance + group.z;
    let utterance = utterance(n);
    let row = locate(utterance, n, (group.x + group.y * groups.x) * (WORKGROUP / LANES) + local / LANES);
    let lane = local % LANES;
    let alive = row.is_frame && results[STATUS * params.utterances + n] == STATUS_OK;
    let at = frame_place(utterance, n, select(0u, row.t, alive), select(0u, row.place, alive));
    let normaliser = bitcast<f32>(frames[row.place].y);

    var blank = 0.0;
    for (var g = lane; g < select(0u, groups_of(utterance), alive); g += LANES) {
        let known = vec4u(4u * g) + vec4u(0u, 1u, 2u, 3u) <= vec4u(utterance.labels);
        let x = select(vec4f(0.0), blank_occupancies(at, g), known);
        blank += (x.x + x.y) + (x.z + x.w);
    }
    wg_blank[local] = blank;
    for (var i = 0u; i < DEPTH; i++) {
        wg_occupied[local + i * WORKGROUP] = 0.0;
    }
    for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (lane < reach) {
            blank += wg_blank[local + reach];
            wg_blank[local] = blank;
        }
    }
    workgroupBarrier();

    let span = span_of(row.start, select(0u, params.vocab, row.exists));
    let packs = span.count;
    let tile = local / LANES * LANES * DEPTH;
    let tile_packs = DEPTH * LANES / PACK;
    let tiles = (most_packs(params.vocab) + tile_packs - 1u) / tile_packs;
    for (var i = 0u; i < tiles; i++) {
        // Of the tile; before symbol 0 it wraps.
        let symbol = i * DEPTH * LANES + span.shift;
        if (alive) {
            var end = batch[utterance.distinct_at + i + 1u];
#ifdef UNALIGNED
            // Its last word may have the first symbol of the next.
            end += select(0u, 2u, i + 1u < tiles && span.shift == 1u);
#endif
            for (var entry = batch[utterance.distinct_at + i] + 2u * lane; entry < end; entry += 2u * LANES) {
#ifdef UNALIGNED
                if (batch[entry] - symbol >= DEPTH * LANES) {
                    continue;
                }
#endif
                var sum = 0.0;
                for (var p = batch[entry + 1u]; p < batch[entry + 3u]; p++) {
                    sum += occupancy(at, batch[p], 1u);
                }
                put_occupied(tile, batch[entry] - symbol, sum);
            }
            if (lane == 0u && params.blank - symbol < DEPTH * LANES) {
                put_occupied(tile, params.blank - symbol, blank);
            }
        }
        workgroupBarrier();
        // Two at a time: both are on their way before the first is wanted.
        for (var pack = lane; pack < tile_packs; pack += 2u * LANES) {
            let here = i * tile_packs + pack;
            let next = here + LANES;
            var a = Scores(0.0);
            var b = Scores(0.0);
            if (alive && packs > 0u) {
                var packed_a = Packed(0u);
                var packed_b = Packed(0u);
                if (!PICKED) {
                    packed_a = scores[span.first + min(here, packs - 1u)];
                    packed_b = scores[span.first + min(next, packs - 1u)];
                }
                a = utterance.scale * gradient_of(packed_a, normaliser, take_occupied(tile, pack));
                b = utterance.scale * gradient_of(packed_b, normaliser, take_occupied(tile, pack + LANES));
            }
            if (here < packs) {
                store(span, here, a);
            }
            if (next < packs) {
                store(span, next, b);
            }
        }
        workgroupBarrier();
    }
}
