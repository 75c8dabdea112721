"""softmax_long: its program for ascend910b3, as NumPy runs it.

Written by tiledsl. The simulator calls each function with a core: one that computes, one that
counts cycles, or one that looks for hazards. The first number of a call is its line of .tile.
"""

from tiledsl.simulator.vocabulary import F32, I32, col, full, inf, least  # noqa: E501


def programs(core):  # type: ignore[no-untyped-def]
    R = core.dim('R')
    return (R + 31) // 32


def vector_sizes(core):  # type: ignore[no-untyped-def]
    R = core.dim('R')
    program = core.program
    r_start = program * 32
    r_size = least(32, (R - r_start))
    return [r_size]


def vector(core):  # type: ignore[no-untyped-def]
    x = core.buffer('x', 'UB', 0, 65536, 2)  # f32[r, n]
    x_2 = core.buffer('x_2', 'UB', 0, 65536, 2)  # f32[r, n]
    scratch = core.buffer('scratch', 'UB', 131072, 10496, 1)
    scratch_2 = core.buffer('scratch_2', 'UB', 131072, 10496, 1)
    spread = core.buffer('spread', 'UB', 131072, 1024, 1)  # one block an element
    spread_2 = core.buffer('spread_2', 'UB', 131072, 1024, 1)  # one block an element
    spread_3 = core.buffer('spread_3', 'UB', 131072, 1024, 1)  # one block an element
    top = core.buffer('top', 'UB', 141568, 256, 1)  # f32[r]
    den = core.buffer('den', 'UB', 141824, 256, 1)  # f32[r]
    max = core.buffer('max', 'UB', 142080, 256, 1)  # f32[r]
    sum = core.buffer('sum', 'UB', 142336, 256, 1)  # f32[r]
    x_gm = core.tensor('x')
    y_gm = core.tensor('y')
    R = core.dim('R')
    N = core.dim('N')
    block = core.block
    blocks = core.blocks
    n_turn = 0
    n_2_turn = 0
    programs = (R + 31) // 32
    core.set_flag(0, 'V', 'MTE2', 0)
    core.set_flag(0, 'V', 'MTE2', 1)
    core.set_flag(0, 'V', 'MTE2', 2)
    core.set_flag(0, 'V', 'MTE2', 3)
    core.set_flag(0, 'MTE3', 'MTE2', 0)
    core.set_flag(0, 'MTE3', 'MTE2', 1)
    core.set_flag(0, 'MTE3', 'V', 0)
    core.set_flag(0, 'MTE3', 'V', 1)
    core.set_flag(0, 'V', 'MTE2', 5)
    core.set_flag(0, 'MTE2', 'V', 5)
    core.set_flag(0, 'MTE3', 'V', 2)
    core.set_flag(0, 'MTE3', 'MTE2', 2)
    for program in core.programs(0, block, programs, blocks):  # grid r in R by BR
        core.barrier(0, 'V')
        core.barrier(0, 'MTE2')
        r_start = program * 32
        r_size = core.same(least(32, (R - r_start)))
        r_pitch = ((r_size + 7) // 8) * 8
        core.fill(25, top(F32), -inf, r_pitch)
        core.fill(26, den(F32), 0.0, r_pitch)
        core.barrier(0, 'V')
        core.wait_flag(0, 'V', 'MTE2', 5)
        core.wait_flag(0, 'MTE2', 'V', 5)
        core.wait_flag(0, 'MTE3', 'V', 2)
        core.wait_flag(0, 'MTE3', 'MTE2', 2)
        for n_start in core.loop(31, 0, N, 512):  # for n in N by BN
            core.barrier(0, 'V')
            n_size = least(512, (N - n_start))
            n_pitch = ((n_size + 7) // 8) * 8
            core.wait_flag(0, 'V', 'MTE2', n_turn % 2)
            core.copy_in(28, x(F32, 0, n_turn % 2), x_gm(n_start + (r_start * N)), (r_size,), (N,), (n_pitch,), n_size, 0.0)
            core.set_flag(0, 'MTE2', 'V', n_turn % 2)
            core.wait_flag(0, 'MTE2', 'V', n_turn % 2)
            core.row_reduce(29, 'max', max(F32), full(x(F32, 0, n_turn % 2), n_pitch), scratch(F32), r_size, n_size, -inf, True)
            core.barrier(0, 'V')
            core.binary(29, 'max', full(max(F32), r_size), full(top(F32), r_size), full(max(F32), r_size), 1, r_size)
            core.barrier(0, 'V')
            core.binary(30, 'sub', full(top(F32), r_size), full(top(F32), r_size), full(max(F32), r_size), 1, r_size)
            core.barrier(0, 'V')
            core.unary(30, 'exp', top(F32), top(F32), r_size)
            core.barrier(0, 'V')
            core.binary(30, 'mul', full(den(F32), r_size), full(den(F32), r_size), full(top(F32), r_size), 1, r_size)
            core.spread(30, spread(F32), max(F32), r_size)
            core.barrier(0, 'V')
            core.binary(30, 'sub', full(x(F32, 0, n_turn % 2), n_pitch), full(x(F32, 0, n_turn % 2), n_pitch), col(spread(F32)), r_size, n_pitch)
            core.barrier(0, 'V')
            core.unary(30, 'exp', x(F32, 0, n_turn % 2), x(F32, 0, n_turn % 2), r_size * n_pitch)
            core.barrier(0, 'V')
            core.row_reduce(30, 'sum', sum(F32), full(x(F32, 0, n_turn % 2), n_pitch), scratch_2(F32), r_size, n_size, 0.0, True)
            core.set_flag(0, 'V', 'MTE2', n_turn % 2)
            core.barrier(0, 'V')
            core.binary(30, 'add', full(den(F32), r_size), full(den(F32), r_size), full(sum(F32), r_size), 1, r_size)
            core.with_scalar(31, 'add', top(I32), max(I32), 0, r_size)
            n_turn = n_turn + 1
        core.set_flag(0, 'V', 'MTE2', 4)
        core.set_flag(0, 'MTE2', 'V', 4)
        core.set_flag(0, 'V', 'MTE3', 2)
        core.set_flag(0, 'MTE2', 'MTE3', 0)
        core.barrier(0, 'MTE2')
        core.barrier(0, 'V')
        core.wait_flag(0, 'V', 'MTE2', 4)
        core.wait_flag(0, 'MTE2', 'V', 4)
        core.wait_flag(0, 'V', 'MTE3', 2)
        core.wait_flag(0, 'MTE2', 'MTE3', 0)
        for n_2_start in core.loop(33, 0, N, 512):  # for n in N by BN
            core.barrier(0, 'V')
            n_2_size = least(512, (N - n_2_start))
            n_2_pitch = ((n_2_size + 7) // 8) * 8
            core.wait_flag(0, 'V', 'MTE2', 2 + (n_2_turn % 2))
            core.wait_flag(0, 'MTE3', 'MTE2', n_2_turn % 2)
            core.copy_in(33, x_2(F32, 0, n_2_turn % 2), x_gm(n_2_start + (r_start * N)), (r_size,), (N,), (n_2_pitch,), n_2_size, 0.0)
            core.set_flag(0, 'MTE2', 'V', 2 + (n_2_turn % 2))
            core.spread(33, spread_2(F32), top(F32), r_size)
            core.barrier(0, 'V')
            core.wait_flag(0, 'MTE2', 'V', 2 + (n_2_turn % 2))
            core.wait_flag(0, 'MTE3', 'V', n_2_turn % 2)
            core.binary(33, 'sub', full(x_2(F32, 0, n_2_turn % 2), n_2_pitch), full(x_2(F32, 0, n_2_turn % 2), n_2_pitch), col(spread_2(F32)), r_size, n_2_pitch)
            core.barrier(0, 'V')
            core.unary(33, 'exp', x_2(F32, 0, n_2_turn % 2), x_2(F32, 0, n_2_turn % 2), r_size * n_2_pitch)
            core.spread(33, spread_3(F32), den(F32), r_size)
            core.barrier(0, 'V')
            core.binary(33, 'div', full(x_2(F32, 0, n_2_turn % 2), n_2_pitch), full(x_2(F32, 0, n_2_turn % 2), n_2_pitch), col(spread_3(F32)), r_size, n_2_pitch)
            core.set_flag(0, 'V', 'MTE3', n_2_turn % 2)
            core.set_flag(0, 'V', 'MTE2', 2 + (n_2_turn % 2))
            core.wait_flag(0, 'V', 'MTE3', n_2_turn % 2)
            core.copy_out(33, y_gm(n_2_start + (r_start * N)), x_2(F32, 0, n_2_turn % 2), (r_size,), (N,), (n_2_pitch,), n_2_size, '')
            core.set_flag(0, 'MTE3', 'MTE2', n_2_turn % 2)
            core.set_flag(0, 'MTE3', 'V', n_2_turn % 2)
            n_2_turn = n_2_turn + 1
        core.set_flag(0, 'V', 'MTE2', 5)
        core.set_flag(0, 'MTE2', 'V', 5)
        core.set_flag(0, 'MTE3', 'V', 2)
        core.set_flag(0, 'MTE3', 'MTE2', 2)
    core.wait_flag(0, 'V', 'MTE2', 0)
    core.wait_flag(0, 'V', 'MTE2', 1)
    core.wait_flag(0, 'V', 'MTE2', 2)
    core.wait_flag(0, 'V', 'MTE2', 3)
    core.wait_flag(0, 'MTE3', 'MTE2', 0)
    core.wait_flag(0, 'MTE3', 'MTE2', 1)
    core.wait_flag(0, 'MTE3', 'V', 0)
    core.wait_flag(0, 'MTE3', 'V', 1)
    core.wait_flag(0, 'V', 'MTE2', 5)
    core.wait_flag(0, 'MTE2', 'V', 5)
    core.wait_flag(0, 'MTE3', 'V', 2)
    core.wait_flag(0, 'MTE3', 'MTE2', 2)
