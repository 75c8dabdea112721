"""flash_attention: its program for ascend910b3, as NumPy runs it.

Written by tiledsl. The simulator calls each function with a core: one that computes, one that
counts cycles, or one that looks for hazards. The first number of a call is its line of .tile.
"""

from tiledsl.simulator.vocabulary import F16, F32, I32, col, full, greatest, inf, least, quotient, remainder  # noqa: E501


def programs(core):  # type: ignore[no-untyped-def]
    B = core.dim('B')
    H = core.dim('H')
    S = core.dim('S')
    return (B * H) * ((S + 127) // 128)


def cube_sizes(core):  # type: ignore[no-untyped-def]
    return []


def cube(core):  # type: ignore[no-untyped-def]
    left = core.buffer('left', 'L0A', 0, 16384, 2)  # f16[i, d]
    left_2 = core.buffer('left_2', 'L0A', 0, 16384, 2)  # f16[i, j]
    right = core.buffer('right', 'L0B', 0, 32768, 2)  # f16[j, d]
    right_2 = core.buffer('right_2', 'L0B', 0, 32768, 2)  # f16[d, j]
    product = core.buffer('product', 'L0C', 0, 131072, 1)  # f32[i, j]
    product_2 = core.buffer('product_2', 'L0C', 0, 131072, 1)  # f32[i, d]
    k = core.buffer('k', 'L1', 0, 131072, 1)  # f16[j, d]
    v = core.buffer('v', 'L1', 0, 131072, 1)  # f16[j, d]
    q = core.buffer('q', 'L1', 131072, 65536, 1)  # f16[i, d]
    cast_handed = core.buffer('cast_handed', 'L1', 196608, 65536, 1)  # f16[i, j]
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
    core.set_flag(0, 'MTE1', 'MTE2', 1)
    core.set_flag(0, 'MTE1', 'M', 5)
    core.set_flag(0, 'M', 'MTE1', 5)
    core.set_flag(0, 'FIX', 'M', 1)
    core.set_flag(0, 'MTE1', 'MTE2', 2)
    core.cross_set(0, 1, 'MTE2')
    core.cross_set(0, 1, 'MTE2')
    core.cross_set(0, 1, 'MTE2')
    programs = (B * H) * ((S + 127) // 128)
    for program in core.programs(0, block, programs, blocks):  # grid b in B, h in H, i in S by BS
        core.barrier(0, 'MTE2')
        i_start = remainder(program, ((S + 127) // 128)) * 128
        i_size = least(128, (S - i_start))
        h = remainder(quotient(program, ((S + 127) // 128)), H)
        b = quotient(quotient(program, ((S + 127) // 128)), H)
        d_start = 0
        d_size = D
        core.wait_flag(0, 'MTE1', 'MTE2', 2)
        core.load_nz(12, q(F16), q_gm(((d_start + (i_start * D)) + (h * (D * S))) + (b * ((D * S) * H))), i_size, d_size, D, ((i_size + 15) // 16) * 16)
        core.set_flag(0, 'MTE2', 'MTE1', 2)
        j_trips = (L + 255) // 256
        core.wait_flag(0, 'MTE2', 'MTE1', 2)
        for j_step in core.loop(17, 0, j_trips + (least(j_trips, 1) * 2), 1):  # for j in L by BL, the first stage 2 ahead of the last
            core.barrier(0, 'MTE2')
            core.barrier(0, 'MTE1')
            j_2_start = least(j_step, (j_trips - 1)) * 256
            j_2_size = least(256, (L - j_2_start))
            core.wait_flag(0, 'MTE1', 'MTE2', 1)
            if core.same(j_step < j_trips):
                core.load_nz(12, k(F16), k_gm(((d_start + (j_2_start * D)) + (h * (D * L))) + (b * ((D * L) * H))), j_2_size, d_size, D, ((j_2_size + 15) // 16) * 16)
            core.set_flag(0, 'MTE2', 'MTE1', 0)
            if core.same(j_step < j_trips):
                product_fresh = 1
            core.wait_flag(0, 'MTE2', 'MTE1', 0)
            core.wait_flag(0, 'MTE1', 'M', 5)
            core.wait_flag(0, 'M', 'MTE1', 5)
            core.wait_flag(0, 'FIX', 'M', 1)
            if core.same(j_step < j_trips):
                for d_at in core.loop(12, 0, greatest(d_size, 1), 64):  # d in steps that fit L0
                    d_at_size = greatest(least(64, (d_size - d_at)), 0)
                    core.wait_flag(0, 'M', 'MTE1', d_at_turn % 2)
                    core.load_a(12, left(F16, 0, d_at_turn % 2), q(F16, d_at * (((i_size + 15) // 16) * 16)), i_size, d_at_size, ((i_size + 15) // 16) * 16, False)
                    core.load_b(12, right(F16, 0, d_at_turn % 2), k(F16, d_at * (((j_2_size + 15) // 16) * 16)), d_at_size, j_2_size, ((j_2_size + 15) // 16) * 16, True)
                    core.set_flag(0, 'MTE1', 'M', d_at_turn % 2)
                    core.wait_flag(0, 'MTE1', 'M', d_at_turn % 2)
                    core.mmad(12, product(F32), left(F16, 0, d_at_turn % 2), right(F16, 0, d_at_turn % 2), i_size, j_2_size, d_at_size, product_fresh == 1)
                    core.set_flag(0, 'M', 'MTE1', d_at_turn % 2)
                    product_fresh = 0
                    d_at_turn = d_at_turn + 1
            core.set_flag(0, 'M', 'FIX', 0)
            core.set_flag(0, 'MTE1', 'MTE2', 0)
            core.set_flag(0, 'M', 'MTE1', 4)
            core.set_flag(0, 'MTE1', 'M', 4)
            if core.same(j_step < j_trips):
                yield from core.cross_wait(12, 3, 'FIX')
            core.wait_flag(0, 'M', 'FIX', 0)
            if core.same(j_step < j_trips):
                core.fixpipe(12, product_handed_gm(0, product_handed_turn % 3), product(F32), i_size, j_2_size, 256, F32)
            core.set_flag(0, 'FIX', 'M', 0)
            if core.same(j_step < j_trips):
                core.cross_set(12, 2, 'FIX')
                product_handed_turn = product_handed_turn + 1
            j_3_start = greatest((j_step - 2), 0) * 256
            j_3_size = least(256, (L - j_3_start))
            core.wait_flag(0, 'MTE1', 'MTE2', 0)
            if core.same(j_step >= 2):
                core.load_nz(17, v(F16), v_gm(((d_start + (j_3_start * D)) + (h * (D * L))) + (b * ((D * L) * H))), j_3_size, d_size, D, ((j_3_size + 15) // 16) * 16)
                yield from core.cross_wait(17, 0, 'MTE2')
                core.load_nz(17, cast_handed(F16), cast_handed_gm(0, cast_handed_turn % 3), i_size, j_3_size, 256, ((i_size + 15) // 16) * 16)
            core.set_flag(0, 'MTE2', 'MTE1', 1)
            if core.same(j_step >= 2):
                core.cross_set(17, 1, 'MTE2')
                cast_handed_turn = cast_handed_turn + 1
                product_2_fresh = 1
            core.wait_flag(0, 'MTE2', 'MTE1', 1)
            core.wait_flag(0, 'FIX', 'M', 0)
            core.wait_flag(0, 'M', 'MTE1', 4)
            core.wait_flag(0, 'MTE1', 'M', 4)
            if core.same(j_step >= 2):
                for j_3_at in core.loop(17, 0, greatest(j_3_size, 1), 64):  # j in steps that fit L0
                    j_3_at_size = greatest(least(64, (j_3_size - j_3_at)), 0)
                    core.wait_flag(0, 'M', 'MTE1', 2 + (j_3_at_turn % 2))
                    core.load_a(17, left_2(F16, 0, j_3_at_turn % 2), cast_handed(F16, j_3_at * (((i_size + 15) // 16) * 16)), i_size, j_3_at_size, ((i_size + 15) // 16) * 16, False)
                    core.load_b(17, right_2(F16, 0, j_3_at_turn % 2), v(F16, j_3_at * 16), j_3_at_size, d_size, ((j_3_size + 15) // 16) * 16, False)
                    core.set_flag(0, 'MTE1', 'M', 2 + (j_3_at_turn % 2))
                    core.wait_flag(0, 'MTE1', 'M', 2 + (j_3_at_turn % 2))
                    core.mmad(17, product_2(F32), left_2(F16, 0, j_3_at_turn % 2), right_2(F16, 0, j_3_at_turn % 2), i_size, d_size, j_3_at_size, product_2_fresh == 1)
                    core.set_flag(0, 'M', 'MTE1', 2 + (j_3_at_turn % 2))
                    product_2_fresh = 0
                    j_3_at_turn = j_3_at_turn + 1
            core.set_flag(0, 'M', 'FIX', 1)
            core.set_flag(0, 'MTE1', 'MTE2', 1)
            core.set_flag(0, 'MTE1', 'M', 5)
            core.set_flag(0, 'M', 'MTE1', 5)
            if core.same(j_step >= 2):
                yield from core.cross_wait(17, 5, 'FIX')
            core.wait_flag(0, 'M', 'FIX', 1)
            if core.same(j_step >= 2):
                core.fixpipe(17, product_2_handed_gm(0, product_2_handed_turn % 3), product_2(F32), i_size, d_size, 256, F32)
            core.set_flag(0, 'FIX', 'M', 1)
            if core.same(j_step >= 2):
                core.cross_set(17, 4, 'FIX')
                product_2_handed_turn = product_2_handed_turn + 1
        core.set_flag(0, 'MTE1', 'MTE2', 2)
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
    core.wait_flag(0, 'MTE1', 'MTE2', 1)
    core.wait_flag(0, 'MTE1', 'M', 5)
    core.wait_flag(0, 'M', 'MTE1', 5)
    core.wait_flag(0, 'FIX', 'M', 1)
    core.wait_flag(0, 'MTE1', 'MTE2', 2)


def vector_sizes(core):  # type: ignore[no-untyped-def]
    S = core.dim('S')
    program = core.program
    i_first = remainder(program, ((S + 127) // 128)) * 128
    i_rows = least(128, (S - i_first))
    return [i_rows]


def vector(core):  # type: ignore[no-untyped-def]
    acc = core.buffer('acc', 'UB', 0, 65536, 1)  # f32[i, d]
    div = core.buffer('div', 'UB', 65536, 65536, 1)  # f32[i, d]
    product = core.buffer('product', 'UB', 65536, 65536, 1)  # f32[i, j]
    product_2 = core.buffer('product_2', 'UB', 65536, 65536, 1)  # f32[i, d]
    cast_2 = core.buffer('cast', 'UB', 131072, 32768, 1)  # f16[i, j]
    cast_2_2 = core.buffer('cast_2', 'UB', 131072, 32768, 1)  # f16[i, d]
    scratch = core.buffer('scratch', 'UB', 163840, 19712, 1)
    scratch_2 = core.buffer('scratch_2', 'UB', 163840, 19712, 1)
    spread = core.buffer('spread', 'UB', 163840, 2048, 1)  # one block an element
    spread_2 = core.buffer('spread_2', 'UB', 163840, 2048, 1)  # one block an element
    spread_3 = core.buffer('spread_3', 'UB', 163840, 2048, 1)  # one block an element
    fix = core.buffer('fix', 'UB', 183552, 256, 3)  # f32[i]
    top = core.buffer('top', 'UB', 184320, 256, 1)  # f32[i]
    den = core.buffer('den', 'UB', 184576, 256, 1)  # f32[i]
    max = core.buffer('max', 'UB', 184832, 256, 1)  # f32[i]
    sum = core.buffer('sum', 'UB', 185088, 256, 1)  # f32[i]
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
    core.set_flag(0, 'V', 'MTE2', 3)
    core.set_flag(0, 'MTE3', 'V', 0)
    core.set_flag(0, 'V', 'MTE2', 4)
    core.set_flag(0, 'MTE3', 'V', 2)
    core.cross_set(0, 3, 'MTE2')
    core.cross_set(0, 3, 'MTE2')
    core.cross_set(0, 3, 'MTE2')
    core.cross_set(0, 5, 'MTE2')
    core.cross_set(0, 5, 'MTE2')
    core.cross_set(0, 5, 'MTE2')
    programs = (B * H) * ((S + 127) // 128)
    for program in core.programs(0, block, programs, blocks):  # grid b in B, h in H, i in S by BS
        i_first = remainder(program, ((S + 127) // 128)) * 128
        i_rows = core.same(least(128, (S - i_first)))
        i_start = i_first + (sub * 64)
        i_size = greatest(least((i_rows - (sub * 64)), 64), 0)
        i_pitch = ((i_size + 15) // 16) * 16
        h = remainder(quotient(program, ((S + 127) // 128)), H)
        b = quotient(quotient(program, ((S + 127) // 128)), H)
        d_start = 0
        d_size = D
        d_pitch = ((d_size + 15) // 16) * 16
        core.fill(8, top(F32), -inf, i_pitch)
        core.fill(9, den(F32), 0.0, i_pitch)
        core.fill(10, acc(F32), 0.0, i_size * d_pitch)
        j_trips = (L + 255) // 256
        core.barrier(0, 'V')
        core.wait_flag(0, 'V', 'MTE2', 4)
        core.wait_flag(0, 'MTE3', 'V', 2)
        for j_step in core.loop(17, 0, j_trips + (least(j_trips, 1) * 2), 1):  # for j in L by BL, the first stage 2 ahead of the last
            core.barrier(0, 'V')
            core.barrier(0, 'MTE2')
            j_2_start = least(j_step, (j_trips - 1)) * 256
            j_2_size = least(256, (L - j_2_start))
            j_2_pitch = ((j_2_size + 15) // 16) * 16
            if core.same(j_step < j_trips):
                yield from core.cross_wait(12, 2, 'MTE2')
                if core.same(j_2_size != j_2_pitch):
                    core.fill(12, product(F32), 0.0, i_size * j_2_pitch)
                    core.set_flag(0, 'V', 'MTE2', 0)
                    core.wait_flag(0, 'V', 'MTE2', 0)
            core.wait_flag(0, 'V', 'MTE2', 3)
            if core.same(j_step < j_trips):
                core.copy_in(12, product(F32), product_handed_gm((i_start - i_first) * 256, product_handed_turn % 3), (i_size,), (256,), (j_2_pitch,), j_2_size, 0.0)
            core.set_flag(0, 'MTE2', 'V', 0)
            if core.same(j_step < j_trips):
                core.cross_set(12, 3, 'MTE2')
                product_handed_turn = product_handed_turn + 1
            core.barrier(0, 'V')
            core.wait_flag(0, 'MTE2', 'V', 0)
            if core.same(j_step < j_trips):
                core.with_scalar(12, 'mul', product(F32), product(F32), scale, i_size * j_2_pitch)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.row_reduce(13, 'max', max(F32), full(product(F32), j_2_pitch), scratch(F32), i_size, j_2_size, -inf, True)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.binary(13, 'max', full(max(F32), i_size), full(top(F32), i_size), full(max(F32), i_size), 1, i_size)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.spread(14, spread(F32), max(F32), i_size)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.binary(14, 'sub', full(product(F32), j_2_pitch), full(product(F32), j_2_pitch), col(spread(F32)), i_size, j_2_pitch)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.unary(14, 'exp', product(F32), product(F32), i_size * j_2_pitch)
                core.binary(15, 'sub', full(top(F32), i_size), full(top(F32), i_size), full(max(F32), i_size), 1, i_size)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.unary(15, 'exp', fix(F32, 0, j_turn % 3), top(F32), i_size)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.binary(16, 'mul', full(den(F32), i_size), full(den(F32), i_size), full(fix(F32, 0, j_turn % 3), i_size), 1, i_size)
                core.row_reduce(16, 'sum', sum(F32), full(product(F32), j_2_pitch), scratch_2(F32), i_size, j_2_size, 0.0, True)
            core.barrier(0, 'V')
            if core.same(j_step < j_trips):
                core.binary(16, 'add', full(den(F32), i_size), full(den(F32), i_size), full(sum(F32), i_size), 1, i_size)
            core.wait_flag(0, 'MTE3', 'V', 0)
            if core.same(j_step < j_trips):
                core.convert(17, cast_2(F16), product(F32), 'rint', i_size * j_2_pitch)
            core.set_flag(0, 'V', 'MTE3', 0)
            core.set_flag(0, 'V', 'MTE2', 2)
            if core.same(j_step < j_trips):
                yield from core.cross_wait(17, 1, 'MTE3')
            core.wait_flag(0, 'V', 'MTE3', 0)
            if core.same(j_step < j_trips):
                core.copy_out(17, cast_handed_gm((i_start - i_first) * 256, cast_handed_turn % 3), cast_2(F16), (i_size,), (256,), (j_2_pitch,), j_2_size, '')
            core.set_flag(0, 'MTE3', 'V', 0)
            if core.same(j_step < j_trips):
                core.cross_set(17, 0, 'MTE3')
                cast_handed_turn = cast_handed_turn + 1
                core.with_scalar(18, 'add', top(I32), max(I32), 0, i_size)
            if core.same(j_step >= 2):
                core.spread(17, spread_2(F32), fix(F32, 0, (j_turn + 1) % 3), i_size)
            core.barrier(0, 'V')
            if core.same(j_step >= 2):
                core.binary(17, 'mul', full(acc(F32), d_pitch), full(acc(F32), d_pitch), col(spread_2(F32)), i_size, d_pitch)
                yield from core.cross_wait(17, 4, 'MTE2')
                if core.same(d_size != d_pitch):
                    core.fill(17, product_2(F32), 0.0, i_size * d_pitch)
                    core.set_flag(0, 'V', 'MTE2', 1)
                    core.wait_flag(0, 'V', 'MTE2', 1)
            core.wait_flag(0, 'V', 'MTE2', 2)
            if core.same(j_step >= 2):
                core.copy_in(17, product_2(F32), product_2_handed_gm((i_start - i_first) * 256, product_2_handed_turn % 3), (i_size,), (256,), (d_pitch,), d_size, 0.0)
            core.set_flag(0, 'MTE2', 'V', 1)
            if core.same(j_step >= 2):
                core.cross_set(17, 5, 'MTE2')
                product_2_handed_turn = product_2_handed_turn + 1
            core.barrier(0, 'V')
            core.wait_flag(0, 'MTE2', 'V', 1)
            if core.same(j_step >= 2):
                core.binary(17, 'add', full(acc(F32), i_size * d_pitch), full(acc(F32), i_size * d_pitch), full(product_2(F32), i_size * d_pitch), 1, i_size * d_pitch)
            core.set_flag(0, 'V', 'MTE2', 3)
            j_turn = j_turn + 1
        core.set_flag(0, 'MTE2', 'V', 2)
        core.set_flag(0, 'MTE3', 'V', 1)
        core.barrier(0, 'V')
        core.spread(19, spread_3(F32), den(F32), i_size)
        core.barrier(0, 'V')
        core.wait_flag(0, 'MTE2', 'V', 2)
        core.binary(19, 'div', full(div(F32), d_pitch), full(acc(F32), d_pitch), col(spread_3(F32)), i_size, d_pitch)
        core.barrier(0, 'V')
        core.wait_flag(0, 'MTE3', 'V', 1)
        core.convert(19, cast_2_2(F16), div(F32), 'rint', i_size * d_pitch)
        core.set_flag(0, 'V', 'MTE3', 1)
        core.set_flag(0, 'V', 'MTE2', 4)
        core.wait_flag(0, 'V', 'MTE3', 1)
        core.copy_out(19, o_gm(((d_start + (i_start * D)) + (h * (D * S))) + (b * ((D * S) * H))), cast_2_2(F16), (i_size,), (D,), (d_pitch,), d_size, '')
        core.set_flag(0, 'MTE3', 'V', 2)
    yield from core.cross_wait(0, 1, 'MTE3')
    yield from core.cross_wait(0, 1, 'MTE3')
    yield from core.cross_wait(0, 1, 'MTE3')
    core.wait_flag(0, 'V', 'MTE2', 3)
    core.wait_flag(0, 'MTE3', 'V', 0)
    core.wait_flag(0, 'V', 'MTE2', 4)
    core.wait_flag(0, 'MTE3', 'V', 2)
