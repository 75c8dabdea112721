"""layer_norm: its program for ascend910b3, as NumPy runs it.

Written by tiledsl. The simulator calls each function with a core: one that computes, one that
counts cycles, or one that looks for hazards. The first number of a call is its line of .tile.
"""

from tiledsl.simulator.vocabulary import F32, cast, col, full, greatest, least, one, quotient, row  # noqa: E501


def programs(core):  # type: ignore[no-untyped-def]
    M = core.dim('M')
    N = core.dim('N')
    return quotient((M + (least(greatest(quotient(16384, greatest((((N + 7) // 8) * 8), 8)), 1), least(greatest(((M + 39) // 40), 1), 64)) - 1)), least(greatest(quotient(16384, greatest((((N + 7) // 8) * 8), 8)), 1), least(greatest(((M + 39) // 40), 1), 64)))


def vector_sizes(core):  # type: ignore[no-untyped-def]
    M = core.dim('M')
    N = core.dim('N')
    program = core.program
    m_tile = least(greatest(quotient(16384, greatest((((N + 7) // 8) * 8), 8)), 1), least(greatest(((M + 39) // 40), 1), 64))
    m_start = program * m_tile
    m_size = least(m_tile, (M - m_start))
    return [m_size]


def vector(core):  # type: ignore[no-untyped-def]
    x = core.buffer('x', 'UB', 0, 65536, 1)  # f32[m, n]
    b = core.buffer('b', 'UB', 65536, 65536, 1)  # f32[n]
    d = core.buffer('d', 'UB', 65536, 65536, 1)  # f32[m, n]
    w = core.buffer('w', 'UB', 65536, 65536, 1)  # f32[n]
    number = core.buffer('number', 'UB', 131072, 256, 1)  # f32[]
    number_2 = core.buffer('number_2', 'UB', 131072, 256, 1)  # f32[]
    number_3 = core.buffer('number_3', 'UB', 131072, 256, 1)  # f32[]
    scratch = core.buffer('scratch', 'UB', 131072, 21504, 1)
    scratch_2 = core.buffer('scratch_2', 'UB', 131072, 21504, 1)
    spread = core.buffer('spread', 'UB', 131072, 2048, 1)  # one block an element
    spread_2 = core.buffer('spread_2', 'UB', 131072, 2048, 1)  # one block an element
    spread_3 = core.buffer('spread_3', 'UB', 131072, 2048, 1)  # one block an element
    sum = core.buffer('sum', 'UB', 152576, 256, 1)  # f32[m]
    sum_2 = core.buffer('sum_2', 'UB', 152832, 256, 1)  # f32[m]
    x_gm = core.tensor('x')
    w_gm = core.tensor('w')
    b_gm = core.tensor('b')
    y_gm = core.tensor('y')
    mean_gm = core.tensor('mean')
    rstd_gm = core.tensor('rstd')
    M = core.dim('M')
    N = core.dim('N')
    eps = core.scalar('eps')
    block = core.block
    blocks = core.blocks
    m_tile = least(greatest(quotient(16384, greatest((((N + 7) // 8) * 8), 8)), 1), least(greatest(((M + 39) // 40), 1), 64))
    programs = quotient((M + (m_tile - 1)), m_tile)
    core.set_flag(0, 'V', 'MTE2', 2)
    core.set_flag(0, 'MTE3', 'V', 0)
    core.set_flag(0, 'MTE3', 'V', 1)
    core.set_flag(0, 'MTE3', 'MTE2', 0)
    core.set_flag(0, 'MTE3', 'V', 2)
    for program in core.programs(0, block, programs, blocks):  # grid m in M by BM
        core.barrier(0, 'MTE2')
        core.barrier(0, 'V')
        m_start = program * m_tile
        m_size = core.same(least(m_tile, (M - m_start)))
        m_pitch = ((m_size + 7) // 8) * 8
        n_start = 0
        n_size = N
        n_pitch = ((n_size + 7) // 8) * 8
        core.wait_flag(0, 'V', 'MTE2', 2)
        core.wait_flag(0, 'MTE3', 'MTE2', 0)
        core.copy_in(10, x(F32), x_gm(n_start + (m_start * N)), (m_size,), (N,), (n_pitch,), n_size, 0.0)
        core.set_flag(0, 'MTE2', 'V', 0)
        core.wait_flag(0, 'MTE2', 'V', 0)
        core.wait_flag(0, 'MTE3', 'V', 0)
        core.row_reduce('nn.tile:59', 'sum', sum(F32), full(x(F32), n_pitch), scratch(F32), m_size, n_size, 0.0, True)
        core.barrier(0, 'V')
        core.fill('nn.tile:59', number(F32), cast(N, F32), 8)
        core.barrier(0, 'V')
        core.binary('nn.tile:59', 'div', full(sum(F32), m_pitch), full(sum(F32), m_pitch), one(number(F32)), 1, m_size)
        core.set_flag(0, 'V', 'MTE3', 0)
        core.barrier(0, 'V')
        core.spread('nn.tile:60', spread(F32), sum(F32), m_size)
        core.barrier(0, 'V')
        core.binary('nn.tile:60', 'sub', full(d(F32), n_pitch), full(x(F32), n_pitch), col(spread(F32)), m_size, n_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:61', 'mul', full(d(F32), m_size * n_pitch), full(d(F32), m_size * n_pitch), full(d(F32), m_size * n_pitch), 1, m_size * n_pitch)
        core.barrier(0, 'V')
        core.wait_flag(0, 'MTE3', 'V', 1)
        core.row_reduce('nn.tile:61', 'sum', sum_2(F32), full(d(F32), n_pitch), scratch_2(F32), m_size, n_size, 0.0, True)
        core.set_flag(0, 'V', 'MTE2', 0)
        core.barrier(0, 'V')
        core.fill('nn.tile:61', number_2(F32), cast(N, F32), 8)
        core.barrier(0, 'V')
        core.binary('nn.tile:61', 'div', full(sum_2(F32), m_pitch), full(sum_2(F32), m_pitch), one(number_2(F32)), 1, m_size)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:61', 'add', sum_2(F32), sum_2(F32), eps, m_size)
        core.barrier(0, 'V')
        core.unary('nn.tile:61', 'sqrt', sum_2(F32), sum_2(F32), m_size)
        core.fill('nn.tile:61', number_3(F32), 1.0, 8)
        core.barrier(0, 'V')
        core.binary('nn.tile:61', 'div', full(sum_2(F32), m_pitch), one(number_3(F32)), full(sum_2(F32), m_pitch), 1, m_size)
        core.set_flag(0, 'V', 'MTE3', 1)
        core.wait_flag(0, 'V', 'MTE3', 0)
        core.copy_out(12, mean_gm(m_start), sum(F32), (), (), (), m_size, '')
        core.set_flag(0, 'MTE3', 'V', 0)
        core.wait_flag(0, 'V', 'MTE3', 1)
        core.copy_out(13, rstd_gm(m_start), sum_2(F32), (), (), (), m_size, '')
        core.set_flag(0, 'MTE3', 'V', 1)
        core.barrier(0, 'V')
        core.spread(14, spread_2(F32), sum(F32), m_size)
        core.barrier(0, 'V')
        core.wait_flag(0, 'MTE3', 'V', 2)
        core.binary(14, 'sub', full(x(F32), n_pitch), full(x(F32), n_pitch), col(spread_2(F32)), m_size, n_pitch)
        core.barrier(0, 'V')
        core.spread(14, spread_3(F32), sum_2(F32), m_size)
        core.barrier(0, 'V')
        core.binary(14, 'mul', full(x(F32), n_pitch), full(x(F32), n_pitch), col(spread_3(F32)), m_size, n_pitch)
        core.wait_flag(0, 'V', 'MTE2', 0)
        core.copy_in(14, w(F32), w_gm(n_start), (), (), (), n_size, 0.0)
        core.set_flag(0, 'MTE2', 'V', 1)
        core.barrier(0, 'V')
        core.wait_flag(0, 'MTE2', 'V', 1)
        core.binary(14, 'mul', full(x(F32), n_pitch), full(x(F32), n_pitch), row(w(F32)), m_size, n_pitch)
        core.set_flag(0, 'V', 'MTE2', 1)
        core.wait_flag(0, 'V', 'MTE2', 1)
        core.copy_in(14, b(F32), b_gm(n_start), (), (), (), n_size, 0.0)
        core.set_flag(0, 'MTE2', 'V', 2)
        core.wait_flag(0, 'MTE2', 'V', 2)
        core.binary(14, 'add', full(x(F32), n_pitch), full(x(F32), n_pitch), row(b(F32)), m_size, n_pitch)
        core.set_flag(0, 'V', 'MTE3', 2)
        core.set_flag(0, 'V', 'MTE2', 2)
        core.wait_flag(0, 'V', 'MTE3', 2)
        core.copy_out(14, y_gm(n_start + (m_start * N)), x(F32), (m_size,), (N,), (n_pitch,), n_size, '')
        core.set_flag(0, 'MTE3', 'MTE2', 0)
        core.set_flag(0, 'MTE3', 'V', 2)
    core.wait_flag(0, 'V', 'MTE2', 2)
    core.wait_flag(0, 'MTE3', 'V', 0)
    core.wait_flag(0, 'MTE3', 'V', 1)
    core.wait_flag(0, 'MTE3', 'MTE2', 0)
    core.wait_flag(0, 'MTE3', 'V', 2)
