// A part of the text of cell/persistent_gradient.wgsl: what a step of cells with layer norms does besides. Workgroups hand to each other
// the sums that the norms' derivatives take, before they know the gradients of the rows. Those of a normalised state wait for nobody
// else: what its means do to the sums of the product is known beforehand.
            let reads = own < CHUNK && n < params.batch && k < params.frames && !stops && runs(n, frame);
            let hat = before.r;
            let d_hat = select(vec4f(), g.r * gains, running);
            let d_state = select(0.0, d_shown * state_affine.x, running);
            let sums_at = params.frames * plane() + (k * params.batch + n) * SUM_VECTORS * unit_groups();
            var all_sums: Sums;
            for (var vector = 0u; vector < SUM_VECTORS; vector++) {
                let sums = over_units(unit_sums(vector, d_hat, hat, d_state, state_hat), local);
                if (reads && place == 0u) {
                    hand_out(sums_at + vector * unit_groups() + group.x, sums, NORM_VALUES);
                }
            }
            // Read while the sums of the others come.
            var of_means = OfMeans();
            if (reads) {
                of_means = of_means_at(frame, n);
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
            var means_part = 0.0;
            if (CELL_STATE_NORM != 0u) {
                means_part = select(0.0, mean_part(all_sums[STATE_VECTOR].zw, state_hat), running);
                g = less(g, means_part, of_state);
            }
            let all_means = with_means(all_sums, of_means);
            let d_rows = before_norm(d_hat - means_part * of_state.r * gains, hat, factors, all_means[0], all_means[1]);
