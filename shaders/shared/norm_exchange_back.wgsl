// A part of the text of cell/persistent_gradient.wgsl: what a step of cells whose product is normalised does besides. Workgroups hand
// to each other the sums that the norm's derivative takes, before they know the gradients of the rows.
            let reads = own < CHUNK && n < params.batch && k < params.frames && !stops && runs(n, frame);
            let hat = before.r;
            let d_hat = select(vec4f(), g.r * gains, running);
            let sums_at = params.frames * plane() + (k * params.batch + n) * SUM_VECTORS * unit_groups();
            var all_sums: array<vec4f, 2>;
            for (var vector = 0u; vector < SUM_VECTORS; vector++) {
                let sums = over_units(unit_sums(vector, d_hat, hat), local);
                if (reads && place == 0u) {
                    hand_out(sums_at + vector * unit_groups() + group.x, sums, NORM_VALUES);
                }
            }
            if (IN_TURN != 0u) {
                workgroupBarrier();
            }
            for (var vector = 0u; vector < SUM_VECTORS; vector++) {
                let parts_of_all = received(sums_at + vector * unit_groups(), place, NORM_VALUES, reads, &limit);
                var sum = vec4f();
#repeat j NORM_LOADS
                sum += parts_of_all[$j];
#end
                all_sums[vector] = over_units(sum, local);
                stops = stops || is_missing(all_sums[vector]);
            }
            let d_rows = before_norm(d_hat, hat, factors, all_sums[0], all_sums[1]);
