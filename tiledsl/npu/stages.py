"""Loops in which a tile goes from core to core and back, taken apart into stages.

In ``s = q @ k[j]; p = exp(s); acc += p @ v[j]`` the second product waits for vector cores that wait
for the first. The first product and the exponentials are stage 0, the second product and what
becomes of it stage 1: in one turn of the loop a core does stage 0 of ``j`` and stage 1 of the turn
``lag`` before, whose tiles have long arrived.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tiledsl import ir
from tiledsl.npu.partition import Partition

_Node = tuple[int, str]  # a statement of the loop's body and a core, or a value that arrives
_CUBE, _VECTOR, _ARRIVES = "cube", "vector", "arrives"


@dataclass(frozen=True)
class Stages:
    """The stage of each statement of a loop's body, by its id, on the cube and on vector cores.

    ``kept`` has the values that a core needs for some turns, and how many; ``handed`` for each
    value that changes cores the turns from its sending to its arrival.
    """

    lag: int
    cube: Mapping[int, int]
    vector: Mapping[int, int]
    kept: Mapping[tuple[ir.Value, bool], int]
    handed: Mapping[tuple[ir.Value, bool], int]

    def of(self, on_vector: bool) -> Mapping[int, int]:
        """Return the stages of one kind of core."""
        return self.vector if on_vector else self.cube

    @property
    def turns(self) -> int:
        """The turns by which the last stage is behind the first."""
        return self.lag * max(*self.cube.values(), *self.vector.values())


def find_stages(loop: ir.For, marks: Partition, lag: int) -> Stages | None:
    """Return the stages of ``loop``; `None` where a turn needs all of the turn before, or is one.

    A variable, and a tensor that the loop writes, belong to one stage.
    """
    if any(isinstance(s, ir.Contract) and s.batch for s in ir.statements(loop.body)):
        return None  # its sides do not stay on the cube
    order = _Order(loop, marks)
    order.collect()
    found = order.solve()
    if found is None:
        return None
    cube = {id(s): found.get((id(s), _CUBE), 0) for s in loop.body}
    vector = {id(s): found.get((id(s), _VECTOR), 0) for s in loop.body}
    for side in (_CUBE, _VECTOR):
        if len({stage for (_, core), stage in found.items() if core == side}) > 1:
            break
    else:
        return None
    kept: dict[tuple[ir.Value, bool], int] = {}
    for value, owner, user in order.uses:
        key = value, user[1] == _VECTOR
        kept[key] = max(kept.get(key, 0), (found[user] - found[owner]) * lag)
        if owner[1] == _ARRIVES and not isinstance(order.home[order.owner[value]], ir.Contract):
            cube[order.owner[value]] = found[owner]
    handed = {key: (found[to] - found[start]) * lag for key, (start, to) in order.handed.items()}
    return Stages(lag, cube, vector, {k: n for k, n in kept.items() if n}, handed)


@dataclass
class _Order:
    """What must not come before what: gathered over a loop's body, then solved."""

    loop: ir.For
    marks: Partition
    home: dict[int, ir.Stmt] = field(default_factory=dict)
    owner: dict[ir.Value, int] = field(default_factory=dict)
    after: dict[tuple[_Node, _Node], int] = field(default_factory=dict)
    uses: list[tuple[ir.Value, _Node, _Node]] = field(default_factory=list)
    handed: dict[tuple[ir.Value, bool], tuple[_Node, _Node]] = field(default_factory=dict)
    groups: dict[object, list[_Node]] = field(default_factory=dict)
    fixed: set[_Node] = field(default_factory=set)
    possible: bool = True

    def collect(self) -> None:
        """Gather all constraints."""
        written = {s.tensor for s in ir.statements(self.loop.body) if isinstance(s, ir.Store)}
        for s in self.loop.body:
            self.home[id(s)] = s
            for x in ir.statements((s,)):
                self.owner.update(dict.fromkeys(ir.results(x), id(s)))
        for s in self.loop.body:
            for x in ir.statements((s,)):
                self._on_vectors(x, s)
                self._on_cube(x, s)
                if isinstance(x, ir.Load | ir.Store) and x.tensor in written:
                    for core in (_CUBE, _VECTOR):
                        self._together(x.tensor, (id(s), core))
        for value, direct in self.marks.direct.items():
            if value in self.owner:
                self._together(direct.store.tensor, (self.owner[value], _CUBE))

    def _on_vectors(self, x: ir.Stmt, home: ir.Stmt) -> None:
        """Gather what vector cores need for ``x``, which is inside the statement ``home``."""
        marks, here = self.marks, (id(home), _VECTOR)
        if isinstance(x, ir.Contract | ir.Read) and x.result in marks.to_vector:
            start = id(home), _CUBE
            self.handed[x.result, True] = start, here
            self._before(start, here, 0)
            if x is not home:
                self._before(here, start, 0)
            return
        results = ir.results(x)
        idle = results and not any(v in marks.vector_values for v in results)
        if id(x) in marks.skipped or idle or isinstance(x, ir.Contract | ir.For):
            return
        for value in ir.operands(x):
            if isinstance(value, ir.Value) and value in self.owner:
                self._use(value, (self.owner[value], _VECTOR), here)
        if isinstance(x, ir.Declare | ir.Assign | ir.Read):
            self._together(x.var, here)
        inner = any(isinstance(v, ir.Value) and v in self.owner for v in ir.operands(x))
        if inner or not isinstance(x, ir.Load | ir.Positions) or set(results) & set(marks.to_cube):
            self.fixed.add(here)

    def _on_cube(self, x: ir.Stmt, home: ir.Stmt) -> None:
        """Gather what the cube core needs for ``x``."""
        marks, here = self.marks, (id(home), _CUBE)
        match x:
            case ir.Contract():
                self.fixed.add(here)
                for value in (x.a, x.b):
                    if value not in self.owner:
                        continue
                    if value not in marks.to_cube:
                        self._use(value, (self.owner[value], _CUBE), here)
                    else:
                        self._arrive(value, home)
                if x.result in marks.accumulate:
                    self._together(marks.accumulate[x.result], here)
            case ir.Declare(var=var) if var in marks.accumulators:
                self._together(var, here)
            case ir.Read(var=var) if var in marks.accumulators and id(x) not in marks.skipped:
                self._together(var, here)
            case _:
                pass

    def _arrive(self, value: ir.Value, user: ir.Stmt) -> None:
        """Gather what a product needs of a tile from vector cores."""
        sent, here = (self.owner[value], _VECTOR), (id(user), _CUBE)
        if sent[0] == here[0]:  # within a statement that has blocks: its cores keep together
            self.handed[value, False] = sent, here
            self._before(sent, here, 0)
            self._before(here, sent, 0)
            return
        if isinstance(self.home[sent[0]], ir.Contract) and not isinstance(user, ir.Contract):
            self.possible = False
        arrival = id(value), _ARRIVES
        self.handed[value, False] = sent, arrival
        self._before(sent, arrival, 1)
        self.fixed.add(sent)
        self._use(value, arrival, here)

    def _use(self, value: ir.Value, owner: _Node, user: _Node) -> None:
        self.uses.append((value, owner, user))
        self._before(owner, user, 0)

    def _before(self, a: _Node, b: _Node, apart: int) -> None:
        self.after[a, b] = max(apart, self.after.get((a, b), 0))

    def _together(self, key: object, node: _Node) -> None:
        self.fixed.add(node)
        self.groups.setdefault(key, []).append(node)

    def solve(self) -> dict[_Node, int] | None:
        """Return the earliest stage of each node; what comes from memory, as late as may be."""
        for nodes in self.groups.values():
            for node in nodes[1:]:
                self._before(nodes[0], node, 0)
                self._before(node, nodes[0], 0)
        found = dict.fromkeys((n for pair in self.after for n in pair), 0)
        most = len(self.after) + 1
        changed = self.possible
        while changed:
            changed = False
            for (a, b), apart in self.after.items():
                if found[a] + apart > found[b]:
                    found[b] = found[a] + apart
                    changed = True
                    if found[b] > most:
                        return None
        if not self.possible:
            return None
        needs: dict[_Node, list[tuple[_Node, int]]] = {}
        for (a, b), apart in self.after.items():
            if a != b:
                needs.setdefault(a, []).append((b, apart))
        for _ in range(len(needs)):
            later = {
                node: min(found[b] - apart for b, apart in users)
                for node, users in needs.items()
                if node not in self.fixed
            }
            if all(found[node] == stage for node, stage in later.items()):
                break
            found.update(later)
        return found
