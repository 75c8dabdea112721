"""activate: its program for ascend910b3, as NumPy runs it.

Written by tiledsl. The simulator calls each function with a core: one that computes, one that
counts cycles, or one that looks for hazards. The first number of a call is its line of .tile.
"""

from tiledsl.simulator.vocabulary import F32, full, least, rounded  # noqa: E501


def programs(core):  # type: ignore[no-untyped-def]
    N = core.dim('N')
    return (N + 4095) // 4096


def vector_sizes(core):  # type: ignore[no-untyped-def]
    N = core.dim('N')
    program = core.program
    i_start = program * 4096
    i_size = least(4096, (N - i_start))
    return [i_size]


def vector(core):  # type: ignore[no-untyped-def]
    x = core.buffer('x', 'UB', 0, 16384, 2)  # f32[i]
    mul = core.buffer('mul', 'UB', 32768, 16384, 1)  # f32[i]
    mul_2 = core.buffer('mul_2', 'UB', 49152, 16384, 1)  # f32[i]
    mul_3 = core.buffer('mul_3', 'UB', 65536, 16384, 1)  # f32[i]
    mul_4 = core.buffer('mul_4', 'UB', 81920, 16384, 1)  # f32[i]
    mul_5 = core.buffer('mul_5', 'UB', 98304, 16384, 1)  # f32[i]
    x_gm = core.tensor('x')
    y_gm = core.tensor('y')
    N = core.dim('N')
    block = core.block
    blocks = core.blocks
    turn = 0
    programs = (N + 4095) // 4096
    core.set_flag(0, 'V', 'MTE2', 0)
    core.set_flag(0, 'V', 'MTE2', 1)
    core.set_flag(0, 'MTE3', 'V', 0)
    for program in core.programs(0, block, programs, blocks):  # grid i in N by BN
        core.barrier(0, 'V')
        i_start = program * 4096
        i_size = core.same(least(4096, (N - i_start)))
        i_pitch = ((i_size + 7) // 8) * 8
        core.wait_flag(0, 'V', 'MTE2', turn % 2)
        core.copy_in(10, x(F32, 0, turn % 2), x_gm(i_start), (), (), (), i_size, 0.0)
        core.set_flag(0, 'MTE2', 'V', turn % 2)
        core.wait_flag(0, 'MTE2', 'V', turn % 2)
        core.wait_flag(0, 'MTE3', 'V', 0)
        core.with_scalar('nn.tile:39', 'mul', mul(F32), x(F32, 0, turn % 2), 0.5, i_pitch)
        core.with_scalar('nn.tile:39', 'mul', mul_2(F32), x(F32, 0, turn % 2), 0.7071067811865476, i_pitch)
        core.set_flag(0, 'V', 'MTE2', turn % 2)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'min', mul_2(F32), mul_2(F32), 4.0, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'max', mul_2(F32), mul_2(F32), -4.0, i_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:39', 'mul', full(mul_3(F32), i_pitch), full(mul_2(F32), i_pitch), full(mul_2(F32), i_pitch), 1, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'mul', mul_4(F32), mul_3(F32), -2.72614225801306e-10, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'add', mul_4(F32), mul_4(F32), 2.77068142495902e-08, i_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:39', 'mul', full(mul_4(F32), i_pitch), full(mul_4(F32), i_pitch), full(mul_3(F32), i_pitch), 1, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'add', mul_4(F32), mul_4(F32), -2.10102402082508e-06, i_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:39', 'mul', full(mul_4(F32), i_pitch), full(mul_4(F32), i_pitch), full(mul_3(F32), i_pitch), 1, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'add', mul_4(F32), mul_4(F32), -5.69250639462346e-05, i_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:39', 'mul', full(mul_4(F32), i_pitch), full(mul_4(F32), i_pitch), full(mul_3(F32), i_pitch), 1, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'add', mul_4(F32), mul_4(F32), -0.000734990630326855, i_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:39', 'mul', full(mul_4(F32), i_pitch), full(mul_4(F32), i_pitch), full(mul_3(F32), i_pitch), 1, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'add', mul_4(F32), mul_4(F32), -0.00295459980854025, i_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:39', 'mul', full(mul_4(F32), i_pitch), full(mul_4(F32), i_pitch), full(mul_3(F32), i_pitch), 1, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'add', mul_4(F32), mul_4(F32), -0.0160960333262415, i_pitch)
        core.with_scalar('nn.tile:39', 'mul', mul_5(F32), mul_3(F32), -1.45660718464996e-05, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'add', mul_5(F32), mul_5(F32), rounded((-0.000213374055278905), F32), i_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:39', 'mul', full(mul_5(F32), i_pitch), full(mul_5(F32), i_pitch), full(mul_3(F32), i_pitch), 1, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'add', mul_5(F32), mul_5(F32), -0.00168282697438203, i_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:39', 'mul', full(mul_5(F32), i_pitch), full(mul_5(F32), i_pitch), full(mul_3(F32), i_pitch), 1, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'add', mul_5(F32), mul_5(F32), -0.00737332916720468, i_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:39', 'mul', full(mul_5(F32), i_pitch), full(mul_5(F32), i_pitch), full(mul_3(F32), i_pitch), 1, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'add', mul_5(F32), mul_5(F32), -0.0142647390514189, i_pitch)
        core.binary('nn.tile:39', 'mul', full(mul_2(F32), i_pitch), full(mul_2(F32), i_pitch), full(mul_4(F32), i_pitch), 1, i_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:39', 'div', full(mul_2(F32), i_pitch), full(mul_2(F32), i_pitch), full(mul_5(F32), i_pitch), 1, i_pitch)
        core.barrier(0, 'V')
        core.with_scalar('nn.tile:39', 'add', mul_2(F32), mul_2(F32), 1.0, i_pitch)
        core.barrier(0, 'V')
        core.binary('nn.tile:39', 'mul', full(mul(F32), i_pitch), full(mul(F32), i_pitch), full(mul_2(F32), i_pitch), 1, i_pitch)
        core.set_flag(0, 'V', 'MTE3', 0)
        core.wait_flag(0, 'V', 'MTE3', 0)
        core.copy_out(10, y_gm(i_start), mul(F32), (), (), (), i_size, '')
        core.set_flag(0, 'MTE3', 'V', 0)
        turn = turn + 1
    core.wait_flag(0, 'V', 'MTE2', 0)
    core.wait_flag(0, 'V', 'MTE2', 1)
    core.wait_flag(0, 'MTE3', 'V', 0)
