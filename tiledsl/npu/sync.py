"""Derive every flag and barrier from what the instructions read and write.

Within a block of steps an instruction that touches bytes which another queue touched before it
waits for a flag that this queue raises; on one queue a vector barrier stands between. Around a loop
the last user of a buffer raises a flag for the first user of the next turn (of the turn after, for
a ring of two): these flags are raised once before the program and lowered once after it, so that
sets and waits pair on every path, whatever the trip counts.

Before::

    for k_start in 0 .. K by 64:
      MTE2  a[k_turn % 2] = nd2nz(…)
      MTE1  left = load_a(a[k_turn % 2])

After::

    set MTE1 -> MTE2 0; set MTE1 -> MTE2 1
    for k_start in 0 .. K by 64:
      wait MTE1 -> MTE2 k_turn % 2
      MTE2  a[k_turn % 2] = nd2nz(…)
      set MTE2 -> MTE1 k_turn % 2; wait MTE2 -> MTE1 k_turn % 2
      MTE1  left = load_a(a[k_turn % 2])
      set MTE1 -> MTE2 k_turn % 2
    wait MTE1 -> MTE2 0; wait MTE1 -> MTE2 1
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tiledsl.npu import program as npu
from tiledsl.npu.guards import Guards, closed, opened
from tiledsl.npu.program import Queue
from tiledsl.npu.rewriting import locals_of, walk_steps
from tiledsl.scalar import Apply, Literal, Local, Scalar, add, apply, integer

EVENTS = 6  # ids 0 to 5 of each pair of queues; 6 and 7 are left to the toolkit
Pair = tuple[Queue, Queue]
Places = list[list[tuple[npu.Step, Guards]]]  # what stands before, or after, each step of a block


@dataclass(frozen=True, slots=True)
class _Access:
    """Bytes that an instruction of ``queue`` touches: of an on-chip memory, or a whole tensor.

    In turn ``t`` of its loop an access to a ``ring`` touches slot ``(t + phase) % slots``.
    """

    queue: Queue
    place: str
    first: int
    last: int
    write: bool
    ring: str = ""
    slots: int = 1
    phase: int = 0


@dataclass
class _Edge:
    """``pair[0]`` raises a flag after step ``source``, for which ``pair[1]`` waits before ``sink``.

    ``turns`` > 0: ``sink`` is that many turns of the loop later. ``ids`` flags take turns. With a
    ``guard`` both are done only where that holds: the step ``source`` has it, ``sink`` does not.
    """

    pair: Pair
    source: int
    sink: int
    turns: int = 0
    ids: int = 1
    guard: Guards = ()


@dataclass
class _Flags:
    """What is known of the whole core program."""

    rings: Mapping[str, str]
    next_id: dict[Pair, int] = field(default_factory=dict)
    raised: list[tuple[Pair, int]] = field(default_factory=list)

    def take(self, pair: Pair, count: int) -> int | None:
        """Return the first of ``count`` new ids, or `None` where they run out."""
        first = self.next_id.get(pair, 0)
        if first + count > EVENTS:
            return None
        self.next_id[pair] = first + count
        return first

    def event(self, edge: _Edge, counter: str | None) -> Scalar | None:
        """Return the flag of ``edge`` in a turn, of as many new ones as it has ids."""
        first = self.take(edge.pair, edge.ids)
        if first is None:
            return None
        if edge.ids == 1:
            return integer(first)
        assert counter is not None
        return add(integer(first), apply("mod", Local(counter), integer(edge.ids)))


def insert_flags(
    body: tuple[npu.Step, ...], rings: Mapping[str, str], outer: str
) -> tuple[npu.Step, ...]:
    """Return ``body`` with its flags and barriers.

    ``rings`` maps a ring's name to the counter of its loop. ``outer`` is the counter of the loop
    over programs: programs do not meet in global memory.
    """
    flags = _Flags(rings)
    done, _ = _block(body, None, flags, outer)
    raise_all: list[npu.Step] = [npu.SetFlag(p[0], p[1], integer(e)) for p, e in flags.raised]
    lower_all: list[npu.Step] = [npu.WaitFlag(p[0], p[1], integer(e)) for p, e in flags.raised]
    first = next((i for i, step in enumerate(done) if not isinstance(step, npu.Let)), len(done))
    return (*done[:first], *raise_all, *done[first:], *lower_all)


def _block(
    steps: tuple[npu.Step, ...], counter: str | None, flags: _Flags, outer: str,
    *, apart: bool = False,
) -> tuple[tuple[npu.Step, ...], list[Pair]]:
    """Return the block with its flags, and the pairs whose flags an outer loop must keep apart."""
    nodes: list[npu.Step] = []
    guards: list[Guards] = []
    demands: list[tuple[int, Pair]] = []
    for step, guard in opened(steps):
        guards.append(guard)
        match step:
            case npu.For():
                inner, _ = _block(step.body, _counter(step), flags, outer, apart=step.apart)
                nodes.append(replace(step, body=inner))
            case npu.If():
                then, first = _block(step.then, None, flags, outer)
                orelse, second = _block(step.orelse, None, flags, outer)
                demands += [(len(nodes), pair) for pair in (*first, *second)]
                nodes.append(replace(step, then=then, orelse=orelse))
            case _:
                nodes.append(step)
    touched = [_accesses(step, flags) for step in nodes]
    forward, barriers = _forward(touched, _lighter(nodes, guards))
    sure = [e for e in forward if not e.guard]
    back: list[_Edge] = []
    answers: list[_Edge] = []
    if counter is not None:
        within = len(barriers)
        back = _carried(nodes, touched, counter, flags, barriers, counter == outer)
        if apart:  # no queue meets itself in another turn
            del barriers[within:]
        back += _ahead(touched, counter, flags, sure)
        back = [e for e in back if not _told(*e.pair, e.source, sure)]
        for at, (src, dst) in demands:
            if not _told(dst, src, at, sure):
                back.append(_Edge((dst, src), at, at, 1))
        back = _needed(back)
        for edge in forward:
            src, dst = edge.pair
            edge.ids = 1 if _told(dst, src, edge.sink, sure) else _turns(edge, back)
            if edge.ids == 0:
                back.append(_Edge((edge.pair[1], edge.pair[0]), edge.sink, edge.source, 1))
                edge.ids = 1
        back = _needed(back)
        answers = _answers(back, sure)
    before: Places = [[] for _ in nodes]
    after: Places = [[] for _ in nodes]
    for at, queue in sorted(barriers, key=lambda b: b[0]):
        before[at].append((npu.Barrier(queue), ()))
    for edge in forward:
        _raise(edge, counter, flags, before, after)
    for edge in answers:
        _answer(edge, counter, flags, after)
    for edge in back:
        _raise(edge, counter, flags, before, after)
    out: list[tuple[npu.Step, Guards]] = []
    for i, node in enumerate(nodes):
        out += [*before[i], (node, guards[i]), *after[i]]
    upward = [edge.pair for edge in forward] if counter is None else []
    upward += [pair for _, pair in demands] if counter is None else []
    return closed(out), upward


def _counter(loop: npu.For) -> str:
    """Return the variable that counts the turns; loops without one get their own variable."""
    last = loop.body[-1] if loop.body else None
    return last.name if isinstance(last, npu.Assign) else loop.name


def _accesses(step: npu.Step, flags: _Flags) -> tuple[_Access, ...]:
    match step:
        case npu.For():
            return tuple(dict.fromkeys(a for s in step.body for a in _accesses(s, flags)))
        case npu.If():
            inner = (*step.then, *step.orelse)
            return tuple(dict.fromkeys(a for s in inner for a in _accesses(s, flags)))
    queue = npu.queue_of(step)
    if queue is None:
        return ()
    writes, reads = npu.operands(step)
    found = [_on_chip(queue, ref, True, flags) for ref in writes]
    found += [_on_chip(queue, ref, False, flags) for ref in reads]
    match step:
        case (
            npu.CopyIn(src=place) | npu.LoadNz(src=place) | npu.LoadWindow(src=place)
        ) if not isinstance(place.place, npu.Workspace):
            found.append(_Access(queue, f"GM {place.place.name}", 0, 1, False))
        case npu.CopyOut(dst=place) | npu.Fixpipe(dst=place) if not isinstance(
            place.place, npu.Workspace
        ):
            found.append(_Access(queue, f"GM {place.place.name}", 0, 1, True))
    return tuple(dict.fromkeys(found))


def _on_chip(queue: Queue, ref: npu.Ref, write: bool, flags: _Flags) -> _Access:
    buffer = ref.buffer
    last = buffer.offset + buffer.size * buffer.slots
    ring = buffer.name if buffer.name in flags.rings else ""
    phase = _phase(ref.slot) if ring else 0
    place = buffer.memory.value
    return _Access(queue, place, buffer.offset, last, write, ring, buffer.slots, phase)


def _phase(slot: Scalar) -> int:
    """Return what a slot's number adds to the counter of turns."""
    match slot:
        case Apply(op="mod", args=(Apply(op="add", args=(_, Literal(value=more))), _)):
            return int(more)
        case _:
            return 0


def _conflict(a: _Access, b: _Access) -> bool:
    return a.place == b.place and (a.write or b.write) and a.first < b.last and b.first < a.last


def _meet(a: _Access, b: _Access) -> bool:
    """Whether two accesses conflict in one turn."""
    same = not a.ring or a.ring != b.ring or (a.phase - b.phase) % a.slots == 0
    return same and _conflict(a, b)


def _lighter(nodes: list[npu.Step], guards: list[Guards]) -> Callable[[int, int], Guards]:
    """Return what tells the guard that one step has beyond that of a later one, or nothing.

    Only of a guard that holds or not for the whole block.
    """
    changed = {s.name for s in walk_steps(tuple(nodes)) if isinstance(s, npu.Assign)}

    def guard(i: int, j: int) -> Guards:
        more, less = guards[i], guards[j]
        if len(more) <= len(less) or more[: len(less)] != less:
            return ()
        steady = all(not locals_of(g.condition) & changed for g in more)
        return more if steady else ()

    return guard


def _forward(
    touched: list[tuple[_Access, ...]], lighter: Callable[[int, int], Guards]
) -> tuple[list[_Edge], list[tuple[int, Queue]]]:
    """Return the flags within one turn, and where queues need a barrier.

    After a step that may not be executed the one before it that conflicts matters too.
    """
    edges: list[_Edge] = []
    barriers: list[tuple[int, Queue]] = []
    knows: dict[Queue, dict[Queue, int]] = {q: {} for q in Queue}
    knew: list[dict[Queue, dict[Queue, int]]] = []
    seen: dict[str, dict[Queue, list[tuple[int, _Access]]]] = {}
    for j, here in enumerate(touched):
        needed: dict[Pair, int] = {}
        perhaps: dict[Pair, int] = {}
        alone: dict[Queue, int] = {}
        for y in here:
            for queue, before in seen.get(y.place, {}).items():
                pair = queue, y.queue
                for i, x in reversed(before):
                    if not _meet(x, y):
                        continue
                    if queue is not y.queue and lighter(i, j):
                        perhaps[pair] = max(i, perhaps.get(pair, -1))
                        continue
                    if queue is not y.queue:
                        needed[pair] = max(i, needed.get(pair, -1))
                    elif _in_step(x, y):
                        alone[queue] = max(i, alone.get(queue, -1))
                    break
        for pair, i in perhaps.items():
            if max(knows[pair[1]].get(pair[0], -1), needed.get(pair, -1)) < i:
                edges.append(_Edge(pair, i, j, guard=lighter(i, j)))
        for (src, dst), i in sorted(needed.items(), key=lambda item: -item[1]):
            if knows[dst].get(src, -1) >= i:
                continue
            edges.append(_Edge((src, dst), i, j))
            knows[dst][src] = i
            for queue, node in knew[i].get(src, {}).items():
                knows[dst][queue] = max(knows[dst].get(queue, -1), node)
        for queue, i in alone.items():
            if knows[queue].get(queue, -1) < i:
                knows[queue][queue] = j - 1
                barriers.append((j, queue))
        knew.append({q: dict(k) for q, k in knows.items() if k})
        for y in here:
            seen.setdefault(y.place, {}).setdefault(y.queue, []).append((j, y))
    return edges, barriers


def _in_step(x: _Access, y: _Access) -> bool:
    """Whether a queue needs a barrier between two conflicting accesses of its own.

    `Mmad` brings its own; in global memory a queue keeps its order.
    """
    return x.queue is not Queue.M and x.queue is not Queue.S and not x.place.startswith("GM")


def _carried(
    nodes: list[npu.Step], touched: list[tuple[_Access, ...]], counter: str, flags: _Flags,
    barriers: list[tuple[int, Queue]], programs: bool,
) -> list[_Edge]:  # fmt: skip
    """Return the flags from a turn of a loop to a later one; add barriers that are missing.

    Of all that an access conflicts with in a later turn only the earliest matters for each queue.
    """
    edges: list[_Edge] = []
    places: dict[str, dict[Queue, list[tuple[int, _Access]]]] = {}
    for node, accesses in enumerate(touched):
        for access in accesses:
            if not (programs and access.place.startswith("GM")):
                queues = places.setdefault(access.place, {})
                queues.setdefault(access.queue, []).append((node, access))
    for queues in places.values():
        for queue, later in queues.items():
            for j, x in later:
                for other, earlier in queues.items():
                    if other is not queue:
                        edges += _back(nodes, j, x, earlier, counter, flags)
            if _unordered(nodes, later, barriers, counter, flags):
                barriers.append((0, queue))
    return edges


def _back(
    nodes: list[npu.Step], j: int, x: _Access, earlier: list[tuple[int, _Access]], counter: str,
    flags: _Flags,
) -> list[_Edge]:  # fmt: skip
    """Return the flags that ``x`` of step ``j`` raises for the first of ``earlier`` later on."""
    found: dict[int, _Edge] = {}
    for i, y in earlier:
        if i > j:
            break
        if i == j and isinstance(nodes[i], npu.For):
            continue  # the loop's own flags outlast it
        turns = _distance(x, y, counter, flags)
        if turns not in found and _conflict(x, y):
            found[turns] = _Edge((x.queue, y.queue), j, i, turns, turns)
            if turns == 1:
                break
    return list(found.values())


def _ahead(
    touched: list[tuple[_Access, ...]], counter: str, flags: _Flags, forward: list[_Edge]
) -> list[_Edge]:
    """Return the flags from a turn to a later step of a later turn: slots kept for some turns.

    The wait is put before the step that raises the flag, which no flag of the turn makes needless.
    """
    edges: list[_Edge] = []
    for j, here in enumerate(touched):
        for x in here:
            if not x.ring or flags.rings[x.ring] != counter:
                continue
            for y in (y for later in touched[j + 1 :] for y in later):
                other = x.ring == y.ring and x.queue is not y.queue and not _meet(x, y)
                if other and _conflict(x, y):
                    pair, turns = (x.queue, y.queue), _distance(x, y, counter, flags)
                    if not any(e.pair == pair and e.source >= j for e in forward):
                        edges.append(_Edge(pair, j, j, turns, turns))
    return edges


def _distance(x: _Access, y: _Access, counter: str, flags: _Flags) -> int:
    """Return how many turns later two accesses meet: in this loop's rings, when a slot is back."""
    own = x.ring and x.ring == y.ring and flags.rings[x.ring] == counter
    return (x.phase - y.phase) % x.slots or x.slots if own else 1


def _unordered(
    nodes: list[npu.Step], accesses: list[tuple[int, _Access]], barriers: list[tuple[int, Queue]],
    counter: str, flags: _Flags,
) -> bool:  # fmt: skip
    """Whether a queue needs a barrier between turns for its own sake."""
    queue = accesses[0][1].queue
    places = [at for at, q in barriers if q is queue]
    first, last = min(places, default=len(nodes)), max(places, default=0)
    heads = [(i, y) for i, y in accesses if i < first]
    for j, x in accesses:
        if j < last:
            continue
        for i, y in heads:
            if i > j:
                break
            if i == j and isinstance(nodes[i], npu.For):
                continue
            meet = _distance(x, y, counter, flags) == 1 and _conflict(x, y)
            if meet and _in_step(x, y):
                return True
    return False


def _needed(edges: list[_Edge]) -> list[_Edge]:
    """Drop the edges that another one implies: raised later, waited for earlier, fewer turns on."""
    kept: list[_Edge] = []
    for edge in edges:
        if any(_implies(other, edge) for other in kept):
            continue
        kept = [other for other in kept if not _implies(edge, other)]
        edge.ids = edge.turns
        kept.append(edge)
    return kept


def _implies(a: _Edge, b: _Edge) -> bool:
    return a.pair == b.pair and a.source >= b.source and a.sink <= b.sink and a.turns <= b.turns


def _told(src: Queue, dst: Queue, step: int, forward: list[_Edge]) -> bool:
    """Whether flags of the same turn tell ``dst`` that ``src`` has done ``step``."""
    reached = {src: step}
    for edge in sorted(forward, key=lambda e: (e.source, e.sink)):
        a, b = edge.pair
        if a in reached and edge.source >= reached[a]:
            reached[b] = min(reached.get(b, edge.sink), edge.sink)
    return dst in reached


def _answers(back: list[_Edge], forward: list[_Edge]) -> list[_Edge]:
    """Return what a carried flag needs to be lowered before it is raised again.

    In the turn that waits for it, the waiting queue must be known to have passed its wait before
    the raising queue comes to its next raise. Where no flag within the turn tells, one more does.
    """
    extra: list[_Edge] = []
    for edge in back:
        src, dst = edge.pair
        reached = {dst: float(edge.sink)}
        for step in sorted((*forward, *extra), key=lambda e: (e.source, e.sink)):
            a, b = step.pair
            if a in reached and step.source >= reached[a]:
                known = step.sink + (0.5 if step in extra else 0.0)  # they wait after the step
                reached[b] = min(reached.get(b, known), known)
        if reached.get(src, edge.source + 1.0) > edge.source + 0.5:
            extra.append(_Edge((dst, src), edge.sink, edge.source, ids=edge.turns))
    return extra


def _answer(edge: _Edge, counter: str | None, flags: _Flags, after: Places) -> None:
    """Raise after the step at which the wait stood; wait before the next raise."""
    src, dst = edge.pair
    event = flags.event(edge, counter)
    if event is None:
        after[edge.sink].append((npu.Barrier(None), ()))
        return
    after[edge.source].append((npu.SetFlag(src, dst, event), ()))
    after[edge.sink].append((npu.WaitFlag(src, dst, event), ()))


def _turns(edge: _Edge, back: list[_Edge]) -> int:
    """Return how many turns later the flag can be raised again; 0 where nothing tells."""
    src, dst = edge.pair
    answers = [
        e.turns
        for e in back
        if e.pair == (dst, src) and e.source >= edge.sink and e.sink <= edge.source
    ]
    return min(answers, default=0)


def _raise(
    edge: _Edge, counter: str | None, flags: _Flags, before: Places, after: Places
) -> None:
    event = flags.event(edge, counter)
    if event is None:  # no id is left: everything waits
        before[edge.sink].append((npu.Barrier(None), edge.guard))
        return
    src, dst = edge.pair
    before[edge.sink].append((npu.WaitFlag(src, dst, event), edge.guard))
    after[edge.source].append((npu.SetFlag(src, dst, event), edge.guard))
    if edge.turns:
        last = flags.next_id[edge.pair]
        flags.raised += [(edge.pair, e) for e in range(last - edge.ids, last)]
