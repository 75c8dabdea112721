"""A class of programs as a tape: its instructions as few NumPy calls, without needless copies.

`recorder` runs a class once and notes what each instruction reads and writes: copies become views
of what they copy, and an f16 is kept as the f32 of the same value. `plan` drops what nobody reads,
writes results straight into global memory, and lays out the rest in a small arena. `perform` then
plays the tape chunk by chunk, so that values stay in the processor's cache. What a tape cannot
hold (`UnplannedError`) runs instruction by instruction, in `tiledsl.simulator.values`.
"""
