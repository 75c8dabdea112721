"""Which core does what: products on the cube, the rest on vectors, tiles handed over between.

A `Partition` only marks statements and values of the IR; `tiledsl.npu.lower` walks the kernel once
for each kind of core and emits that core's share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tiledsl import ir
from tiledsl.npu import program as npu
from tiledsl.npu.known import is_known
from tiledsl.npu.lanes import is_plain
from tiledsl.npu.windows import is_window, may_shift
from tiledsl.scalar import ONE, Axis, Literal


@dataclass(frozen=True)
class DirectStore:
    """A product that the cube core writes to its tensor itself, rounded on the way."""

    product: ir.Value
    store: ir.Store


@dataclass
class Partition:
    """The marks.

    ``accumulators``: variables that live in L0C. ``accumulate``: the product that each adds.
    ``skipped``: statements that no vector core executes. ``to_cube``: values that vector cores
    compute and the cube multiplies. ``to_vector``: products that vector cores read. ``direct``:
    by the value that is stored. ``loads``: those of the cube.
    """

    products: list[ir.Contract] = field(default_factory=list)
    accumulators: set[ir.Var] = field(default_factory=set)
    accumulate: dict[ir.Value, ir.Var] = field(default_factory=dict)
    skipped: set[int] = field(default_factory=set)
    to_cube: dict[ir.Value, None] = field(default_factory=dict)
    to_vector: dict[ir.Value, None] = field(default_factory=dict)
    direct: dict[ir.Value, DirectStore] = field(default_factory=dict)
    loads: dict[ir.Value, ir.Load] = field(default_factory=dict)
    batched: dict[ir.Value, ir.Load] = field(default_factory=dict)
    vector_values: set[ir.Value] = field(default_factory=set)
    vector: bool = False

    @property
    def cube(self) -> bool:
        """Whether there is work for the cube."""
        return bool(self.products)


    def accumulates(self, loop: ir.For, *, alone: bool) -> bool:
        """Whether the loop's own products go into accumulators.

        With ``alone`` also vector cores must have nothing to do in the loop.
        """
        products = any(
            isinstance(s, ir.Contract) and s.result in self.accumulate for s in loop.body
        )
        return products and not (alone and self._on_vectors(loop))

    def _on_vectors(self, loop: ir.For) -> bool:
        """Whether vector cores have something to do in the loop."""
        for s in ir.statements(loop.body):
            if any(v in self.vector_values or v in self.to_vector for v in ir.results(s)):
                return True
            if isinstance(s, ir.Store | ir.Assign) and id(s) not in self.skipped:
                return True
        return False


def partition(
    body: tuple[ir.Stmt, ...], rank: Mapping[Axis, int], facts: Sequence[ir.Fact] = (), *,
    unified: bool = False, outside: frozenset[str] = frozenset(),
) -> Partition:  # fmt: skip
    """Return who does what in a prepared kernel, whose axes have an order by ``rank``.

    ``facts`` hold at launch. A unified core has no path from L0C to global memory: every product
    goes by its vector unit. The variables ``outside`` are not to live in L0C.
    """
    marks = Partition()
    every = list(ir.statements(body))
    marks.products = [s for s in every if isinstance(s, ir.Contract)]
    defined = {value: s for s in every for value in ir.results(s)}
    users: dict[ir.Value, list[ir.Stmt]] = {}
    for statement in every:
        for operand in ir.operands(statement):
            if isinstance(operand, ir.Value):
                users.setdefault(operand, []).append(statement)
    _find_accumulators(marks, every, defined, users, outside)
    if not unified:
        _find_direct_stores(marks, every, users, rank)
    for product in marks.products:
        for side in (product.a, product.b):
            source = defined[side]
            if not isinstance(source, ir.Load):
                marks.to_cube[side] = None
                continue
            others = [p for p in marks.products if side in (p.a, p.b)]
            if any(p.batch for p in others):
                if all(_by_positions(source, p) for p in others):
                    marks.batched[side] = source
                else:
                    marks.to_cube[side] = None
                continue
            plain = is_plain(source) and len(side.type.axes) == 2
            if plain or (not unified and all(_is_matrix(source, p, rank, facts) for p in others)):
                marks.loads[side] = source
            else:
                marks.to_cube[side] = None
    live = _live_on_vectors(marks, every, defined)
    for statement in every:
        if (
            isinstance(statement, ir.Store | ir.Print | ir.Assert)
            and id(statement) not in marks.skipped
        ):
            marks.vector = True
    marks.vector = marks.vector or bool(marks.to_cube)
    products = {p.result for p in marks.products}
    for value, source in defined.items():
        if value not in live:
            continue
        cube_read = isinstance(source, ir.Read) and source.var in marks.accumulators
        if value in products or cube_read:
            marks.to_vector[value] = None
        else:
            marks.vector_values.add(value)
    return marks


def _is_matrix(
    load: ir.Load, product: ir.Contract, rank: Mapping[Axis, int], facts: Sequence[ir.Fact]
) -> bool:
    """Whether the cube can load a tile with several ranges of rows, the rest of a window zeros."""
    if not is_window(load, facts) or may_shift(load):
        return False
    if any(load.guards) and not (isinstance(load.default, Literal) and load.default.value == 0):
        return False
    natural = [axis for i in load.index for axis, _ in i.terms]
    if natural != sorted(natural, key=lambda axis: rank[axis]) or len(natural) < 2:
        return False
    return set(product.axes) in ({natural[-1]}, set(natural[:-1]))


def may_stay_empty(body: tuple[ir.Stmt, ...], marks: Partition) -> bool:
    """Whether all products may be skipped: in a shared loop, an ``if``, or loops in a loop."""
    for s in ir.statements(body):
        if isinstance(s, ir.For):
            inner = (x for x in ir.statements(s.body) if isinstance(x, ir.For))
            if not _surely_runs(s.axis) and any(marks.accumulates(x, alone=False) for x in inner):
                return True
            if marks.accumulates(s, alone=False) and not marks.accumulates(s, alone=True):
                return True
        if isinstance(s, ir.If) and any(isinstance(x, ir.Contract) for x in ir.statements(s.then)):
            return True
    return False


def _surely_runs(axis: Axis) -> bool:
    """Whether a loop over ``axis`` has a turn whatever the sizes are."""
    lo, hi = axis.lo, axis.hi
    return isinstance(lo, Literal) and isinstance(hi, Literal) and lo.value < hi.value


def _by_positions(load: ir.Load, product: ir.Contract) -> bool:
    """Whether the cube can load a matrix for each position of the shared ranges by itself."""
    natural = [axis for i in load.index for axis, _ in i.terms]
    matrix = [axis for axis in natural if axis not in product.batch]
    return (
        bool(product.batch) and is_plain(load) and load.tensor.role == "in" and len(matrix) == 2
        and natural[-1] is matrix[-1] and len(set(natural)) == len(natural)
    )  # fmt: skip


def _find_accumulators(
    marks: Partition,
    every: list[ir.Stmt],
    defined: dict[ir.Value, ir.Stmt],
    users: dict[ir.Value, list[ir.Stmt]],
    outside: frozenset[str],
) -> None:
    """Find ``var acc = 0`` that is only ever ``acc += a @ b``."""
    declared = {s.var: s for s in every if isinstance(s, ir.Declare)}
    for var, start in declared.items():
        zero = isinstance(start.value, Literal) and start.value.value == 0
        if not zero or var.name in outside:
            continue
        chains = []
        for statement in every:
            if isinstance(statement, ir.Assign) and statement.var is var:
                chains.append(_chain(statement, defined, users))
        links = [c for c in chains if c is not None]
        if links and len(links) == len(chains):
            marks.accumulators.add(var)
            marks.skipped.add(id(start))
            for product, parts in links:
                marks.accumulate[product.result] = var
                marks.skipped.update(id(part) for part in parts)


def _chain(
    assign: ir.Assign, defined: dict[ir.Value, ir.Stmt], users: dict[ir.Value, list[ir.Stmt]]
) -> tuple[ir.Contract, tuple[ir.Stmt, ...]] | None:
    """Return the product that ``assign`` adds to its variable, with the steps on the way."""
    value = assign.value
    if not isinstance(value, ir.Value) or len(users[value]) != 1:
        return None
    total = defined[value]
    if not (isinstance(total, ir.Compute) and total.op.name == "add"):
        return None
    sources = [defined[x] for x in total.operands if isinstance(x, ir.Value)]
    reads = [s for s in sources if isinstance(s, ir.Read) and s.var is assign.var]
    products = [s for s in sources if isinstance(s, ir.Contract)]
    if len(reads) != 1 or len(products) != 1 or products[0].batch:
        return None
    read, product = reads[0], products[0]
    same = set(product.result.type.axes) == set(assign.var.type.axes)
    if not same or len(users[read.result]) != 1 or len(users[product.result]) != 1:
        return None
    return product, (read, total, assign)


def _find_direct_stores(
    marks: Partition,
    every: list[ir.Stmt],
    users: dict[ir.Value, list[ir.Stmt]],
    rank: Mapping[Axis, int],
) -> None:
    """Find products whose only use is a plain store, perhaps after rounding."""
    for statement in every:
        match statement:
            case ir.Read(result=value, var=var) if var in marks.accumulators:
                pass
            case ir.Contract(result=value) if value not in marks.accumulate and not statement.batch:
                pass
            case _:
                continue
        if id(statement) in marks.skipped:
            continue
        steps: list[ir.Stmt] = []
        last: ir.Value = value
        while len(users.get(last, ())) == 1:
            user = users[last][0]
            steps.append(user)
            if (
                isinstance(user, ir.Compute) and user.op.name == "cast" and len(steps) == 1
                and user.result.type.dtype in npu.LEAVING[value.type.dtype]
            ):  # fmt: skip
                last = user.result
                continue
            if isinstance(user, ir.Store) and _plain(user, last, rank):
                marks.direct[value] = DirectStore(value, user)
                marks.skipped.update(id(s) for s in steps)
            break


def _plain(store: ir.Store, value: ir.Value, rank: Mapping[Axis, int]) -> bool:
    """Whether the cube can store a product itself: whole, row by row."""
    axes = set(value.type.axes)
    named = [axis for i in store.index for axis, mult in i.terms if mult == ONE]
    simple = all(i.gather is None and len(i.terms) <= 1 for i in store.index)
    rounded = store.tensor.dtype is value.type.dtype
    last = store.index[-1].terms if store.index else ()
    return (
        store.mode == "store" and not any(store.guards) and simple and rounded
        and set(named) == axes and len(named) == len(axes) == 2 and bool(last)
        and rank[named[0]] < rank[named[1]]
    )  # fmt: skip


def _live_on_vectors(
    marks: Partition, every: list[ir.Stmt], defined: dict[ir.Value, ir.Stmt]
) -> set[ir.Value]:
    """Return the values that vector cores need: for stores, variables, and the cube."""
    work: list[ir.Value] = list(marks.to_cube)
    read_vars: set[ir.Var] = set()
    live: set[ir.Value] = set()

    def need(statement: ir.Stmt) -> None:
        gathers = (
            [i.gather for i in statement.index] if isinstance(statement, ir.Load | ir.Store) else []
        )
        condition = statement.condition if isinstance(statement, ir.If) else None
        gathers += [condition] if isinstance(condition, ir.Value) else []
        scalar = {g for g in gathers if g is not None and is_known(g, defined)}
        work.extend(
            x for x in ir.operands(statement) if isinstance(x, ir.Value) and x not in scalar
        )

    for statement in every:
        if id(statement) in marks.skipped:
            continue
        if isinstance(statement, ir.Store | ir.If | ir.Print | ir.Assert):
            need(statement)
    while work:
        value = work.pop()
        if value in live:
            continue
        live.add(value)
        source = defined[value]
        if isinstance(source, ir.Contract):
            continue
        if isinstance(source, ir.Read):
            if source.var not in marks.accumulators and source.var not in read_vars:
                read_vars.add(source.var)
                for s in every:
                    if isinstance(s, ir.Declare | ir.Assign) and s.var is source.var:
                        need(s)
            continue
        need(source)
    for s in every:
        if isinstance(s, ir.Declare | ir.Assign) and s.var not in read_vars:
            marks.skipped.add(id(s))
    return live
