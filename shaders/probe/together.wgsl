// How many workgroups run at the same time, if each takes as many registers as those that keep weights there; and whether they see what
// the others write while they run. Two launches: the first counts, the second lets as many speak to each other.
// Twin: none is needed, nothing waits on the CPU.

struct Params {
    // 0: counts. 1: speaks.
    phase: u32,
    // How often a workgroup speaks, and how often it looks for others, at most.
    rounds: u32,
    spins: u32,
    // Workgroups of a launch.
    groups: u32,
}

@group(0) @binding(0)
var<uniform> params: Params;
// [REGISTERS, LANES]
@group(0) @binding(1)
var<storage, read> source: array<vec4f>;
// Arrivals; 2^32 - 1 less the fewest that any workgroup saw; whether one waited in vain; sums that nobody reads; [rounds, groups]
// what was said. All 0 beforehand.
@group(0) @binding(2)
var<storage, read_write> words: array<atomic<u32>>;

const LANES = 256u;
const FIRST_WORD = 4u;
const ALL = 0xffffffffu;
#shape REGISTERS 40

var<workgroup> wg_late: atomic<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
#repeat i REGISTERS
    var kept$i = source[$(i)u * LANES + local];
#end
    if (local == 0u) {
        atomicStore(&wg_late, 0u);
    }
    workgroupBarrier();
    if (params.phase == 0u) {
        if (local == 0u) {
            var seen = atomicAdd(&words[0], 1u) + 1u;
            // Until no other has come for long.
            for (var i = 0u; i < params.spins; i++) {
                seen = max(seen, atomicLoad(&words[0]));
                // What changes all the time cannot be read again later instead of being kept.
#repeat i REGISTERS
                kept$i = fma(kept$i, vec4f(0.5), vec4f(f32(seen)));
#end
            }
            atomicMax(&words[1], ALL - seen);
        }
    } else {
        let count = min(ALL - atomicLoad(&words[1]), params.groups);
        for (var round = 0u; round < params.rounds; round++) {
            if (local == 0u && group.x < count) {
                atomicStore(&words[FIRST_WORD + round * params.groups + group.x], 1u);
            }
            var late = atomicLoad(&wg_late) != 0u;
            for (var other = local; other < count && group.x < count; other += LANES) {
                var spins = 0u;
                while (!late && atomicLoad(&words[FIRST_WORD + round * params.groups + other]) == 0u) {
                    spins++;
                    late = spins > params.spins;
                }
            }
            if (late) {
                atomicStore(&wg_late, 1u);
                atomicStore(&words[2], 1u);
            }
            workgroupBarrier();
        }
    }
    // Registers are kept for what is used last.
    var sum = vec4f();
#repeat i REGISTERS
    sum += kept$i;
#end
    // All four, or the others would not be kept.
    if ((sum.x + sum.y) + (sum.z + sum.w) == 1.0) {
        atomicAdd(&words[3], 1u);
    }
}
