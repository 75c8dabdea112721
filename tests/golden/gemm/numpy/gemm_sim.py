"""gemm: its program for ascend910b3, as NumPy runs it.

Written by tiledsl. The simulator calls each function with a core: one that computes, one that
counts cycles, or one that looks for hazards. The first number of a call is its line of .tile.
"""

from tiledsl.simulator.vocabulary import F16, F32, full, greatest, least, quotient, remainder, row  # noqa: E501


def programs(core):  # type: ignore[no-untyped-def]
    M = core.dim('M')
    N = core.dim('N')
    return ((M + 127) // 128) * ((N + 255) // 256)


def cube_sizes(core):  # type: ignore[no-untyped-def]
    N = core.dim('N')
    program = core.program
    n_start = remainder(program, ((N + 255) // 256)) * 256
    n_size = least(256, (N - n_start))
    return [n_size]


def cube(core):  # type: ignore[no-untyped-def]
    left = core.buffer('left', 'L0A', 0, 16384, 2)  # f16[m, k]
    right = core.buffer('right', 'L0B', 0, 32768, 2)  # f16[n, k]
    acc = core.buffer('acc', 'L0C', 0, 131072, 1)  # f32[m, n]
    b = core.buffer('b', 'L1', 0, 65536, 2)  # f16[k, n]
    a = core.buffer('a', 'L1', 131072, 32768, 2)  # f16[m, k]
    a_gm = core.tensor('a')
    b_gm = core.tensor('b')
    acc_handed_gm = core.workspace('acc_handed')
    M = core.dim('M')
    K = core.dim('K')
    N = core.dim('N')
    block = core.block
    blocks = core.blocks
    k_turn = 0
    k_at_turn = 0
    acc_handed_turn = 0
    acc_fresh = 0
    programs = ((M + 127) // 128) * ((N + 255) // 256)
    core.set_flag(0, 'M', 'MTE1', 0)
    core.set_flag(0, 'M', 'MTE1', 1)
    core.set_flag(0, 'MTE1', 'MTE2', 0)
    core.set_flag(0, 'MTE1', 'MTE2', 1)
    core.set_flag(0, 'FIX', 'M', 0)
    for program in core.programs(0, block, programs, blocks):  # grid m in M by BM, n in N by BN
        n_start = remainder(program, ((N + 255) // 256)) * 256
        n_size = core.same(least(256, (N - n_start)))
        m_start = quotient(program, ((N + 255) // 256)) * 128
        m_size = least(128, (M - m_start))
        acc_fresh = 1
        core.wait_flag(0, 'FIX', 'M', 0)
        for k_start in core.loop(9, 0, greatest(K, 1), 128):  # for k in K by BK
            k_size = greatest(least(128, (K - k_start)), 0)
            core.wait_flag(0, 'MTE1', 'MTE2', k_turn % 2)
            core.load_nz(9, a(F16, 0, k_turn % 2), a_gm(k_start + (m_start * K)), m_size, k_size, K, ((m_size + 15) // 16) * 16)
            core.load_nz(9, b(F16, 0, k_turn % 2), b_gm(n_start + (k_start * N)), k_size, n_size, N, ((k_size + 15) // 16) * 16)
            core.set_flag(0, 'MTE2', 'MTE1', k_turn % 2)
            core.wait_flag(0, 'MTE2', 'MTE1', k_turn % 2)
            for k_at in core.loop(9, 0, greatest(k_size, 1), 64):  # k in steps that fit L0
                k_at_size = greatest(least(64, (k_size - k_at)), 0)
                core.wait_flag(0, 'M', 'MTE1', k_at_turn % 2)
                core.load_a(9, left(F16, 0, k_at_turn % 2), a(F16, k_at * (((m_size + 15) // 16) * 16), k_turn % 2), m_size, k_at_size, ((m_size + 15) // 16) * 16, False)
                core.load_b(9, right(F16, 0, k_at_turn % 2), b(F16, k_at * 16, k_turn % 2), k_at_size, n_size, ((k_size + 15) // 16) * 16, False)
                core.set_flag(0, 'MTE1', 'M', k_at_turn % 2)
                core.wait_flag(0, 'MTE1', 'M', k_at_turn % 2)
                core.mmad(9, acc(F32), left(F16, 0, k_at_turn % 2), right(F16, 0, k_at_turn % 2), m_size, n_size, k_at_size, acc_fresh == 1)
                core.set_flag(0, 'M', 'MTE1', k_at_turn % 2)
                acc_fresh = 0
                k_at_turn = k_at_turn + 1
            core.set_flag(0, 'MTE1', 'MTE2', k_turn % 2)
            k_turn = k_turn + 1
        core.set_flag(0, 'M', 'FIX', 0)
        yield from core.cross_wait(10, 1, 'FIX')
        core.wait_flag(0, 'M', 'FIX', 0)
        core.fixpipe(10, acc_handed_gm(0, acc_handed_turn % 2), acc(F32), m_size, n_size, 256, F32)
        core.set_flag(0, 'FIX', 'M', 0)
        core.cross_set(10, 0, 'FIX')
        acc_handed_turn = acc_handed_turn + 1
    yield from core.cross_wait(0, 1, 'FIX')
    yield from core.cross_wait(0, 1, 'FIX')
    core.wait_flag(0, 'M', 'MTE1', 0)
    core.wait_flag(0, 'M', 'MTE1', 1)
    core.wait_flag(0, 'MTE1', 'MTE2', 0)
    core.wait_flag(0, 'MTE1', 'MTE2', 1)
    core.wait_flag(0, 'FIX', 'M', 0)


def vector_sizes(core):  # type: ignore[no-untyped-def]
    M = core.dim('M')
    N = core.dim('N')
    program = core.program
    n_start = remainder(program, ((N + 255) // 256)) * 256
    n_size = least(256, (N - n_start))
    m_first = quotient(program, ((N + 255) // 256)) * 128
    m_rows = least(128, (M - m_first))
    return [n_size, m_rows]


def vector(core):  # type: ignore[no-untyped-def]
    acc = core.buffer('acc', 'UB', 0, 65536, 2)  # f32[m, n]
    cast_2_2 = core.buffer('cast_2', 'UB', 131072, 32768, 1)  # f16[m, n]
    bias = core.buffer('bias', 'UB', 163840, 512, 2)  # f16[n]
    cast_2 = core.buffer('cast', 'UB', 164864, 1024, 1)  # f32[n]
    bias_gm = core.tensor('bias')
    c_gm = core.tensor('c')
    acc_handed_gm = core.workspace('acc_handed')
    M = core.dim('M')
    N = core.dim('N')
    block = core.block
    blocks = core.blocks
    sub = core.sub
    turn = 0
    acc_handed_turn = 0
    core.set_flag(0, 'V', 'MTE2', 1)
    core.set_flag(0, 'V', 'MTE2', 2)
    core.set_flag(0, 'MTE3', 'V', 0)
    core.cross_set(0, 1, 'MTE2')
    core.cross_set(0, 1, 'MTE2')
    programs = ((M + 127) // 128) * ((N + 255) // 256)
    for program in core.programs(0, block, programs, blocks):  # grid m in M by BM, n in N by BN
        n_start = remainder(program, ((N + 255) // 256)) * 256
        n_size = core.same(least(256, (N - n_start)))
        n_pitch = ((n_size + 15) // 16) * 16
        m_first = quotient(program, ((N + 255) // 256)) * 128
        m_rows = core.same(least(128, (M - m_first)))
        m_start = m_first + (sub * 64)
        m_size = greatest(least((m_rows - (sub * 64)), 64), 0)
        yield from core.cross_wait(10, 0, 'MTE2')
        if core.same(n_size != n_pitch):
            core.fill(10, acc(F32, 0, turn % 2), 0.0, m_size * n_pitch)
            core.set_flag(0, 'V', 'MTE2', 0)
            core.wait_flag(0, 'V', 'MTE2', 0)
        core.wait_flag(0, 'V', 'MTE2', 1 + (turn % 2))
        core.copy_in(10, acc(F32, 0, turn % 2), acc_handed_gm((m_start - m_first) * 256, acc_handed_turn % 2), (m_size,), (256,), (n_pitch,), n_size, 0.0)
        core.cross_set(10, 1, 'MTE2')
        acc_handed_turn = acc_handed_turn + 1
        core.copy_in(10, bias(F16, 0, turn % 2), bias_gm(n_start), (), (), (), n_size, 0.0)
        core.set_flag(0, 'MTE2', 'V', turn % 2)
        core.wait_flag(0, 'MTE2', 'V', turn % 2)
        core.convert(10, cast_2(F32), bias(F16, 0, turn % 2), 'none', n_pitch)
        core.barrier(0, 'V')
        core.binary(10, 'add', full(acc(F32, 0, turn % 2), n_pitch), full(acc(F32, 0, turn % 2), n_pitch), row(cast_2(F32)), m_size, n_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:6', 'max', acc(F32, 0, turn % 2), acc(F32, 0, turn % 2), 0.0, m_size * n_pitch)
        core.barrier(0, 'V')
        core.wait_flag(0, 'MTE3', 'V', 0)
        core.convert(10, cast_2_2(F16), acc(F32, 0, turn % 2), 'rint', m_size * n_pitch)
        core.set_flag(0, 'V', 'MTE3', 0)
        core.set_flag(0, 'V', 'MTE2', 1 + (turn % 2))
        core.wait_flag(0, 'V', 'MTE3', 0)
        core.copy_out(10, c_gm(n_start + (m_start * N)), cast_2_2(F16), (m_size,), (N,), (n_pitch,), n_size, '')
        core.set_flag(0, 'MTE3', 'V', 0)
        turn = turn + 1
    core.wait_flag(0, 'V', 'MTE2', 1)
    core.wait_flag(0, 'V', 'MTE2', 2)
    core.wait_flag(0, 'MTE3', 'V', 0)
