"""vector_add: its program for ascend910b3, as NumPy runs it.

Written by tiledsl. The simulator calls each function with a core: one that computes, one that
counts cycles, or one that looks for hazards. The first number of a call is its line of .tile.
"""

from tiledsl.simulator.vocabulary import F32, full, least  # noqa: E501


def programs(core):  # type: ignore[no-untyped-def]
    N = core.dim('N')
    return (N + 8191) // 8192


def vector_sizes(core):  # type: ignore[no-untyped-def]
    N = core.dim('N')
    program = core.program
    i_start = program * 8192
    i_size = least(8192, (N - i_start))
    return [i_size]


def vector(core):  # type: ignore[no-untyped-def]
    x = core.buffer('x', 'UB', 0, 32768, 2)  # f32[i]
    y = core.buffer('y', 'UB', 65536, 32768, 2)  # f32[i]
    add = core.buffer('add', 'UB', 131072, 32768, 1)  # f32[i]
    x_gm = core.tensor('x')
    y_gm = core.tensor('y')
    z_gm = core.tensor('z')
    N = core.dim('N')
    block = core.block
    blocks = core.blocks
    turn = 0
    programs = (N + 8191) // 8192
    core.set_flag(0, 'V', 'MTE2', 0)
    core.set_flag(0, 'V', 'MTE2', 1)
    core.set_flag(0, 'MTE3', 'V', 0)
    for program in core.programs(0, block, programs, blocks):  # grid i in N by BN
        core.barrier(0, 'V')
        i_start = program * 8192
        i_size = core.same(least(8192, (N - i_start)))
        i_pitch = ((i_size + 7) // 8) * 8
        core.wait_flag(0, 'V', 'MTE2', turn % 2)
        core.copy_in(4, x(F32, 0, turn % 2), x_gm(i_start), (), (), (), i_size, 0.0)
        core.copy_in(4, y(F32, 0, turn % 2), y_gm(i_start), (), (), (), i_size, 0.0)
        core.set_flag(0, 'MTE2', 'V', turn % 2)
        core.wait_flag(0, 'MTE2', 'V', turn % 2)
        core.wait_flag(0, 'MTE3', 'V', 0)
        core.binary(4, 'add', full(add(F32), i_pitch), full(x(F32, 0, turn % 2), i_pitch), full(y(F32, 0, turn % 2), i_pitch), 1, i_pitch)
        core.set_flag(0, 'V', 'MTE3', 0)
        core.set_flag(0, 'V', 'MTE2', turn % 2)
        core.wait_flag(0, 'V', 'MTE3', 0)
        core.copy_out(4, z_gm(i_start), add(F32), (), (), (), i_size, '')
        core.set_flag(0, 'MTE3', 'V', 0)
        turn = turn + 1
    core.wait_flag(0, 'V', 'MTE2', 0)
    core.wait_flag(0, 'V', 'MTE2', 1)
    core.wait_flag(0, 'MTE3', 'V', 0)
