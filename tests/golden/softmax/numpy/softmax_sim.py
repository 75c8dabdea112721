"""softmax: its program for ascend910b3, as NumPy runs it.

Written by tiledsl. The simulator calls each function with a core: one that computes, one that
counts cycles, or one that looks for hazards. The first number of a call is its line of .tile.
"""

from tiledsl.simulator.vocabulary import F16, F32, col, full, greatest, inf, least, quotient  # noqa: E501


def programs(core):  # type: ignore[no-untyped-def]
    R = core.dim('R')
    N = core.dim('N')
    return quotient((R + (least(greatest(quotient(16384, greatest((((N + 15) // 16) * 16), 16)), 2), least(greatest(((R + 39) // 40), 1), 64)) - 1)), least(greatest(quotient(16384, greatest((((N + 15) // 16) * 16), 16)), 2), least(greatest(((R + 39) // 40), 1), 64)))


def vector_sizes(core):  # type: ignore[no-untyped-def]
    R = core.dim('R')
    N = core.dim('N')
    program = core.program
    r_tile = least(greatest(quotient(16384, greatest((((N + 15) // 16) * 16), 16)), 2), least(greatest(((R + 39) // 40), 1), 64))
    r_start = program * r_tile
    r_size = least(r_tile, (R - r_start))
    return [r_size]


def vector(core):  # type: ignore[no-untyped-def]
    x = core.buffer('x', 'UB', 0, 32768, 2)  # f16[r, n]
    cast_2 = core.buffer('cast', 'UB', 65536, 65536, 1)  # f32[r, n]
    scratch = core.buffer('scratch', 'UB', 65536, 17408, 1)
    cast_3 = core.buffer('cast_3', 'UB', 131072, 32768, 1)  # f16[r, n]
    max = core.buffer('max', 'UB', 163840, 256, 1)  # f16[r]
    scratch_2 = core.buffer('scratch_2', 'UB', 163840, 20480, 1)
    spread = core.buffer('spread', 'UB', 163840, 2048, 1)  # one block an element
    spread_2 = core.buffer('spread_2', 'UB', 163840, 2048, 1)  # one block an element
    cast_2_2 = core.buffer('cast_2', 'UB', 165888, 256, 1)  # f32[r]
    sum = core.buffer('sum', 'UB', 184320, 256, 1)  # f32[r]
    x_gm = core.tensor('x')
    y_gm = core.tensor('y')
    R = core.dim('R')
    N = core.dim('N')
    block = core.block
    blocks = core.blocks
    turn = 0
    r_tile = least(greatest(quotient(16384, greatest((((N + 15) // 16) * 16), 16)), 2), least(greatest(((R + 39) // 40), 1), 64))
    programs = quotient((R + (r_tile - 1)), r_tile)
    core.set_flag(0, 'V', 'MTE2', 0)
    core.set_flag(0, 'V', 'MTE2', 1)
    core.set_flag(0, 'MTE3', 'V', 0)
    for program in core.programs(0, block, programs, blocks):  # grid r in R by BR
        core.barrier(0, 'V')
        r_start = program * r_tile
        r_size = core.same(least(r_tile, (R - r_start)))
        n_start = 0
        n_size = N
        n_pitch = ((n_size + 15) // 16) * 16
        core.wait_flag(0, 'V', 'MTE2', turn % 2)
        core.copy_in(6, x(F16, 0, turn % 2), x_gm(n_start + (r_start * N)), (r_size,), (N,), (n_pitch,), n_size, 0.0)
        core.set_flag(0, 'MTE2', 'V', turn % 2)
        core.wait_flag(0, 'MTE2', 'V', turn % 2)
        core.row_reduce(6, 'max', max(F16), full(x(F16, 0, turn % 2), n_pitch), scratch(F16), r_size, n_size, -inf)
        core.barrier(0, 'V')
        core.convert(6, cast_2(F32), x(F16, 0, turn % 2), 'none', r_size * n_pitch)
        core.set_flag(0, 'V', 'MTE2', turn % 2)
        core.convert(6, cast_2_2(F32), max(F16), 'none', r_size)
        core.barrier(0, 'V')
        core.spread(6, spread(F32), cast_2_2(F32), r_size)
        core.barrier(0, 'V')
        core.binary(6, 'sub', full(cast_2(F32), n_pitch), full(cast_2(F32), n_pitch), col(spread(F32)), r_size, n_pitch)
        core.barrier(0, 'V')
        core.unary(6, 'exp', cast_2(F32), cast_2(F32), r_size * n_pitch)
        core.barrier(0, 'V')
        core.row_reduce(7, 'sum', sum(F32), full(cast_2(F32), n_pitch), scratch_2(F32), r_size, n_size, 0.0, True)
        core.barrier(0, 'V')
        core.spread(7, spread_2(F32), sum(F32), r_size)
        core.barrier(0, 'V')
        core.binary(7, 'div', full(cast_2(F32), n_pitch), full(cast_2(F32), n_pitch), col(spread_2(F32)), r_size, n_pitch)
        core.barrier(0, 'V')
        core.wait_flag(0, 'MTE3', 'V', 0)
        core.convert(7, cast_3(F16), cast_2(F32), 'rint', r_size * n_pitch)
        core.set_flag(0, 'V', 'MTE3', 0)
        core.wait_flag(0, 'V', 'MTE3', 0)
        core.copy_out(7, y_gm(n_start + (r_start * N)), cast_3(F16), (r_size,), (N,), (n_pitch,), n_size, '')
        core.set_flag(0, 'MTE3', 'V', 0)
        turn = turn + 1
    core.wait_flag(0, 'V', 'MTE2', 0)
    core.wait_flag(0, 'V', 'MTE2', 1)
    core.wait_flag(0, 'MTE3', 'V', 0)
