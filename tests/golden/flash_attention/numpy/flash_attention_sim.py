"""flash_attention: its program for ascend910b3, as NumPy runs it.

Written by tiledsl. The simulator calls each function with a core: one that computes, one that
counts cycles, or one that looks for hazards. The first number of a call is its line of .tile.
"""

from tiledsl.simulator.vocabulary import F16, F32, I32, col, full, greatest, inf, least, quotient, remainder  # noqa: E501


def programs(core):  # type: ignore[no-untyped-def]
    B = core.dim('B')
    H = core.dim('H')
    S = core.dim('S')
    return (B * H) * ((S + 63) // 64)


def cube_sizes(core):  # type: ignore[no-untyped-def]
    return []


def cube(core):  # type: ignore[no-untyped-def]
    left = core.buffer('left', 'L0A', 0, 16384, 2)  # f16[i, d]
    left_2 = core.buffer('left_2', 'L0A', 0, 8192, 2)  # f16[i, j]
    right = core.buffer('right', 'L0B', 0, 32768, 2)  # f16[j, d]
    right_2 = core.buffer('right_2', 'L0B', 0, 32768, 2)  # f16[d, j]
    product = core.buffer('product', 'L0C', 0, 32768, 2)  # f32[i, j]
    product_2 = core.buffer('product_2', 'L0C', 65536, 65536, 1)  # f32[i, d]
    k = core.buffer('k', 'L1', 0, 65536, 2)  # f16[j, d]
    v = core.buffer('v', 'L1', 131072, 65536, 2)  # f16[j, d]
    q = core.buffer('q', 'L1', 262144, 32768, 2)  # f16[i, d]
    cast_handed = core.buffer('cast_handed', 'L1', 327680, 16384, 2)  # f16[i, j]
    q_gm = core.tensor('q')
    k_gm = core.tensor('k')
    v_gm = core.tensor('v')
    cast_handed_gm = core.workspace('cast_handed')
    product_handed_gm = core.workspace('product_handed')
    product_2_handed_gm = core.workspace('product_2_handed')
    B = core.dim('B')
    H = core.dim('H')
    S = core.dim('S')
    D = core.dim('D')
    L = core.dim('L')
    block = core.block
    blocks = core.blocks
    turn = 0
    j_turn = 0
    d_at_turn = 0
    j_3_at_turn = 0
    cast_handed_turn = 0
    product_handed_turn = 0
    product_2_handed_turn = 0
    product_fresh = 0
    product_2_fresh = 0
    core.set_flag(0, 'M', 'MTE1', 0)
    core.set_flag(0, 'M', 'MTE1', 1)
    core.set_flag(0, 'M', 'MTE1', 2)
    core.set_flag(0, 'M', 'MTE1', 3)
    core.set_flag(0, 'MTE1', 'MTE2', 0)
    core.set_flag(0, 'MTE1', 'MTE2', 1)
    core.set_flag(0, 'MTE1', 'MTE2', 2)
    core.set_flag(0, 'MTE1', 'MTE2', 3)
    core.set_flag(0, 'MTE1', 'M', 5)
    core.set_flag(0, 'M', 'MTE1', 5)
    core.set_flag(0, 'FIX', 'M', 0)
    core.set_flag(0, 'FIX', 'M', 1)
    core.set_flag(0, 'FIX', 'M', 2)
    core.set_flag(0, 'MTE1', 'MTE2', 4)
    core.set_flag(0, 'MTE1', 'MTE2', 5)
    core.cross_set(0, 1, 'MTE2')
    core.cross_set(0, 1, 'MTE2')
    core.cross_set(0, 1, 'MTE2')
    programs = (B * H) * ((S + 63) // 64)
    for program in core.programs(0, block, programs, blocks):  # grid b in B, h in H, i in S by BS
        i_start = remainder(program, ((S + 63) // 64)) * 64
        i_size = least(64, (S - i_start))
        h = remainder(quotient(program, ((S + 63) // 64)), H)
        b = quotient(quotient(program, ((S + 63) // 64)), H)
        d_start = 0
        d_size = D
        core.wait_flag(0, 'MTE1', 'MTE2', 4 + (turn % 2))
        core.load_nz(12, q(F16, 0, turn % 2), q_gm(((d_start + (i_start * D)) + (h * (D * S))) + (b * ((D * S) * H))), i_size, d_size, D, ((i_size + 15) // 16) * 16)
        core.set_flag(0, 'MTE2', 'MTE1', 4 + (turn % 2))
        j_trips = (L + 127) // 128
        core.wait_flag(0, 'MTE2', 'MTE1', 4 + (turn % 2))
        for j_step in core.loop(17, 0, j_trips + (least(j_trips, 1) * 2), 1):  # for j in L by BL, the first stage 2 ahead of the last
            core.barrier(0, 'MTE1')
            j_2_start = least(j_step, (j_trips - 1)) * 128
            j_2_size = least(128, (L - j_2_start))
            core.wait_flag(0, 'MTE1', 'MTE2', j_turn % 2)
            if core.same(j_step < j_trips):
                core.load_nz(12, k(F16, 0, j_turn % 2), k_gm(((d_start + (j_2_start * D)) + (h * (D * L))) + (b * ((D * L) * H))), j_2_size, d_size, D, ((j_2_size + 15) // 16) * 16)
            core.set_flag(0, 'MTE2', 'MTE1', j_turn % 2)
            if core.same(j_step < j_trips):
                product_fresh = 1
            core.wait_flag(0, 'MTE2', 'MTE1', j_turn % 2)
            core.wait_flag(0, 'MTE1', 'M', 5)
            core.wait_flag(0, 'M', 'MTE1', 5)
            core.wait_flag(0, 'FIX', 'M', j_turn % 2)
            if core.same(j_step < j_trips):
                for d_at in core.loop(12, 0, greatest(d_size, 1), 128):  # d in steps that fit L0
                    d_at_size = greatest(least(128, (d_size - d_at)), 0)
                    core.wait_flag(0, 'M', 'MTE1', d_at_turn % 2)
                    core.load_a(12, left(F16, 0, d_at_turn % 2), q(F16, d_at * (((i_size + 15) // 16) * 16), turn % 2), i_size, d_at_size, ((i_size + 15) // 16) * 16, False)
                    core.load_b(12, right(F16, 0, d_at_turn % 2), k(F16, d_at * (((j_2_size + 15) // 16) * 16), j_turn % 2), d_at_size, j_2_size, ((j_2_size + 15) // 16) * 16, True)
                    core.set_flag(0, 'MTE1', 'M', d_at_turn % 2)
                    core.wait_flag(0, 'MTE1', 'M', d_at_turn % 2)
                    core.mmad(12, product(F32, 0, j_turn % 2), left(F16, 0, d_at_turn % 2), right(F16, 0, d_at_turn % 2), i_size, j_2_size, d_at_size, product_fresh == 1)
                    core.set_flag(0, 'M', 'MTE1', d_at_turn % 2)
                    product_fresh = 0
                    d_at_turn = d_at_turn + 1
            core.set_flag(0, 'M', 'FIX', j_turn % 2)
            core.set_flag(0, 'M', 'MTE1', 4)
            core.set_flag(0, 'MTE1', 'M', 4)
            core.set_flag(0, 'MTE1', 'MTE2', j_turn % 2)
            if core.same(j_step < j_trips):
                yield from core.cross_wait(12, 3, 'FIX')
            core.wait_flag(0, 'M', 'FIX', j_turn % 2)
            if core.same(j_step < j_trips):
                core.fixpipe(12, product_handed_gm(0, product_handed_turn % 3), product(F32, 0, j_turn % 2), i_size, j_2_size, 128, F32)
            core.set_flag(0, 'FIX', 'M', j_turn % 2)
            if core.same(j_step < j_trips):
                core.cross_set(12, 2, 'FIX')
                product_handed_turn = product_handed_turn + 1
            j_3_start = greatest((j_step - 2), 0) * 128
            j_3_size = least(128, (L - j_3_start))
            core.wait_flag(0, 'MTE1', 'MTE2', 2 + (j_turn % 2))
            if core.same(j_step >= 2):
                core.load_nz(17, v(F16, 0, j_turn % 2), v_gm(((d_start + (j_3_start * D)) + (h * (D * L))) + (b * ((D * L) * H))), j_3_size, d_size, D, ((j_3_size + 15) // 16) * 16)
                yield from core.cross_wait(17, 0, 'MTE2')
                core.load_nz(17, cast_handed(F16, 0, j_turn % 2), cast_handed_gm(0, cast_handed_turn % 3), i_size, j_3_size, 128, ((i_size + 15) // 16) * 16)
            core.set_flag(0, 'MTE2', 'MTE1', 2 + (j_turn % 2))
            if core.same(j_step >= 2):
                core.cross_set(17, 1, 'MTE2')
                cast_handed_turn = cast_handed_turn + 1
                product_2_fresh = 1
            core.barrier(0, 'MTE1')
            core.wait_flag(0, 'MTE2', 'MTE1', 2 + (j_turn % 2))
            core.wait_flag(0, 'M', 'MTE1', 4)
            core.wait_flag(0, 'MTE1', 'M', 4)
            core.wait_flag(0, 'FIX', 'M', 2)
            if core.same(j_step >= 2):
                for j_3_at in core.loop(17, 0, greatest(j_3_size, 1), 64):  # j in steps that fit L0
                    j_3_at_size = greatest(least(64, (j_3_size - j_3_at)), 0)
                    core.wait_flag(0, 'M', 'MTE1', 2 + (j_3_at_turn % 2))
                    core.load_a(17, left_2(F16, 0, j_3_at_turn % 2), cast_handed(F16, j_3_at * (((i_size + 15) // 16) * 16), j_turn % 2), i_size, j_3_at_size, ((i_size + 15) // 16) * 16, False)
                    core.load_b(17, right_2(F16, 0, j_3_at_turn % 2), v(F16, j_3_at * 16, j_turn % 2), j_3_at_size, d_size, ((j_3_size + 15) // 16) * 16, False)
                    core.set_flag(0, 'MTE1', 'M', 2 + (j_3_at_turn % 2))
                    core.wait_flag(0, 'MTE1', 'M', 2 + (j_3_at_turn % 2))
                    core.mmad(17, product_2(F32), left_2(F16, 0, j_3_at_turn % 2), right_2(F16, 0, j_3_at_turn % 2), i_size, d_size, j_3_at_size, product_2_fresh == 1)
                    core.set_flag(0, 'M', 'MTE1', 2 + (j_3_at_turn % 2))
                    product_2_fresh = 0
                    j_3_at_turn = j_3_at_turn + 1
            core.set_flag(0, 'M', 'FIX', 2)
            core.set_flag(0, 'MTE1', 'MTE2', 2 + (j_turn % 2))
            core.set_flag(0, 'MTE1', 'M', 5)
            core.set_flag(0, 'M', 'MTE1', 5)
            if core.same(j_step >= 2):
                yield from core.cross_wait(17, 5, 'FIX')
            core.wait_flag(0, 'M', 'FIX', 2)
            if core.same(j_step >= 2):
                core.fixpipe(17, product_2_handed_gm(0, product_2_handed_turn % 3), product_2(F32), i_size, d_size, 256, F32)
            core.set_flag(0, 'FIX', 'M', 2)
            if core.same(j_step >= 2):
                core.cross_set(17, 4, 'FIX')
                product_2_handed_turn = product_2_handed_turn + 1
            j_turn = j_turn + 1
        core.set_flag(0, 'MTE1', 'MTE2', 4 + (turn % 2))
        turn = turn + 1
    yield from core.cross_wait(0, 3, 'FIX')
    yield from core.cross_wait(0, 3, 'FIX')
    yield from core.cross_wait(0, 3, 'FIX')
    yield from core.cross_wait(0, 5, 'FIX')
    yield from core.cross_wait(0, 5, 'FIX')
    yield from core.cross_wait(0, 5, 'FIX')
    core.wait_flag(0, 'M', 'MTE1', 0)
    core.wait_flag(0, 'M', 'MTE1', 1)
    core.wait_flag(0, 'M', 'MTE1', 2)
    core.wait_flag(0, 'M', 'MTE1', 3)
    core.wait_flag(0, 'MTE1', 'MTE2', 0)
    core.wait_flag(0, 'MTE1', 'MTE2', 1)
    core.wait_flag(0, 'MTE1', 'MTE2', 2)
    core.wait_flag(0, 'MTE1', 'MTE2', 3)
    core.wait_flag(0, 'MTE1', 'M', 5)
    core.wait_flag(0, 'M', 'MTE1', 5)
    core.wait_flag(0, 'FIX', 'M', 0)
    core.wait_flag(0, 'FIX', 'M', 1)
    core.wait_flag(0, 'FIX', 'M', 2)
    core.wait_flag(0, 'MTE1', 'MTE2', 4)
    core.wait_flag(0, 'MTE1', 'MTE2', 5)


def vector_sizes(core):  # type: ignore[no-untyped-def]
    S = core.dim('S')
    program = core.program
    i_first = remainder(program, ((S + 63) // 64)) * 64
    i_rows = least(64, (S - i_first))
    return [i_rows]


def vector(core):  # type: ignore[no-untyped-def]
    div = core.buffer('div', 'UB', 0, 32768, 1)  # f32[i, d]
    product_2 = core.buffer('product_2', 'UB', 0, 32768, 2)  # f32[i, d]
    cast_2_2 = core.buffer('cast_2', 'UB', 32768, 16384, 1)  # f16[i, d]
    spread_3 = core.buffer('spread_3', 'UB', 32768, 1024, 1)  # one block an element
    acc = core.buffer('acc', 'UB', 65536, 32768, 1)  # f32[i, d]
    product = core.buffer('product', 'UB', 98304, 16384, 2)  # f32[i, j]
    s = core.buffer('s', 'UB', 131072, 16384, 1)  # f32[i, j]
    spread_2 = core.buffer('spread_2', 'UB', 131072, 1024, 1)  # one block an element
    cast_2 = core.buffer('cast', 'UB', 147456, 8192, 1)  # f16[i, j]
    scratch = core.buffer('scratch', 'UB', 147456, 10496, 1)
    scratch_2 = core.buffer('scratch_2', 'UB', 147456, 10496, 1)
    spread = core.buffer('spread', 'UB', 147456, 1024, 1)  # one block an element
    fix = core.buffer('fix', 'UB', 157952, 256, 3)  # f32[i]
    top = core.buffer('top', 'UB', 158720, 256, 1)  # f32[i]
    den = core.buffer('den', 'UB', 158976, 256, 1)  # f32[i]
    max = core.buffer('max', 'UB', 159232, 256, 1)  # f32[i]
    sum = core.buffer('sum', 'UB', 159488, 256, 1)  # f32[i]
    o_gm = core.tensor('o')
    cast_handed_gm = core.workspace('cast_handed')
    product_handed_gm = core.workspace('product_handed')
    product_2_handed_gm = core.workspace('product_2_handed')
    B = core.dim('B')
    H = core.dim('H')
    S = core.dim('S')
    D = core.dim('D')
    L = core.dim('L')
    scale = core.scalar('scale')
    block = core.block
    blocks = core.blocks
    sub = core.sub
    j_turn = 0
    cast_handed_turn = 0
    product_handed_turn = 0
    product_2_handed_turn = 0
    core.set_flag(0, 'V', 'MTE2', 2)
    core.set_flag(0, 'V', 'MTE2', 3)
    core.set_flag(0, 'V', 'MTE2', 4)
    core.set_flag(0, 'V', 'MTE2', 5)
    core.set_flag(0, 'MTE3', 'V', 0)
    core.set_flag(0, 'MTE3', 'V', 1)
    core.set_flag(0, 'MTE3', 'MTE2', 0)
    core.cross_set(0, 3, 'MTE2')
    core.cross_set(0, 3, 'MTE2')
    core.cross_set(0, 3, 'MTE2')
    core.cross_set(0, 5, 'MTE2')
    core.cross_set(0, 5, 'MTE2')
    core.cross_set(0, 5, 'MTE2')
    programs = (B * H) * ((S + 63) // 64)
    for program in core.programs(0, block, programs, blocks):  # grid b in B, h in H, i in S by BS
        i_first = remainder(program, ((S + 63) // 64)) * 64
        i_rows = core.same(least(64, (S - i_first)))
        i_start = i_first + (sub * 32)
        i_size = greatest(least((i_rows - (sub * 32)), 32), 0)
        i_pitch = ((i_size + 15) // 16) * 16
        h = remainder(quotient(program, ((S + 63) // 64)), H)
        b = quotient(quotient(program, ((S + 63) // 64)), H)
        d_start = 0
        d_size = D
        d_pitch = ((d_size + 15) // 16) * 16
        core.fill(8, top(F32), -inf, i_pitch)
        core.fill(9, den(F32), 0.0, i_pitch)
        core.fill(10, acc(F32), 0.0, i_size * d_pitch)
        j_trips = (L + 127) // 128
        core.barrier(0, 'V')
        core.barrier(0, None)
        core.wait_flag(0, 'MTE3', 'V', 1)
        core.wait_flag(0, 'MTE3', 'MTE2', 0)
        for j_step in core.loop(17, 0, j_trips + (least(j_trips, 1) * 2), 1):  # for j in L by BL, the first stage 2 ahead of the last
            j_2_start = least(j_step, (j_trips - 1)) * 128
            j_2_size = least(128, (L - j_2_start))
            j_2_pitch = ((j_2_size + 15) // 16) * 16
            if core.same(j_step < j_trips):
                yield from core.cross_wait(12, 2, 'MTE2')
                if core.same(j_2_size != j_2_pitch):
                    core.fill(12, product(F32, 0, j_turn % 2), 0.0, i_size * j_2_pitch)
                    core.set_flag(0, 'V', 'MTE2', 0)
                    core.wait_flag(0, 'V', 'MTE2', 0)
            core.wait_flag(0, 'V', 'MTE2', 2 + (j_turn % 2))
            if core.same(j_step < j_trips):
                core.copy_in(12, product(F32, 0, j_turn % 2), product_handed_gm((i_start - i_first) * 128, product_handed_turn % 3), (i_size,), (128,), (j_2_pitch,), j_2_size, 0.0)
            core.set_flag(0, 'MTE2', 'V', j_turn % 2)
            if core.same(j_step < j_trips):
                core.cross_set(12, 3, 'MTE2')
                product_handed_turn = product_handed_turn + 1
            core.barrier(0, 'V')
            core.wait_flag(0, 'MTE2', 'V', j_turn % 2)
            if core.same(j_step < j_trips):
                core.with_scalar(12, 'mul', s(F32), product(F32, 0, j_turn % 2), scale, i_size * j_2_pitch)
            core.set_flag(0, 'V', 'MTE2', 2 + (j_turn % 2))
            core.barrier(0, 'V')
            core.wait_flag(0, 'MTE3', 'V', 0)
            if core.same(j_step < j_trips):
                core.row_reduce(13, 'max', max(F32), full(s(F32), j_2_pitch), scratch(F32), i_size, j_2_size, -inf, True)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.binary(13, 'max', full(max(F32), i_size), full(top(F32), i_size), full(max(F32), i_size), 1, i_size)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.spread(14, spread(F32), max(F32), i_size)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.binary(14, 'sub', full(s(F32), j_2_pitch), full(s(F32), j_2_pitch), col(spread(F32)), i_size, j_2_pitch)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.unary(14, 'exp', s(F32), s(F32), i_size * j_2_pitch)
                core.binary(15, 'sub', full(top(F32), i_size), full(top(F32), i_size), full(max(F32), i_size), 1, i_size)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.unary(15, 'exp', fix(F32, 0, j_turn % 3), top(F32), i_size)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.binary(16, 'mul', full(den(F32), i_size), full(den(F32), i_size), full(fix(F32, 0, j_turn % 3), i_size), 1, i_size)
                core.row_reduce(16, 'sum', sum(F32), full(s(F32), j_2_pitch), scratch_2(F32), i_size, j_2_size, 0.0, True)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.binary(16, 'add', full(den(F32), i_size), full(den(F32), i_size), full(sum(F32), i_size), 1, i_size)
                core.convert(17, cast_2(F16), s(F32), 'rint', i_size * j_2_pitch)
            core.set_flag(0, 'V', 'MTE3', 0)
            if core.same(j_step < j_trips):
                yield from core.cross_wait(17, 1, 'MTE3')
            core.wait_flag(0, 'V', 'MTE3', 0)
            if core.same(j_step < j_trips):
                core.copy_out(17, cast_handed_gm((i_start - i_first) * 128, cast_handed_turn % 3), cast_2(F16), (i_size,), (128,), (j_2_pitch,), j_2_size, '')
            core.set_flag(0, 'MTE3', 'V', 0)
            if core.same(j_step < j_trips):
                core.cross_set(17, 0, 'MTE3')
                cast_handed_turn = cast_handed_turn + 1
                core.with_scalar(18, 'add', top(I32), max(I32), 0, i_size)
            core.barrier(0, 'V')
            if core.same(j_step >= 2):
                core.spread(17, spread_2(F32), fix(F32, 0, (j_turn + 1) % 3), i_size)
            core.barrier(0, 'V')
            if core.same(j_step >= 2):
                core.binary(17, 'mul', full(acc(F32), d_pitch), full(acc(F32), d_pitch), col(spread_2(F32)), i_size, d_pitch)
                yield from core.cross_wait(17, 4, 'MTE2')
                if core.same(d_size != d_pitch):
                    core.fill(17, product_2(F32, 0, j_turn % 2), 0.0, i_size * d_pitch)
                    core.set_flag(0, 'V', 'MTE2', 1)
                    core.wait_flag(0, 'V', 'MTE2', 1)
            core.wait_flag(0, 'V', 'MTE2', 4 + (j_turn % 2))
            if core.same(j_step >= 2):
                core.copy_in(17, product_2(F32, 0, j_turn % 2), product_2_handed_gm((i_start - i_first) * 256, product_2_handed_turn % 3), (i_size,), (256,), (d_pitch,), d_size, 0.0)
            core.set_flag(0, 'MTE2', 'V', 2 + (j_turn % 2))
            if core.same(j_step >= 2):
                core.cross_set(17, 5, 'MTE2')
                product_2_handed_turn = product_2_handed_turn + 1
            core.barrier(0, 'V')
            core.wait_flag(0, 'MTE2', 'V', 2 + (j_turn % 2))
            if core.same(j_step >= 2):
                core.binary(17, 'add', full(acc(F32), i_size * d_pitch), full(acc(F32), i_size * d_pitch), full(product_2(F32, 0, j_turn % 2), i_size * d_pitch), 1, i_size * d_pitch)
            core.set_flag(0, 'V', 'MTE2', 4 + (j_turn % 2))
            j_turn = j_turn + 1
        core.set_flag(0, 'MTE2', 'V', 4)
        core.barrier(0, 'V')
        core.wait_flag(0, 'MTE2', 'V', 4)
        core.spread(19, spread_3(F32), den(F32), i_size)
        core.barrier(0, 'V')
        core.binary(19, 'div', full(div(F32), d_pitch), full(acc(F32), d_pitch), col(spread_3(F32)), i_size, d_pitch)
        core.barrier(0, 'V')
        core.convert(19, cast_2_2(F16), div(F32), 'rint', i_size * d_pitch)
        core.set_flag(0, 'V', 'MTE3', 1)
        core.wait_flag(0, 'V', 'MTE3', 1)
        core.copy_out(19, o_gm(((d_start + (i_start * D)) + (h * (D * S))) + (b * ((D * S) * H))), cast_2_2(F16), (i_size,), (D,), (d_pitch,), d_size, '')
        core.set_flag(0, 'MTE3', 'V', 1)
        core.set_flag(0, 'MTE3', 'MTE2', 0)
    yield from core.cross_wait(0, 1, 'MTE3')
    yield from core.cross_wait(0, 1, 'MTE3')
    yield from core.cross_wait(0, 1, 'MTE3')
    core.wait_flag(0, 'V', 'MTE2', 2)
    core.wait_flag(0, 'V', 'MTE2', 3)
    core.wait_flag(0, 'V', 'MTE2', 4)
    core.wait_flag(0, 'V', 'MTE2', 5)
    core.wait_flag(0, 'MTE3', 'V', 0)
    core.wait_flag(0, 'MTE3', 'V', 1)
    core.wait_flag(0, 'MTE3', 'MTE2', 0)
