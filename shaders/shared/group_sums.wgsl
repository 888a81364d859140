// Sums over all units of a sequence, where workgroups have some units each and wait for each other: each sums its own, hands that out,
// and adds up what all of them did. The importing kernel declares UNITS, CHUNK, SPINS, IN_TURN, wg_late and `params` with hidden.
#import exchange

// Shuffles sum 2^NORM_STAGES units that are side by side; the rest goes through workgroup memory.
#ifdef SUBGROUPS
#shape NORM_STAGES 2
#else
#shape NORM_STAGES 0
#endif
// Numbers that have sums of their own.
#shape NORM_VALUES 1
// Of so many workgroups an invocation reads the sums.
#shape NORM_LOADS 1

// What the first lane of a sum becomes where a part is missing.
const MISSING = -1e38;

fn is_missing(sum: vec4f) -> bool {
    return sum.x < 0.1 * MISSING;
}

// [CHUNK, UNITS >> NORM_STAGES]
var<workgroup> wg_sums_of_units: array<vec4f, CHUNK * (UNITS >> NORM_STAGES)>;

// Workgroups along the units, and the units of one of them.
fn unit_groups() -> u32 {
    return (params.hidden + UNITS - 1u) / UNITS;
}

fn units_of(group: u32) -> f32 {
    return f32(min(UNITS, params.hidden - min(group * UNITS, params.hidden)));
}

// Sums over the invocations of each sequence, UNITS side by side, in a fixed order. All invocations call this.
fn over_units(own: vec4f, local: u32) -> vec4f {
    var sum = own;
#repeat s NORM_STAGES
#repeat e NORM_VALUES
    sum[$e] += subgroupShuffleXor(sum[$e], 1u << $(s)u);
#end
#end
    const parts = UNITS >> NORM_STAGES;
    if (parts > 1u) {
        // The sums before these may still be read.
        workgroupBarrier();
        if (local < CHUNK * UNITS && local % (1u << NORM_STAGES) == 0u) {
            wg_sums_of_units[local >> NORM_STAGES] = sum;
        }
        workgroupBarrier();
        let first = min(local / UNITS, CHUNK - 1u) * parts;
        sum = wg_sums_of_units[first];
        for (var i = 1u; i < parts; i++) {
            sum += wg_sums_of_units[first + i];
        }
    }
    return sum;
}

// Waits for what workgroups handed out, from vector `first` on: of every UNITS-th of them, counted from `place`. What is not there, or
// not expected, is 0; what did not come in time has MISSING first.
fn received(first: u32, place: u32, count: u32, is_expected: bool, limit: ptr<function, u32>) -> array<vec4f, NORM_LOADS> {
#repeat j NORM_LOADS
    let group$j = place + $(j)u * UNITS;
    let at$j = first + min(group$j, unit_groups() - 1u);
    var words$j = select(vec4u(MINUS_ZERO), vec4u(), is_expected && group$j < unit_groups());
#end
    var spins = 0u;
    loop {
        var waits = false;
#repeat j NORM_LOADS
        waits = waits || any(words$j == vec4u());
#end
        if (!waits) {
            break;
        }
        if (spins >= *limit) {
            *limit = 1u;
            atomicStore(&wg_late, 1u);
            break;
        }
        spins++;
#repeat j NORM_LOADS
        let new$j = handed_at(at$j, count);
#end
#repeat j NORM_LOADS
        words$j = select(words$j, new$j, any(words$j == vec4u()));
#end
    }
    if (IN_TURN != 0u) {
#ifdef SUBGROUPS
        spins = subgroupMax(spins);
#endif
        *limit -= min(spins, *limit - 1u);
    }
    var sums: array<vec4f, NORM_LOADS>;
#repeat j NORM_LOADS
    sums[$j] = select(bitcast<vec4f>(words$j), vec4f(MISSING, 0.0, 0.0, 0.0), any(words$j == vec4u()));
#end
    return sums;
}
