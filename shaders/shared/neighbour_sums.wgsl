// A part of the text of kernels that keep weights in registers: sums of each accumulator (of a sequence of the tile and a unit) over
// neighbours along the columns, which in each of the first stages sum one half of the values each; then these go to wg_parts, from
// `parts` on: [PARTS, CHUNK, UNITS].
#repeat t TILE
#repeat u LANE_UNITS
                let z0_$(t * LANE_UNITS + u) = a$(t)_$(u);
#end
#end
                var value = 0u;
#repeat s HALVINGS
                let upper$s = extractBits(column_lane, $(s)u, 1u) != 0u;
                value += select(0u, VALUES >> $(s + 1)u, upper$s);
#repeat i (TILE * LANE_UNITS) >> (s + 1)
                let low$(s)_$i = z$(s)_$i;
                let high$(s)_$i = z$(s)_$(i + ((TILE * LANE_UNITS) >> (s + 1)));
                let z$(s + 1)_$i = select(low$(s)_$i, high$(s)_$i, upper$s)
                    + subgroupShuffleXor(select(high$(s)_$i, low$(s)_$i, upper$s), UNIT_LANES << $(s)u);
#end
#end
#repeat s STAGES - HALVINGS
#repeat i (TILE * LANE_UNITS) >> HALVINGS
                let z$(s + HALVINGS + 1)_$i = z$(s + HALVINGS)_$i
                    + subgroupShuffleXor(z$(s + HALVINGS)_$i, UNIT_LANES << $(s + HALVINGS)u);
#end
#end
                if ((column_lane >> HALVINGS) % (1u << (STAGES - HALVINGS)) == 0u) {
                    let part = parts + (column_lane >> STAGES) * CHUNK * UNITS + unit_lane * LANE_UNITS;
#repeat i (TILE * LANE_UNITS) >> HALVINGS
                    wg_parts[part + (tile + (value + $(i)u) / LANE_UNITS) * UNITS + (value + $(i)u) % LANE_UNITS] = z$(STAGES)_$i;
#end
                }
