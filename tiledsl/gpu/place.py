"""Shared memory: addresses for buffers by their lives, and the barriers that their use needs."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tiledsl import scalar as sc
from tiledsl.gpu.program import (
    Accumulators,
    Barrier,
    Branch,
    Buffer,
    Claim,
    CopyPanel,
    Effect,
    Fetch,
    Fold,
    Get,
    Keep,
    Let,
    Loop,
    Map,
    Multiply,
    Pick,
    Put,
    RankRows,
    ScanRows,
    Set,
    Show,
    Step,
    Stmt,
    Update,
    Variable,
    Write,
)
from tiledsl.scalar import Scalar, Tensor

ALIGNMENT = 16  # bytes; ldmatrix wants rows there

# ---- addresses ----------------------------------------------------------------------------------


def place(body: tuple[Stmt, ...], buffers: tuple[Buffer, ...]) -> int:
    """Set the offset of every buffer that ``body`` uses; return the bytes taken in all.

    Two buffers share bytes where no statement lies in both their lives. A life that begins before
    a loop and goes on inside it lasts to the loop's end.
    """
    lives = _Lives()
    lives.block(body, ())
    taken: list[tuple[int, int, int, int]] = []
    for buffer in sorted(lives.found, key=lambda b: (-b.bytes, buffers.index(b))):
        first, last = lives.found[buffer]
        size = -(-buffer.bytes // ALIGNMENT) * ALIGNMENT
        offset = 0
        for low, high, since, until in sorted(taken):
            if since <= last and first <= until and low < offset + size and offset < high:
                offset = high
        buffer.offset = offset
        taken.append((offset, offset + size, first, last))
    return max((high for _, high, _, _ in taken), default=0)


@dataclass(slots=True)
class _Lives:
    found: dict[Buffer, tuple[int, int]] = field(default_factory=dict)
    time: int = 0
    _begun: dict[Buffer, tuple[int, ...]] = field(default_factory=dict)

    def block(self, body: tuple[Stmt, ...], loops: tuple[int, ...]) -> None:
        for statement in body:
            self.time += 1
            uses = uses_of(statement)
            for thing in (*uses.reads, *uses.writes):
                if isinstance(thing, Buffer):
                    self._meet(thing, loops)
            match statement:
                case Loop(body=inner):
                    start = self.time
                    self.block(inner, (*loops, start))
                    self.time += 1
                    self._close(start)
                case Branch(then=then, orelse=orelse):
                    self.block(then, loops)
                    self.block(orelse, loops)
                case _:
                    pass

    def _meet(self, buffer: Buffer, loops: tuple[int, ...]) -> None:
        if buffer not in self.found:
            self.found[buffer] = (self.time, self.time)
            self._begun[buffer] = loops
        self.found[buffer] = (self.found[buffer][0], self.time)

    def _close(self, start: int) -> None:
        """End a loop: what it uses and did not begin lives to here."""
        for buffer, (first, last) in self.found.items():
            if last >= start and start not in self._begun[buffer]:
                self.found[buffer] = (first, self.time)


# ---- barriers -----------------------------------------------------------------------------------

Thing = Buffer | Tensor


@dataclass(frozen=True, slots=True)
class Uses:
    """What a statement itself reads and writes of memory that threads share.

    ``apart`` are the tensors that it writes at other places in each round of its loops.
    """

    reads: frozenset[Thing] = frozenset()
    writes: frozenset[Thing] = frozenset()
    apart: frozenset[Thing] = frozenset()


@dataclass(frozen=True, slots=True)
class _Since:
    """What has been read and written since the last barrier, on some way to this place."""

    reads: frozenset[Thing] = frozenset()
    writes: frozenset[Thing] = frozenset()
    apart: frozenset[Thing] = frozenset()

    def __or__(self, other: "_Since") -> "_Since":
        return _Since(
            self.reads | other.reads, self.writes | other.writes, self.apart | other.apart
        )

    def around(self) -> "_Since":
        """Return what matters in the next round of a loop."""
        return replace(self, writes=self.writes - self.apart)

    def next_program(self) -> "_Since":
        """Return what matters to the next program: programs share no element of a tensor."""
        return _Since(
            frozenset(t for t in self.reads if isinstance(t, Buffer)),
            frozenset(t for t in self.writes if isinstance(t, Buffer)),
        )


def synchronise(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """Return ``body``, which is repeated for each program, with the barriers that it needs."""
    _, end = _block(body, _Since())
    found, _ = _block(body, end.next_program())
    return found


def _block(body: tuple[Stmt, ...], since: _Since) -> tuple[tuple[Stmt, ...], _Since]:
    out: list[Stmt] = []
    for statement in body:
        uses = uses_of(statement)
        if _clash(uses, since):
            out.append(Barrier(statement.span))
            since = _Since()
        since |= _Since(uses.reads, uses.writes, uses.apart)
        match statement:
            case Loop(body=inner):
                _, end = _block(inner, since)
                inside, end = _block(inner, since | end.around())
                since |= end
                out.append(replace(statement, body=inside))
            case Branch(then=then, orelse=orelse):
                yes, after_yes = _block(then, since)
                no, after_no = _block(orelse, since)
                since = after_yes | after_no
                out.append(replace(statement, then=yes, orelse=no))
            case _:
                out.append(statement)
    return tuple(out), since


def _clash(uses: Uses, since: _Since) -> bool:
    return _meet(uses.reads, since.writes) or _meet(uses.writes, since.reads | since.writes)


def _meet(some: frozenset[Thing], others: frozenset[Thing]) -> bool:
    return any(_overlap(a, b) for a in some for b in others)


def _overlap(a: Thing, b: Thing) -> bool:
    if isinstance(a, Buffer) and isinstance(b, Buffer):
        return a.offset < b.offset + b.bytes and b.offset < a.offset + a.bytes
    return a is b


# ---- what statements use ------------------------------------------------------------------------


def uses_of(statement: Stmt) -> Uses:
    """Return what ``statement`` itself uses; not what the statements inside it use."""
    match statement:
        case Let(step=step):
            return _uses((step,), ())
        case Map(steps=steps, effects=effects):
            return _uses(steps, effects)
        case Fold(steps=steps, effects=effects, buffer=buffer, scratch=scratch):
            uses = _uses(steps, effects)
            own = frozenset(b for b in (buffer, scratch) if b is not None)
            return replace(uses, writes=uses.writes | own)
        case ScanRows(steps=steps, buffer=buffer):
            uses = _uses(steps, ())
            return replace(uses, writes=uses.writes | {buffer})
        case RankRows(steps=steps, peer_steps=more, effects=effects):
            return _uses((*steps, *more), effects)
        case CopyPanel(buffer=buffer, tensor=tensor):
            return Uses(frozenset([tensor]), frozenset([buffer]))
        case Multiply(a=a, b=b):
            return Uses(frozenset([a, b]))
        case Variable(value=value) | Update(value=value) | Branch(condition=value):
            return Uses(frozenset(_tensors(value)))
        case Loop(lo=lo, hi=hi):
            return Uses(frozenset((*_tensors(lo), *_tensors(hi))))
        case Accumulators() | Barrier():
            return Uses()


def _uses(steps: tuple[Step, ...], effects: tuple[Effect, ...]) -> Uses:
    reads: set[Thing] = set()
    writes: set[Thing] = set()
    apart: set[Thing] = set()
    for step in steps:
        match step:
            case Fetch(tensor=tensor):
                reads.add(tensor)
            case Get(buffer=buffer):
                reads.add(buffer)
            case Set(value=value):
                reads |= set(_tensors(value))
            case Pick():
                pass
    for effect in effects:
        match effect:
            case Put(buffer=buffer):
                writes.add(buffer)
            case Write(tensor=tensor, disjoint_in_loops=disjoint):
                writes.add(tensor)
                if disjoint:
                    apart.add(tensor)
            case Show(values=values):
                reads |= {tensor for value in values for tensor in _tensors(value)}
            case Claim(condition=value):
                reads |= set(_tensors(value))
            case Keep():
                pass
    return Uses(frozenset(reads), frozenset(writes), frozenset(apart))


def _tensors(scalar: Scalar) -> Iterator[Tensor]:
    for part in sc.walk(scalar):
        match part:
            case sc.Element(tensor=tensor):
                yield tensor
            case _:
                pass
