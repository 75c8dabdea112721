"""Values brought to where a pass can meet them: into buffers, or into accumulators."""

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.gpu.frame import Frame, Tile
from tiledsl.gpu.lanes import Env, Lanes, inner_axis, wish_for
from tiledsl.gpu.layouts import MMA_TYPES
from tiledsl.gpu.program import (
    PANEL_COL,
    PANEL_ROW,
    Accumulators,
    Buffer,
    CopyPanel,
    Domain,
    Fragment,
    Layout,
    Loop,
    Map,
    Multiply,
    Once,
    Panel,
    Put,
    Registers,
    Sweep,
    product,
)
from tiledsl.ir import Value
from tiledsl.scalar import Axis, Local, Scalar, Tensor
from tiledsl.source import Span


def prepare(frame: Frame, operand: ir.Operand, layout: Layout | None) -> None:
    """Emit what must come before a pass over ``layout`` (None: not registers) meets ``operand``."""
    todo: list[tuple[ir.Operand, Layout | None]] = [(operand, layout)]
    seen: set[tuple[Value, Layout | None]] = set()
    while todo:
        part, place = todo.pop()
        if isinstance(part, Value) and (part, place) not in seen:
            seen.add((part, place))
            todo += reversed(_before(frame, part, place))


def _before(
    frame: Frame, value: Value, layout: Layout | None
) -> list[tuple[ir.Operand, Layout | None]]:
    """Make ``value`` ready by itself, or return the operands that must be, each with its layout."""
    scope = frame.scope
    if value in scope.uniform or value in scope.tiles:
        return []
    if value in scope.fragments:
        if scope.fragments[value].layout != layout:
            keep(frame, value)
        return []
    match frame.plan.defs[value]:
        case ir.Contract() as contract if value in frame.plan.layouts:
            own_product(frame, contract)
            return _before(frame, value, layout)
        case ir.Read(var=var) if var in frame.var_fragments:
            if frame.var_fragments[var].layout != layout:
                keep(frame, value)
            return []
        case ir.Compute() | ir.Load() | ir.Random() if value in frame.plan.keep:
            keep(frame, value)
            return []
        case ir.Rename(operand=source):
            return [(source, None)]
        case statement:
            axes = set(value.type.axes)
            found: list[tuple[ir.Operand, Layout | None]] = []
            for part in ir.operands(statement):
                same = isinstance(part, Value) and set(part.type.axes) == axes
                found.append((part, layout if same else None))
            return found


def keep(frame: Frame, value: Value) -> None:
    """Put ``value`` into a buffer of its own."""
    layout = home(frame, value)
    for part in _parts(frame, value):
        same = isinstance(part, Value) and set(part.type.axes) == set(value.type.axes)
        prepare(frame, part, layout if same else None)
    env, domain = domain_of(frame, value.type.axes, layout, [value], [])
    lanes = Lanes(frame, layout)
    held = lanes.operand(value, env)
    tile = tile_for(frame, value, domain)
    span = frame.plan.defs[value].span
    effect = Put(tile.buffer, lanes.place(tile, env), held)
    frame.out.append(Map(span, domain, tuple(lanes.steps), (effect,)))
    frame.scope.tiles[value] = tile


def tile_for(frame: Frame, value: Value, domain: Domain | None) -> Tile:
    """Return the buffer that ``value`` gets wherever it is kept; rows run as ``domain`` does."""
    if value in frame.kept:
        return frame.kept[value]
    axes = value.type.axes
    if isinstance(domain, Sweep):
        axes = tuple(c.axis for c in domain.coordinates)
    shape = tuple(map(frame.limit, axes))
    span, note = frame.plan.defs[value].span, str(value.type)
    buffer = frame.buffer(f"{wish_for(frame, value)}_tile", value.type.dtype, shape, note, span)
    buffer.optional = value in frame.plan.keep
    frame.kept[value] = Tile(buffer, axes)
    return frame.kept[value]


def home(frame: Frame, value: Value) -> Layout | None:
    """Return the layout of registers in which ``value`` can be computed element by element."""
    scope, seen, todo = frame.scope, {value}, [value]
    while todo:
        part = todo.pop()
        if part in scope.fragments:
            return scope.fragments[part].layout
        if part in scope.tiles or part in scope.uniform:
            continue
        match frame.plan.defs[part]:
            case ir.Contract():
                layout = frame.plan.layouts.get(part)
                if layout is not None:
                    return layout
            case ir.Read(var=var) if var in frame.var_fragments:
                return frame.var_fragments[var].layout
            case ir.Compute(operands=operands):
                axes = set(part.type.axes)
                whole = [x for x in operands if isinstance(x, Value) and set(x.type.axes) == axes]
                todo += [x for x in reversed(whole) if x not in seen]
                seen.update(whole)
            case _:
                pass
    return None


def domain_of(
    frame: Frame,
    axes: tuple[Axis, ...],
    layout: Layout | None,
    operands: list[ir.Operand],
    stores: list[ir.Store],
) -> tuple[Env, Domain]:
    """Return how a pass over ``axes`` is dealt out, and the place of its element."""
    env = {axis: frame.coordinate(axis) for axis in axes}
    if layout is not None:
        return env, registers(frame, layout)
    if not axes:
        return env, Once()
    last = inner_axis(frame, operands, stores, axes)
    order = (*(a for a in axes if a is not last), last)
    coordinates = tuple(env[a] for a in order)
    threads = frame.plan.threads
    width = threads if len(order) == 1 else min(threads, up_to_power(frame.limit(last)))
    return env, Sweep(coordinates, width)


def registers(frame: Frame, layout: Layout) -> Registers:
    """Return the domain of the registers of ``layout``."""
    row = tuple(map(frame.coordinate, layout.rows))
    col = tuple(map(frame.coordinate, layout.cols))
    return Registers(layout, row, col)


def own_product(frame: Frame, contract: ir.Contract) -> None:
    """Compute a product into accumulators of its own."""
    value = contract.result
    layout = frame.plan.layouts[value]
    fragment = Fragment(frame.name((value, "product"), value.name), value.type.dtype, layout)
    prepare_product(frame, contract)
    frame.out.append(Accumulators(contract.span, fragment))
    accumulate(frame, contract, fragment)
    frame.scope.fragments[value] = fragment


def prepare_product(frame: Frame, contract: ir.Contract) -> None:
    """Emit what must come before the operands of a product are staged."""
    prepare(frame, contract.a, None)
    prepare(frame, contract.b, None)


def accumulate(frame: Frame, contract: ir.Contract, into: Fragment) -> None:
    """Add a product to ``into``: stage a chunk of both operands, multiply, and so on."""
    layout = into.layout
    a, b = contract.a, contract.b
    if not set(layout.rows) <= set(a.type.axes):
        a, b = b, a
    depth = contract.axes
    limits = tuple(map(frame.limit, depth))
    inner = product(limits[1:])
    chunk = _chunk(a, product(limits))
    names = frame.names
    size = frame.coordinate(depth[0]).size
    total = sc.mul(size, inner)
    local = names.take(f"{depth[0].name}_chunk") if product(limits) > chunk else ""
    with frame.block() as body:
        left = _stage(frame, a, layout.rows, depth, layout.shape[0], chunk, local, contract.span)
        right = _stage(frame, b, layout.cols, depth, layout.shape[1], chunk, local, contract.span)
        todo: Scalar = sc.sub(total, Local(local)) if local else total
        if local or not isinstance(todo, sc.Literal):
            todo = sc.minimum(todo, sc.integer(chunk))
        first = frame.coordinate(layout.cols[0])
        cols = sc.mul(first.size, product(tuple(map(frame.limit, layout.cols[1:]))))
        panel_a, by_depth_a = left
        panel_b, by_depth_b = right
        body.append(
            Multiply(contract.span, into, panel_a, panel_b, by_depth_a, by_depth_b, todo, cols)
        )
    if local:
        frame.out.append(Loop(contract.span, local, sc.ZERO, total, chunk, tuple(body)))
    else:
        frame.out += body


def _stage(
    frame: Frame,
    value: Value,
    across: tuple[Axis, ...],
    depth: tuple[Axis, ...],
    size: int,
    chunk: int,
    local: str,
    span: Span,
) -> tuple[Buffer, bool]:
    """Emit a pass that puts a chunk of an operand into a panel; say if it lies depth first."""
    axes = value.type.axes
    by_depth = inner_axis(frame, [value], [], axes) in across
    env = {axis: frame.coordinate(axis) for axis in axes}
    dtype = MMA_TYPES.get(value.type.dtype, value.type.dtype)
    rows, cols = (chunk, size) if by_depth else (size, chunk)
    # 16 bytes more a row: eight rows that ldmatrix reads together lie in different banks. For
    # the others an odd number of words does the same.
    pitch = cols + 8 if dtype.bits == 16 else cols + 1
    note = f"{value.type}, a chunk of it"
    buffer = frame.buffer(f"{wish_for(frame, value)}_panel", dtype, (rows, cols), note, span)
    buffer.pitch = pitch
    copied = _copy(frame, value, (depth, across) if by_depth else (across, depth), local, by_depth)
    if copied is not None and dtype is value.type.dtype and dtype.bits >= 8:
        frame.out.append(CopyPanel(span, buffer, *copied))
        return buffer, by_depth
    lanes = Lanes(frame)
    held = lanes.operand(value, env)
    along = tuple(env[a] for a in across)
    deep = tuple(env[a] for a in depth)
    row, col = (deep, along) if by_depth else (along, deep)
    domain = Panel(rows, cols, row, col, local, by_depth)
    effect = Put(buffer, (Local(PANEL_ROW), Local(PANEL_COL)), held)
    frame.out.append(Map(span, domain, tuple(lanes.steps), (effect,)))
    return buffer, by_depth


def _copy(
    frame: Frame,
    value: Value,
    sides: tuple[tuple[Axis, ...], tuple[Axis, ...]],
    local: str,
    by_depth: bool,
) -> tuple[Tensor, tuple[Scalar, ...], int, Scalar, Scalar, Scalar] | None:
    """Return how a panel is copied from a tensor row by row; None if that is not what it is.

    The rows run along one dim, the columns along the last, and nothing has to be tested.
    """
    load = frame.plan.defs[value]
    plain = isinstance(load, ir.Load) and value not in frame.scope.tiles and not any(load.guards)
    if not plain or len(sides[0]) != 1 or len(sides[1]) != 1:
        return None
    assert isinstance(load, ir.Load)
    (row,), (col,) = sides
    dims = [k for k, part in enumerate(load.index) if any(a is row for a, _ in part.terms)]
    last = load.index[-1]
    if (
        any(part.gather is not None for part in load.index)
        or [a for a, _ in last.terms] != [col]
        or last.terms[0][1] != sc.ONE
        or len(dims) != 1
        or any(a not in (row, col) for part in load.index for a, _ in part.terms)
        or len(load.index[dims[0]].terms) != 1
    ):
        return None
    step = frame.resolve(load.index[dims[0]].terms[0][1])
    first = []
    places = {axis: frame.coordinate(axis) for axis in (row, col)}
    chunked = row if by_depth else col
    for part in load.index:
        total = frame.resolve(part.offset)
        for axis, factor in part.terms:
            start = places[axis].start
            if local and axis is chunked:
                start = sc.add(start, Local(local))
            total = sc.add(total, sc.mul(frame.resolve(factor), start))
        first.append(total)
    sizes = [
        sc.sub(places[a].size, Local(local)) if local and a is chunked else places[a].size
        for a in (row, col)
    ]
    return load.tensor, tuple(first), dims[0], step, sizes[0], sizes[1]


def _chunk(value: Value, depth: int) -> int:
    if value.type.dtype in MMA_TYPES:
        return min(64, -(-depth // 16) * 16)
    return min(32, depth)


def _parts(frame: Frame, value: Value) -> tuple[ir.Operand, ...]:
    scope = frame.scope
    if value in scope.fragments:
        return ()
    statement = frame.plan.defs[value]
    if isinstance(statement, ir.Contract):
        own_product(frame, statement)
        return ()
    return ir.operands(statement)


def up_to_power(number: int) -> int:
    """Return the least power of two that is ``number`` or more."""
    return 1 << max(0, number - 1).bit_length()
