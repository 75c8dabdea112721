"""rows: its program for ascend910b3, as NumPy runs it.

Written by tiledsl. The simulator calls each function with a core: one that computes, one that
counts cycles, or one that looks for hazards. The first number of a call is its line of .tile.
"""

from tiledsl.simulator.vocabulary import F32, cast, col, full, greatest, least, one, quotient, row  # noqa: E501


def programs(core):  # type: ignore[no-untyped-def]
    P = core.dim('P')
    return P


def vector_sizes(core):  # type: ignore[no-untyped-def]
    M = core.dim('M')
    P = core.dim('P')
    program = core.program
    p = program
    m_extent = least(((p + 1) * quotient((M + (P - 1)), P)), M) - greatest((p * quotient((M + (P - 1)), P)), 0)
    return [m_extent]


def vector(core):  # type: ignore[no-untyped-def]
    w = core.buffer('w', 'UB', 0, 16384, 2)  # f32[n]
    dy = core.buffer('dy', 'UB', 32768, 16384, 2)  # f32[m, n]
    x = core.buffer('x', 'UB', 65536, 16384, 2)  # f32[m, n]
    dw = core.buffer('dw', 'UB', 98304, 16384, 1)  # f32[n]
    d = core.buffer('d', 'UB', 114688, 16384, 1)  # f32[m, n]
    number = core.buffer('number', 'UB', 114688, 256, 1)  # f32[]
    scratch = core.buffer('scratch', 'UB', 114688, 1792, 1)
    sum = core.buffer('sum', 'UB', 116480, 256, 1)  # f32[m]
    g = core.buffer('g', 'UB', 131072, 16384, 1)  # f32[m, n]
    mul = core.buffer('mul', 'UB', 131072, 16384, 1)  # f32[m, n]
    mul_2 = core.buffer('mul_2', 'UB', 131072, 16384, 1)  # f32[m, n]
    number_2 = core.buffer('number_2', 'UB', 131072, 256, 1)  # f32[]
    number_3 = core.buffer('number_3', 'UB', 131072, 256, 1)  # f32[]
    number_5 = core.buffer('number_5', 'UB', 131072, 256, 1)  # f32[]
    spread = core.buffer('spread', 'UB', 131072, 256, 1)  # one block an element
    spread_2 = core.buffer('spread_2', 'UB', 131072, 256, 1)  # one block an element
    spread_5 = core.buffer('spread_5', 'UB', 131072, 256, 1)  # one block an element
    sum_5 = core.buffer('sum_5', 'UB', 131072, 16384, 1)  # f32[n]
    sub_2 = core.buffer('sub_2', 'UB', 147456, 16384, 1)  # f32[m, n]
    number_4 = core.buffer('number_4', 'UB', 163840, 256, 1)  # f32[]
    scratch_2 = core.buffer('scratch_2', 'UB', 163840, 1792, 1)
    scratch_3 = core.buffer('scratch_3', 'UB', 163840, 1792, 1)
    scratch_4 = core.buffer('scratch_4', 'UB', 163840, 1792, 1)
    spread_3 = core.buffer('spread_3', 'UB', 163840, 256, 1)  # one block an element
    spread_4 = core.buffer('spread_4', 'UB', 163840, 256, 1)  # one block an element
    sum_2 = core.buffer('sum_2', 'UB', 165632, 256, 1)  # f32[m]
    sum_3 = core.buffer('sum_3', 'UB', 165888, 256, 1)  # f32[m]
    sum_4 = core.buffer('sum_4', 'UB', 165888, 256, 1)  # f32[m]
    x_gm = core.tensor('x')
    dy_gm = core.tensor('dy')
    w_gm = core.tensor('w')
    dx_gm = core.tensor('dx')
    part_gm = core.tensor('part')
    M = core.dim('M')
    N = core.dim('N')
    P = core.dim('P')
    block = core.block
    blocks = core.blocks
    turn = 0
    m_turn = 0
    programs = P
    core.set_flag(0, 'V', 'MTE2', 0)
    core.set_flag(0, 'V', 'MTE2', 1)
    core.set_flag(0, 'V', 'MTE2', 2)
    core.set_flag(0, 'V', 'MTE2', 3)
    core.set_flag(0, 'MTE3', 'V', 0)
    core.set_flag(0, 'V', 'MTE2', 4)
    core.set_flag(0, 'V', 'MTE2', 5)
    core.set_flag(0, 'MTE3', 'V', 1)
    for program in core.programs(0, block, programs, blocks):  # grid p in P
        core.barrier(0, 'V')
        p = program
        n_start = 0
        n_size = N
        n_pitch = ((n_size + 7) // 8) * 8
        m_extent = core.same(least(((p + 1) * quotient((M + (P - 1)), P)), M) - greatest((p * quotient((M + (P - 1)), P)), 0))
        core.wait_flag(0, 'MTE3', 'V', 1)
        core.fill(14, dw(F32), 0.0, n_pitch)
        core.wait_flag(0, 'V', 'MTE2', 4 + (turn % 2))
        core.copy_in(20, w(F32, 0, turn % 2), w_gm(n_start), (), (), (), n_size, 0.0)
        core.set_flag(0, 'MTE2', 'V', 4 + (turn % 2))
        core.barrier(0, 'V')
        core.wait_flag(0, 'MTE2', 'V', 4 + (turn % 2))
        for m_start in core.loop(22, greatest((p * quotient((M + (P - 1)), P)), 0), least(((p + 1) * quotient((M + (P - 1)), P)), M), 1):  # for m in max((p * ((M + (P - 1)) // P)), 0) .. min(((p + 1) * ((M + (P - 1)) // P)), M) by BM
            m_size = least(1, (least(((p + 1) * quotient((M + (P - 1)), P)), M) - m_start))
            m_pitch = ((m_size + 7) // 8) * 8
            core.wait_flag(0, 'V', 'MTE2', m_turn % 2)
            core.copy_in(16, x(F32, 0, m_turn % 2), x_gm(n_start + (m_start * N)), (m_size,), (N,), (n_pitch,), n_size, 0.0)
            core.set_flag(0, 'MTE2', 'V', m_turn % 2)
            core.wait_flag(0, 'MTE2', 'V', m_turn % 2)
            core.row_reduce(17, 'sum', sum(F32), full(x(F32, 0, m_turn % 2), n_pitch), scratch(F32), m_size, n_size, 0.0)
            core.barrier(0, 'V')
            core.fill(17, number(F32), cast(N, F32), 8)
            core.barrier(0, 'V')
            core.binary(17, 'div', full(sum(F32), m_pitch), full(sum(F32), m_pitch), one(number(F32)), 1, m_size)
            core.barrier(0, 'V')
            core.spread(17, spread(F32), sum(F32), m_size)
            core.barrier(0, 'V')
            core.binary(17, 'sub', full(d(F32), n_pitch), full(x(F32, 0, m_turn % 2), n_pitch), col(spread(F32)), m_size, n_pitch)
            core.set_flag(0, 'V', 'MTE2', m_turn % 2)
            core.barrier(0, 'V')
            core.binary(18, 'mul', full(mul(F32), m_size * n_pitch), full(d(F32), m_size * n_pitch), full(d(F32), m_size * n_pitch), 1, m_size * n_pitch)
            core.barrier(0, 'V')
            core.row_reduce(18, 'sum', sum_2(F32), full(mul(F32), n_pitch), scratch_2(F32), m_size, n_size, 0.0)
            core.barrier(0, 'V')
            core.fill(18, number_2(F32), cast(N, F32), 8)
            core.barrier(0, 'V')
            core.binary(18, 'div', full(sum_2(F32), m_pitch), full(sum_2(F32), m_pitch), one(number_2(F32)), 1, m_size)
            core.barrier(0, 'V')
            core.with_scalar(18, 'add', sum_2(F32), sum_2(F32), 1e-05, m_size)
            core.barrier(0, 'V')
            core.unary(18, 'sqrt', sum_2(F32), sum_2(F32), m_size)
            core.fill(18, number_3(F32), 1.0, 8)
            core.barrier(0, 'V')
            core.binary(18, 'div', full(sum_2(F32), m_pitch), one(number_3(F32)), full(sum_2(F32), m_pitch), 1, m_size)
            core.barrier(0, 'V')
            core.spread(19, spread_2(F32), sum_2(F32), m_size)
            core.barrier(0, 'V')
            core.binary(19, 'mul', full(d(F32), n_pitch), full(d(F32), n_pitch), col(spread_2(F32)), m_size, n_pitch)
            core.wait_flag(0, 'V', 'MTE2', 2 + (m_turn % 2))
            core.copy_in(20, dy(F32, 0, m_turn % 2), dy_gm(n_start + (m_start * N)), (m_size,), (N,), (n_pitch,), n_size, 0.0)
            core.set_flag(0, 'MTE2', 'V', 2 + (m_turn % 2))
            core.barrier(0, 'V')
            core.wait_flag(0, 'MTE2', 'V', 2 + (m_turn % 2))
            core.binary(20, 'mul', full(g(F32), n_pitch), full(dy(F32, 0, m_turn % 2), n_pitch), row(w(F32, 0, turn % 2)), m_size, n_pitch)
            core.barrier(0, 'V')
            core.row_reduce(21, 'sum', sum_3(F32), full(g(F32), n_pitch), scratch_3(F32), m_size, n_size, 0.0)
            core.barrier(0, 'V')
            core.fill(21, number_4(F32), cast(N, F32), 8)
            core.barrier(0, 'V')
            core.binary(21, 'div', full(sum_3(F32), m_pitch), full(sum_3(F32), m_pitch), one(number_4(F32)), 1, m_size)
            core.barrier(0, 'V')
            core.spread(21, spread_3(F32), sum_3(F32), m_size)
            core.barrier(0, 'V')
            core.wait_flag(0, 'MTE3', 'V', 0)
            core.binary(21, 'sub', full(sub_2(F32), n_pitch), full(g(F32), n_pitch), col(spread_3(F32)), m_size, n_pitch)
            core.barrier(0, 'V')
            core.binary(21, 'mul', full(g(F32), m_size * n_pitch), full(g(F32), m_size * n_pitch), full(d(F32), m_size * n_pitch), 1, m_size * n_pitch)
            core.barrier(0, 'V')
            core.row_reduce(21, 'sum', sum_4(F32), full(g(F32), n_pitch), scratch_4(F32), m_size, n_size, 0.0)
            core.barrier(0, 'V')
            core.fill(21, number_5(F32), cast(N, F32), 8)
            core.barrier(0, 'V')
            core.binary(21, 'div', full(sum_4(F32), m_pitch), full(sum_4(F32), m_pitch), one(number_5(F32)), 1, m_size)
            core.barrier(0, 'V')
            core.spread(21, spread_4(F32), sum_4(F32), m_size)
            core.barrier(0, 'V')
            core.binary(21, 'mul', full(mul_2(F32), n_pitch), full(d(F32), n_pitch), col(spread_4(F32)), m_size, n_pitch)
            core.barrier(0, 'V')
            core.binary(21, 'sub', full(sub_2(F32), m_size * n_pitch), full(sub_2(F32), m_size * n_pitch), full(mul_2(F32), m_size * n_pitch), 1, m_size * n_pitch)
            core.barrier(0, 'V')
            core.spread(21, spread_5(F32), sum_2(F32), m_size)
            core.barrier(0, 'V')
            core.binary(21, 'mul', full(sub_2(F32), n_pitch), col(spread_5(F32)), full(sub_2(F32), n_pitch), m_size, n_pitch)
            core.set_flag(0, 'V', 'MTE3', 0)
            core.wait_flag(0, 'V', 'MTE3', 0)
            core.copy_out(21, dx_gm(n_start + (m_start * N)), sub_2(F32), (m_size,), (N,), (n_pitch,), n_size, '')
            core.set_flag(0, 'MTE3', 'V', 0)
            core.binary(22, 'mul', full(d(F32), m_size * n_pitch), full(dy(F32, 0, m_turn % 2), m_size * n_pitch), full(d(F32), m_size * n_pitch), 1, m_size * n_pitch)
            core.set_flag(0, 'V', 'MTE2', 2 + (m_turn % 2))
            core.barrier(0, 'V')
            core.col_reduce(22, 'add', sum_5(F32), full(d(F32), n_pitch), m_size, n_pitch, 0.0)
            core.barrier(0, 'V')
            core.binary(22, 'add', full(dw(F32), n_pitch), full(dw(F32), n_pitch), full(sum_5(F32), n_pitch), 1, n_pitch)
            m_turn = m_turn + 1
        core.set_flag(0, 'V', 'MTE3', 1)
        core.set_flag(0, 'V', 'MTE2', 4 + (turn % 2))
        core.wait_flag(0, 'V', 'MTE3', 1)
        core.copy_out(23, part_gm(n_start + (p * N)), dw(F32), (), (), (), n_size, '')
        core.set_flag(0, 'MTE3', 'V', 1)
        turn = turn + 1
    core.wait_flag(0, 'V', 'MTE2', 0)
    core.wait_flag(0, 'V', 'MTE2', 1)
    core.wait_flag(0, 'V', 'MTE2', 2)
    core.wait_flag(0, 'V', 'MTE2', 3)
    core.wait_flag(0, 'MTE3', 'V', 0)
    core.wait_flag(0, 'V', 'MTE2', 4)
    core.wait_flag(0, 'V', 'MTE2', 5)
    core.wait_flag(0, 'MTE3', 'V', 1)
