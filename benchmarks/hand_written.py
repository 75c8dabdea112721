"""NPU programs written by hand: the loops of copies and instructions whose times were measured.

docs/npu_programs.md explains how such programs are written.
"""

from collections.abc import Callable, Sequence

from tiledsl.npu import program as npu
from tiledsl.npu.program import Core, Memory, Queue, Ref, View
from tiledsl.npu.write import Writer
from tiledsl.scalar import ONE, ZERO, Literal, Local, Scalar, add, apply, integer, minimum, mul, sub
from tiledsl.types import DType

S, V, M = Queue.S, Queue.V, Queue.M
MTE1, MTE2, MTE3, FIXP = Queue.MTE1, Queue.MTE2, Queue.MTE3, Queue.FIXP
NONE: tuple[Scalar, ...] = ()


def addition(count: int, tile: int, depth: int, at: Sequence[int]) -> Writer:
    """Return ``z = x + y`` of f16 in tiles, with ``depth`` buffers each, at the addresses given."""
    w = Writer()
    x, y = (w.tensor(n, DType.F16, count) for n in "xy")
    z = w.tensor("z", DType.F16, count, out=True)
    turn = w.let("turn", 0)
    slot = apply("mod", turn, integer(depth))
    a, b, c = (
        w.buffer(n, DType.F16, tile, slots=depth, at=start, slot=slot)
        for n, start in zip("abc", at, strict=True)
    )
    for event in range(depth):
        w.set(V, MTE2, event)
        w.set(MTE3, V, event)
    with w.programs(-(-count // tile)) as program:
        start = w.let("start", mul(program, tile))
        size = w.let("size", minimum(integer(tile), sub(integer(count), start)))
        w.wait(V, MTE2, slot)
        w.emit(npu.CopyIn(a, npu.Global(x, start), NONE, NONE, NONE, size))
        w.emit(npu.CopyIn(b, npu.Global(y, start), NONE, NONE, NONE, size))
        w.set(MTE2, V, slot)
        w.wait(MTE2, V, slot)
        w.wait(MTE3, V, slot)
        w.emit(npu.Binary("add", View(c), View(a), View(b), ONE, size))
        w.set(V, MTE2, slot)
        w.set(V, MTE3, slot)
        w.wait(V, MTE3, slot)
        w.emit(npu.CopyOut(npu.Global(z, start), c, NONE, NONE, NONE, size))
        w.set(MTE3, V, slot)
        w.emit(npu.Assign("turn", add(turn, 1)))
    for event in range(depth):
        w.wait(V, MTE2, event)
        w.wait(MTE3, V, event)
    return w


def scalar_addition(count: int, tile: int) -> Writer:
    """Return ``z = x + y`` of f16, element by element on the scalar unit."""
    w = Writer()
    x, y = (w.tensor(n, DType.F16, count) for n in "xy")
    z = w.tensor("z", DType.F16, count, out=True)
    a, b, c = (w.buffer(n, DType.F16, tile) for n in "abc")
    with w.programs(-(-count // tile)) as program:
        start = w.let("start", mul(program, tile))
        for ref, tensor in ((a, x), (b, y)):
            place = npu.Global(tensor, start)
            w.emit(npu.CopyIn(ref, place, NONE, NONE, NONE, integer(tile)))
        w.set(MTE2, S)
        w.wait(MTE2, S)
        with w.loop("i", tile):
            w.emit(npu.ReadScalar("left", a), npu.ReadScalar("right", b))
            w.emit(npu.WriteScalar(c, ZERO))
        w.set(S, MTE3)
        w.wait(S, MTE3)
        w.emit(npu.CopyOut(npu.Global(z, start), c, NONE, NONE, NONE, integer(tile)))
        w.set(MTE3, S)
        w.wait(MTE3, S)
    return w


def copies(
    rows: int, cols: int, tile: tuple[int, int], cores: int, *, to_l1: bool = False,
    repeats: int = 1, slices: int = 1,
) -> Writer:  # fmt: skip
    """Return a copy of ``rows`` x ``cols`` of f16 from global memory; each core has its rows.

    The columns are cut into ``slices``, each of which is read ``repeats`` times.
    """
    w = Writer(Core.CUBE if to_l1 else Core.VECTOR)
    x = w.tensor("x", DType.F16, rows * cols)
    high, wide = tile
    room = w.buffer(
        "room", DType.F16, high * wide, memory=Memory.L1 if to_l1 else Memory.UB
    )
    own, width = rows // cores, -(-cols // slices)
    with w.programs(cores) as program, w.loop("slice", slices) as part:
        left = w.let("left", mul(part, width))
        with (
            w.loop("again", repeats),
            w.loop("row", own, step=high) as row,
            w.loop("col", width, step=wide) as col,
        ):
            start = add(mul(add(mul(program, own), row), cols), add(left, col))
            width_left = sub(sub(integer(cols), left), col)
            length = w.let("length", minimum(integer(wide), width_left))
            w.emit(_copy(room, npu.Global(x, start), high, length, cols, to_l1))
    return w


def shared_copies(
    rows: int, cols: int, tile: tuple[int, int], cores: int, *, to_l1: bool = False,
    rotated: bool = False,
) -> Writer:  # fmt: skip
    """Return a copy of all of ``rows`` x ``cols`` of f16 by every core, in tiles.

    Core ``i`` begins with tile ``i`` where the order is ``rotated``, else all with the first.
    """
    w = Writer(Core.CUBE if to_l1 else Core.VECTOR)
    x = w.tensor("x", DType.F16, rows * cols)
    high, wide = tile
    room = w.buffer(
        "room", DType.F16, high * wide, memory=Memory.L1 if to_l1 else Memory.UB
    )
    across = cols // wide
    tiles = rows // high * across
    with w.programs(cores) as program, w.loop("step", tiles) as step:
        at = apply("mod", add(step, program), integer(tiles)) if rotated else step
        number = w.let("number", at)
        down = mul(apply("floordiv", number, integer(across)), high * cols)
        start = add(down, mul(apply("mod", number, integer(across)), wide))
        w.emit(_copy(room, npu.Global(x, start), high, integer(wide), cols, to_l1))
    return w


def _copy(
    room: Ref, source: npu.Global, rows: int, length: Scalar, stride: int, to_l1: bool
) -> npu.Step:
    if to_l1:
        return npu.LoadNz(room, source, integer(rows), length, integer(stride), integer(rows))
    return npu.CopyIn(
        room, source, (integer(rows),), (integer(stride),), (length,), length
    )


def instruction(
    make: Callable[[Ref, Ref, Ref], npu.Step], times: int, at: tuple[int, int, int],
    dtype: DType = DType.F32, room: int = 65536,
) -> Writer:  # fmt: skip
    """Return ``times`` times one instruction on two sources and a result at these addresses."""
    w = Writer()
    a, b, c = (
        w.buffer(n, dtype, room // dtype.size, at=start) for n, start in zip("abc", at, strict=True)
    )
    with w.programs(1), w.loop("i", times):
        w.emit(make(a, b, c))
    return w


def product(m: int, n: int, k: int, dtype: DType, times: int) -> Writer:
    """Return ``times`` products of L0A and L0B."""
    w = Writer(Core.CUBE)
    out = DType.I32 if dtype is DType.I8 else DType.F32
    a = w.buffer("a", dtype, 65536 // dtype.size, memory=Memory.L0A)
    b = w.buffer("b", dtype, 65536 // dtype.size, memory=Memory.L0B)
    c = w.buffer("c", out, 131072 // 4, memory=Memory.L0C)
    with w.programs(1), w.loop("i", times):
        first = Literal(True, DType.BOOL)
        w.emit(npu.Mmad(c, a, b, integer(m), integer(n), integer(k), first))
    return w


def matmul(
    size: tuple[int, int, int], base: tuple[int, int, int], cores: tuple[int, int],
    steps: tuple[int, int] = (1, 1), *, depth: int = 2, dtype: DType = DType.F16,
) -> Writer:  # fmt: skip
    """Return ``c = a @ b`` with b stored [N, K], cut into ``cores`` rectangles of whole tiles.

    ``base`` is the tile of L0; a copy to L1 takes ``steps`` tiles along k of a and of b (those of
    a a multiple of those of b). Buffers in L1 and L0 have ``depth`` slots, L0C has one.
    """
    (rows, cols, inner), (bm, bn, bk), (step_a, step_b) = size, base, steps
    down, across = cores
    high, wide = -(-rows // bm), -(-cols // bn)
    own_high, own_wide = -(-high // down), -(-wide // across)
    w = Writer(Core.CUBE)
    a, b = w.tensor("a", dtype, rows * inner), w.tensor("b", dtype, cols * inner)
    c = w.tensor("c", dtype, rows * cols, out=True)
    turns = [w.let(name, 0) for name in ("turn_a", "turn_b", "turn")]
    slot_a, slot_b, slot = (apply("mod", turn, integer(depth)) for turn in turns)
    l1_a = w.buffer(
        "l1_a", dtype, bm * bk * step_a, memory=Memory.L1, slots=depth, slot=slot_a
    )
    l1_b = w.buffer(
        "l1_b", dtype, bn * bk * step_b, memory=Memory.L1, slots=depth, slot=slot_b
    )
    l0_a = w.buffer("l0_a", dtype, bm * bk, memory=Memory.L0A, slots=depth, slot=slot)
    l0_b = w.buffer("l0_b", dtype, bn * bk, memory=Memory.L0B, slots=depth, slot=slot)
    l0_c = w.buffer("l0_c", DType.F32, bm * bn, memory=Memory.L0C)
    second = add(slot_b, depth)
    for event in range(depth):
        w.set(MTE1, MTE2, event)
        w.set(MTE1, MTE2, depth + event)
        w.set(M, MTE1, event)
    w.set(FIXP, M)
    with w.programs(down * across) as program:
        top = w.let("top", mul(apply("floordiv", program, integer(across)), own_high))
        side = w.let("side", mul(apply("mod", program, integer(across)), own_wide))
        tiles_m = w.let("tiles_m", minimum(integer(own_high), sub(integer(high), top)))
        tiles_n = w.let("tiles_n", minimum(integer(own_wide), sub(integer(wide), side)))
        with w.loop("tile_n", tiles_n) as tile_n, w.loop("tile_m", tiles_m) as tile_m:
            row = w.let("row", mul(add(top, tile_m), bm))
            col = w.let("col", mul(add(side, tile_n), bn))
            m = w.let("m", minimum(integer(bm), sub(integer(rows), row)))
            n = w.let("n", minimum(integer(bn), sub(integer(cols), col)))
            w.wait(FIXP, M)
            with w.loop("outer", inner, step=bk * step_a) as outer:
                w.wait(MTE1, MTE2, slot_a)
                deep = minimum(integer(bk * step_a), sub(integer(inner), outer))
                source = npu.Global(a, add(mul(row, inner), outer))
                w.emit(npu.LoadNz(l1_a, source, m, deep, integer(inner), integer(bm)))
                w.set(MTE2, MTE1, slot_a)
                w.wait(MTE2, MTE1, slot_a)
                depth_a = w.let("depth_a", deep)
                with w.loop("middle", depth_a, step=bk * step_b) as middle:
                    w.wait(MTE1, MTE2, second)
                    along = w.let("along", add(outer, middle))
                    deep = minimum(integer(bk * step_b), sub(integer(inner), along))
                    depth_b = w.let("depth_b", deep)
                    source = npu.Global(b, add(mul(col, inner), along))
                    w.emit(npu.LoadNz(l1_b, source, n, depth_b, integer(inner), integer(bn)))
                    w.set(MTE2, MTE1, second)
                    w.wait(MTE2, MTE1, second)
                    with w.loop("at", depth_b, step=bk) as at:
                        k = w.let("k", minimum(integer(bk), sub(depth_b, at)))
                        w.wait(M, MTE1, slot)
                        w.emit(npu.LoadA(l0_a, l1_a, m, k, integer(bm)))
                        w.emit(npu.LoadB(l0_b, l1_b, k, n, integer(bn), transposed=True))
                        w.set(MTE1, M, slot)
                        w.wait(MTE1, M, slot)
                        first = apply("eq", add(along, at), ZERO)
                        w.emit(npu.Mmad(l0_c, l0_a, l0_b, m, n, k, first))
                        w.set(M, MTE1, slot)
                        w.emit(npu.Assign("turn", add(Local("turn"), 1)))
                    w.set(MTE1, MTE2, second)
                    w.emit(npu.Assign("turn_b", add(Local("turn_b"), 1)))
                w.set(MTE1, MTE2, slot_a)
                w.emit(npu.Assign("turn_a", add(Local("turn_a"), 1)))
            w.set(M, FIXP)
            w.wait(M, FIXP)
            target = npu.Global(c, add(mul(row, cols), col))
            w.emit(npu.Fixpipe(target, l0_c, m, n, integer(cols), dtype))
            w.set(FIXP, M)
    for event in range(depth):
        w.wait(MTE1, MTE2, event)
        w.wait(MTE1, MTE2, depth + event)
        w.wait(M, MTE1, event)
    w.wait(FIXP, M)
    return w
