"""fold: its program for ascend910b3, as NumPy runs it.

Written by tiledsl. The simulator calls each function with a core: one that computes, one that
counts cycles, or one that looks for hazards. The first number of a call is its line of .tile.
"""

from tiledsl.simulator.vocabulary import F32, full, least  # noqa: E501


def programs(core):  # type: ignore[no-untyped-def]
    N = core.dim('N')
    return (N + 511) // 512


def vector_sizes(core):  # type: ignore[no-untyped-def]
    N = core.dim('N')
    program = core.program
    n_start = program * 512
    n_size = least(512, (N - n_start))
    return [n_size]


def vector(core):  # type: ignore[no-untyped-def]
    part = core.buffer('part', 'UB', 0, 65536, 2)  # f32[p, n]
    acc = core.buffer('acc', 'UB', 131072, 2048, 1)  # f32[n]
    sum = core.buffer('sum', 'UB', 133120, 2048, 1)  # f32[n]
    part_gm = core.tensor('part')
    y_gm = core.tensor('y')
    P = core.dim('P')
    N = core.dim('N')
    block = core.block
    blocks = core.blocks
    p_turn = 0
    programs = (N + 511) // 512
    core.set_flag(0, 'V', 'MTE2', 0)
    core.set_flag(0, 'V', 'MTE2', 1)
    core.set_flag(0, 'MTE3', 'V', 0)
    for program in core.programs(0, block, programs, blocks):  # grid n in N by BN
        core.barrier(0, 'V')
        n_start = program * 512
        n_size = core.same(least(512, (N - n_start)))
        n_pitch = ((n_size + 7) // 8) * 8
        core.wait_flag(0, 'MTE3', 'V', 0)
        core.fill(27, acc(F32), 0.0, n_pitch)
        core.barrier(0, 'V')
        for p_start in core.loop(29, 0, P, 32):  # for p in P by BP
            core.barrier(0, 'V')
            p_size = least(32, (P - p_start))
            core.wait_flag(0, 'V', 'MTE2', p_turn % 2)
            core.copy_in(29, part(F32, 0, p_turn % 2), part_gm(n_start + (p_start * N)), (p_size,), (N,), (n_pitch,), n_size, 0.0)
            core.set_flag(0, 'MTE2', 'V', p_turn % 2)
            core.wait_flag(0, 'MTE2', 'V', p_turn % 2)
            core.col_reduce(29, 'add', sum(F32), full(part(F32, 0, p_turn % 2), n_pitch), p_size, n_pitch, 0.0)
            core.set_flag(0, 'V', 'MTE2', p_turn % 2)
            core.barrier(0, 'V')
            core.binary(29, 'add', full(acc(F32), n_pitch), full(acc(F32), n_pitch), full(sum(F32), n_pitch), 1, n_pitch)
            p_turn = p_turn + 1
        core.set_flag(0, 'V', 'MTE3', 0)
        core.wait_flag(0, 'V', 'MTE3', 0)
        core.copy_out(30, y_gm(n_start), acc(F32), (), (), (), n_size, '')
        core.set_flag(0, 'MTE3', 'V', 0)
    core.wait_flag(0, 'V', 'MTE2', 0)
    core.wait_flag(0, 'V', 'MTE2', 1)
    core.wait_flag(0, 'MTE3', 'V', 0)
