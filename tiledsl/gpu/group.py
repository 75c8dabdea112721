"""Stores and assignments put off until one pass can do them together.

Stores and assignments over the same ranges that follow each other become the effects of one pass:
every thread reads its elements, then writes them. What a pass reads of a tensor or var that it
writes must therefore be the element that it writes; anything else is kept in a buffer before.
"""

from dataclasses import dataclass, field

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.gpu.frame import Frame
from tiledsl.gpu.lanes import Env, Lanes, leaves
from tiledsl.gpu.plan import State, store_axes
from tiledsl.gpu.program import Effect, Keep, Layout, Map, Put, Write
from tiledsl.gpu.values import domain_of, home, keep, prepare
from tiledsl.ir import Value
from tiledsl.scalar import Axis, Literal

Item = ir.Store | ir.Assign | ir.Declare


@dataclass(slots=True)
class Group:
    """What is put off, in order."""

    axes: tuple[Axis, ...]
    layout: Layout | None
    items: list[Item] = field(default_factory=list)

    @property
    def writes(self) -> frozenset[State]:
        """The vars and tensors that will be written."""
        return frozenset(i.tensor if isinstance(i, ir.Store) else i.var for i in self.items)


class Pending:
    """At most one group that is put off."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.group: Group | None = None

    def add(self, item: Item) -> None:
        """Put ``item`` off, after what cannot share a pass with it is done."""
        frame = self.frame
        if isinstance(item, ir.Store):
            axes = store_axes(item.value, item.index)
            layout = _home(frame, item.value, axes)
        else:
            axes = item.var.type.axes
            fragment = frame.var_fragments.get(item.var)
            layout = fragment.layout if fragment else None
        for axis in axes:
            frame.need(axis, item.span)
        target = item.tensor if isinstance(item, ir.Store) else item.var
        group = self.group
        together = group is not None and set(group.axes) == set(axes) and group.layout == layout
        if not together or target in group.writes:  # type: ignore[union-attr]
            self.flush(frame.plan.position[id(item)])
            self.group = Group(axes, layout)
        assert self.group is not None
        self.group.items.append(item)

    def before_read(self, state: State, position: int) -> None:
        """Do what is put off if it writes ``state``."""
        if self.group is not None and state in self.group.writes:
            self.flush(position)

    def before_write(self, states: frozenset[State], position: int) -> None:
        """See that whatever needs the old ``states`` from ``position`` on has them."""
        group = self.group
        if group is not None and (
            group.writes & states or any(self._reads(i) & states for i in group.items)
        ):
            self.flush(position)
        frame = self.frame
        for value in list(frame.scope.seen):
            if frame.plan.last_use[value] >= position and frame.depends(value) & states:
                keep(frame, value)

    def flush(self, position: int) -> None:
        """Emit the pass; ``position`` is that of the first statement that it comes before."""
        group, self.group = self.group, None
        if group is None:
            return
        frame = self.frame
        self.before_write(group.writes, position)
        for item in group.items:
            self._separate(group, item)
        for item in group.items:
            for operand in _operands(item):
                prepare(frame, operand, _layout_for(operand, group))
        operands = [o for i in group.items for o in _operands(i)]
        stores = [i for i in group.items if isinstance(i, ir.Store)]
        env, domain = domain_of(frame, group.axes, group.layout, operands, stores)
        lanes = Lanes(frame, group.layout)
        effects = tuple(self._effect(item, lanes, env) for item in group.items)
        frame.out.append(Map(group.items[0].span, domain, tuple(lanes.steps), effects))

    def _reads(self, item: Item) -> frozenset[State]:
        values = [o for o in _operands(item) if isinstance(o, Value)]
        return frozenset().union(*map(self.frame.depends, values))

    def _separate(self, group: Group, item: Item) -> None:
        """Keep what ``item`` reads of what the group writes, at another place than it writes."""
        frame = self.frame
        for operand in _operands(item):
            for value in list(leaves(frame, operand)):
                match frame.plan.defs[value]:
                    case ir.Load(tensor=tensor, index=index) if tensor in group.writes:
                        stores = [i for i in group.items if isinstance(i, ir.Store)]
                        if any(s.tensor is tensor and s.index != index for s in stores):
                            keep(frame, value)
                    case ir.Read(var=var) if var in group.writes and _renames(frame, operand):
                        keep(frame, value)
                    case _:
                        pass

    def _effect(self, item: Item, lanes: Lanes, env: Env) -> Effect:
        frame = self.frame
        held = lanes.operand(item.value, env)
        if isinstance(item, ir.Store):
            index = lanes.index(item.index, env)
            guards = item.guards if item.skip else ()
            return Write(
                item.tensor, index, held, item.atomic, guards, item.span, _apart(item, frame)
            )
        if item.var in frame.var_fragments:
            return Keep(frame.var_fragments[item.var], held)
        tile = frame.var_tiles[item.var]
        return Put(tile.buffer, lanes.place(tile, env), held)


def _operands(item: Item) -> list[ir.Operand]:
    return [o for o in ir.operands(item) if isinstance(o, Value)]


def _layout_for(operand: ir.Operand, group: Group) -> Layout | None:
    same = isinstance(operand, Value) and set(operand.type.axes) == set(group.axes)
    return group.layout if same else None


def _home(frame: Frame, operand: ir.Operand, axes: tuple[Axis, ...]) -> Layout | None:
    if not isinstance(operand, Value) or set(operand.type.axes) != set(axes):
        return None
    return home(frame, operand)


def _renames(frame: Frame, operand: ir.Operand) -> bool:
    todo, scope = [operand], frame.scope
    while todo:
        value = todo.pop()
        if isinstance(value, Value) and value not in scope.tiles and value not in scope.uniform:
            statement = frame.plan.defs[value]
            if isinstance(statement, ir.Rename):
                return True
            todo += ir.operands(statement)
    return False


def _apart(store: ir.Store, frame: Frame) -> bool:
    """Whether rounds of the enclosing loops write different elements: each index tells its round.

    Only plain terms count; what a gather reads may repeat.
    """
    told: set[Axis] = set()
    for index in store.index:
        told |= {axis for axis, factor in index.terms if isinstance(factor, Literal)}
        for part in sc.walk(index.offset):
            if isinstance(part, sc.Position | sc.Start):
                told.add(part.axis)
    loops = [a for a in frame.scope.ranges if a.kind == "for"]
    read = any(
        isinstance(s, ir.Load) and s.tensor is store.tensor for s in frame.plan.defs.values()
    )
    return not store.atomic and not read and all(axis in told for axis in loops)
