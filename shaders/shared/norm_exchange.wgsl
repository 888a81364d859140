// A part of the text of cell/persistent.wgsl: what a step of cells with layer norms does besides. The product `r` of each unit comes
// from weights less their means along the rows: so its own mean is 0, and the sum of its squares is all that workgroups hand to each other. Of
// a state they hand out the squares around the mean of their units, and that mean.
            let in_batch = own < CHUNK && n < params.batch;
            let sums_at = (k * params.batch + n) * unit_groups();
            let reads = in_batch && !stops && runs(n, frame);
            if (CELL_NORM != 0u) {
                let squares = over_units(spans(r * r), local);
                if (reads && place == 0u) {
                    hand_out(sums_at + group.x, squares, NORM_VALUES);
                }
                if (IN_TURN != 0u) {
                    workgroupBarrier();
                }
                let parts_of_all = received(sums_at, place, NORM_VALUES, reads, &limit);
                var sum = vec4f();
#repeat j NORM_LOADS
                sum += parts_of_all[$j];
#end
                var total = over_units(sum, local);
                stops = stops || is_missing(total);
                if (CELL_NORM == 1u) {
                    total = vec4f(total.x);
                }
                let factor = inverseSqrt(max(total, vec4f()) / span_size() + norm_eps());
                r = select(vec4f(), r * factor * gains, row_lanes());
            }
            r += bias;
            var after = vec4f();
            if (finishes) {
                after = cell_update(x, r, s, p, m);
            }
            if (CELL_STATE_NORM != 0u) {
                let state = select(0.0, after[CELL_STATE_NORM], finishes);
                let own_mean = over_units(vec4f(state, vec3f()), local).x / units_of(group.x);
                let own_delta = select(0.0, state - own_mean, finishes);
                let squares = over_units(vec4f(own_delta * own_delta, vec3f()), local).x;
                let state_sums_at = sums_at + min(CELL_NORM, 1u) * params.frames * params.batch * unit_groups();
                let still_reads = reads && !stops;
                if (still_reads && place == 0u) {
                    hand_out(state_sums_at + group.x, vec4f(squares, own_mean, 0.0, 0.0), 2u);
                }
                if (IN_TURN != 0u) {
                    workgroupBarrier();
                }
                let parts_of_state = received(state_sums_at, place, 2u, still_reads, &limit);
                var sum = 0.0;
#repeat j NORM_LOADS
                sum += units_of(place + $(j)u * UNITS) * parts_of_state[$j].y;
#end
                let mean = over_units(vec4f(sum, vec3f()), local).x / f32(hidden);
                // Of parts around the mean of all (Chan, Golub and LeVeque 1983).
                var around = 0.0;
#repeat j NORM_LOADS
                let delta$j = parts_of_state[$j].y - mean;
                around += parts_of_state[$j].x + units_of(place + $(j)u * UNITS) * delta$j * delta$j;
#end
                let total = over_units(vec4f(around, vec3f()), local);
                stops = stops || is_missing(total);
                let variance = max(total.x, 0.0) / f32(hidden);
                if (finishes) {
                    let normed = (state - mean) * inverseSqrt(variance + state_eps()) * state_gain + state_bias;
                    after.x = cell_output(x, r, after, p, m, normed);
                }
            }
