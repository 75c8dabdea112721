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

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tiledsl.npu import program as npu
from tiledsl.npu.program import Queue
from tiledsl.scalar import Local, Scalar, add, apply, integer

EVENTS = 6  # ids 0 to 5 of each pair of queues; 6 and 7 are left to the toolkit
Pair = tuple[Queue, Queue]


@dataclass(frozen=True, slots=True)
class _Access:
    """Bytes that an instruction of ``queue`` touches: of an on-chip memory, or a whole tensor."""

    queue: Queue
    place: str
    first: int
    last: int
    write: bool
    ring: str = ""


@dataclass
class _Edge:
    """``pair[0]`` raises a flag after step ``source``, for which ``pair[1]`` waits before ``sink``.

    ``turns`` > 0: ``sink`` is that many turns of the loop later. ``ids`` flags take turns.
    """

    pair: Pair
    source: int
    sink: int
    turns: int = 0
    ids: int = 1


@dataclass
class _Flags:
    """What is known of the whole core program."""

    rings: Mapping[str, str]
    depths: Mapping[str, int]
    next_id: dict[Pair, int] = field(default_factory=dict)
    raised: list[tuple[Pair, int]] = field(default_factory=list)

    def take(self, pair: Pair, count: int) -> int | None:
        """Return the first of ``count`` new ids, or `None` where they run out."""
        first = self.next_id.get(pair, 0)
        if first + count > EVENTS:
            return None
        self.next_id[pair] = first + count
        return first


def insert_flags(
    body: tuple[npu.Step, ...], rings: Mapping[str, str], depths: Mapping[str, int], outer: str
) -> tuple[npu.Step, ...]:
    """Return ``body`` with its flags and barriers.

    ``rings`` maps a ring's name to the counter of its loop, ``depths`` a counter to its slots.
    ``outer`` is the counter of the loop over programs: programs do not meet in global memory.
    """
    flags = _Flags(rings, depths)
    done, _ = _block(body, None, flags, outer)
    raise_all: list[npu.Step] = [npu.SetFlag(p[0], p[1], integer(e)) for p, e in flags.raised]
    lower_all: list[npu.Step] = [npu.WaitFlag(p[0], p[1], integer(e)) for p, e in flags.raised]
    first = next((i for i, step in enumerate(done) if not isinstance(step, npu.Let)), len(done))
    return (*done[:first], *raise_all, *done[first:], *lower_all)


def _block(
    steps: tuple[npu.Step, ...], counter: str | None, flags: _Flags, outer: str
) -> tuple[tuple[npu.Step, ...], list[Pair]]:
    """Return the block with its flags, and the pairs whose flags an outer loop must keep apart."""
    nodes: list[npu.Step] = []
    demands: list[tuple[int, Pair]] = []
    for step in steps:
        match step:
            case npu.For():
                inner, _ = _block(step.body, _counter(step), flags, outer)
                nodes.append(replace(step, body=inner))
            case npu.If():
                then, first = _block(step.then, None, flags, outer)
                orelse, second = _block(step.orelse, None, flags, outer)
                demands += [(len(nodes), pair) for pair in (*first, *second)]
                nodes.append(replace(step, then=then, orelse=orelse))
            case _:
                nodes.append(step)
    touched = [_accesses(step, flags) for step in nodes]
    forward, barriers = _forward(touched)
    back: list[_Edge] = []
    answers: list[_Edge] = []
    if counter is not None:
        back = _carried(nodes, touched, counter, flags, barriers, counter == outer)
        for at, (src, dst) in demands:
            back.append(_Edge((dst, src), at, at, 1))
        back = _needed(back)
        for edge in forward:
            edge.ids = _turns(edge, back)
            if edge.ids == 0:
                back.append(_Edge((edge.pair[1], edge.pair[0]), edge.sink, edge.source, 1))
                edge.ids = 1
        back = _needed(back)
        answers = _answers(back, forward)
    before: list[list[npu.Step]] = [[] for _ in nodes]
    after: list[list[npu.Step]] = [[] for _ in nodes]
    for at, queue in sorted(barriers, key=lambda b: b[0]):
        before[at].append(npu.Barrier(queue))
    for edge in forward:
        _raise(edge, counter, flags, before, after)
    for edge in answers:
        _answer(edge, flags, after)
    for edge in back:
        _raise(edge, counter, flags, before, after)
    out = [s for i, node in enumerate(nodes) for s in (*before[i], node, *after[i])]
    upward = [edge.pair for edge in forward] if counter is None else []
    upward += [pair for _, pair in demands] if counter is None else []
    return tuple(out), upward


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
    ring = flags.rings.get(buffer.name, "")
    return _Access(queue, buffer.memory.value, buffer.offset, last, write, ring and buffer.name)


def _conflict(a: _Access, b: _Access) -> bool:
    return a.place == b.place and (a.write or b.write) and a.first < b.last and b.first < a.last


def _forward(touched: list[tuple[_Access, ...]]) -> tuple[list[_Edge], list[tuple[int, Queue]]]:
    """Return the flags within one turn, and where queues need a barrier."""
    edges: list[_Edge] = []
    barriers: list[tuple[int, Queue]] = []
    knows: dict[Queue, dict[Queue, int]] = {q: {} for q in Queue}
    knew: list[dict[Queue, dict[Queue, int]]] = []
    seen: dict[str, dict[Queue, list[tuple[int, _Access]]]] = {}
    for j, here in enumerate(touched):
        needed: dict[Pair, int] = {}
        alone: dict[Queue, int] = {}
        for y in here:
            for queue, before in seen.get(y.place, {}).items():
                found = next(((i, x) for i, x in reversed(before) if _conflict(x, y)), None)
                if found is None:
                    continue
                i, x = found
                if queue is not y.queue:
                    needed[queue, y.queue] = max(i, needed.get((queue, y.queue), -1))
                elif _in_step(x, y):
                    alone[queue] = max(i, alone.get(queue, -1))
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


def _distance(x: _Access, y: _Access, counter: str, flags: _Flags) -> int:
    """Return how many turns later two accesses meet: in a ring of this loop, as many as slots."""
    own = x.ring and x.ring == y.ring and flags.rings[x.ring] == counter
    return flags.depths.get(counter, 1) if own else 1


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


def _answers(back: list[_Edge], forward: list[_Edge]) -> list[_Edge]:
    """Return what a carried flag needs to be lowered before it is raised again.

    In the turn that waits for it, the waiting queue must be known to have passed its wait before
    the raising queue comes to its next raise. Where no flag within the turn tells, one more does.
    """
    extra: list[_Edge] = []
    for edge in back:
        src, dst = edge.pair
        reached = {dst: edge.sink}
        for step in sorted((*forward, *extra), key=lambda e: (e.source, e.sink)):
            a, b = step.pair
            if a in reached and step.source >= reached[a]:
                reached[b] = min(reached.get(b, step.sink), step.sink)
        if reached.get(src, edge.source + 1) > edge.source:
            extra.append(_Edge((dst, src), edge.sink, edge.source))
    return extra


def _answer(edge: _Edge, flags: _Flags, after: list[list[npu.Step]]) -> None:
    """Raise after the step at which the wait stood; wait before the next raise."""
    src, dst = edge.pair
    first = flags.take(edge.pair, 1)
    if first is None:
        after[edge.sink].append(npu.Barrier(None))
        return
    after[edge.source].append(npu.SetFlag(src, dst, integer(first)))
    after[edge.sink].append(npu.WaitFlag(src, dst, integer(first)))


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
    edge: _Edge,
    counter: str | None,
    flags: _Flags,
    before: list[list[npu.Step]],
    after: list[list[npu.Step]],
) -> None:
    first = flags.take(edge.pair, edge.ids)
    if first is None:  # no id is left: everything waits
        before[edge.sink].append(npu.Barrier(None))
        return
    event: Scalar = integer(first)
    if edge.ids > 1:
        assert counter is not None
        event = add(event, apply("mod", Local(counter), integer(edge.ids)))
    src, dst = edge.pair
    before[edge.sink].append(npu.WaitFlag(src, dst, event))
    after[edge.source].append(npu.SetFlag(src, dst, event))
    if edge.turns:
        flags.raised += [(edge.pair, first + e) for e in range(edge.ids)]
