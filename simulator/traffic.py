"""What a launch asks of global memory: which of its bytes L2 has, which come from HBM.

The copies of all programs are listed, by running each class of programs at once without any work,
and put in the order in which the blocks make them: wave after wave, step after step. Through that
list goes an L2 that forgets what was used longest ago and writes back what it forgets.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from tiledsl.chips import Chip
from tiledsl.ops.registry import Array
from tiledsl.simulator.core import Launch, Line
from tiledsl.simulator.costs import spare
from tiledsl.simulator.places import Place, Spot, Value, same
from tiledsl.simulator.values import Runnable
from tiledsl.simulator.walk import Walker, walk
from tiledsl.types import DType

_MOST = 300_000  # accesses that are followed; of more, neighbours are taken together
_FOLLOWED = 20_000  # copies of one program; those after that are taken to be like them
_WINDOWS = 64  # in which the use of HBM is compared


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a launch asks of global memory.

    ``cold`` is, for each tensor, the part of what is read that L2 does not have; ``sharers`` how
    many blocks ask for the same bytes at once. ``far`` are the bytes that go from and to HBM,
    ``near`` all bytes that go through L2; ``phase`` is the part of the work in which HBM is used.
    """

    cold: Mapping[str, float]
    sharers: Mapping[str, float]
    far: float
    near: float
    phase: float


@dataclass(slots=True)
class _Stream:
    """The copies of one tensor, in one direction, that the programs of a class make.

    A row of ``offsets`` for each copy, a column for each program.
    """

    name: str
    writes: bool
    offsets: list[Array] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    extras: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)


def traffic(
    runnable: Runnable, launch: Launch, chip: Chip, groups: Sequence[Array], blocks: int,
    *, warm: bool, bypass: frozenset[str],
) -> Traffic:  # fmt: skip
    """Return the traffic of a launch on ``blocks`` blocks.

    ``warm``: the same launch has run just before. ``bypass`` names tensors that L2 does not keep.
    """
    found: list[tuple[_Stream, Array]] = []
    for group in groups:
        step = 0
        for function, index in zip(runnable.functions, runnable.indices, strict=True):
            lister = _Lister(launch, chip, group, index, blocks, step)
            with suppress(_EnoughError):
                walk(function, lister)
            step = lister.step
            found += [(stream, group) for stream in lister.streams.values()]
    cache = _Cache(chip.l2_bytes, bypass)
    sharers: dict[str, float] = {}
    accesses = list(_accesses(found, blocks, sharers))
    if warm:
        for access in accesses:
            cache.use(*access)
        cache.forget_counts()
    for access in accesses:
        cache.use(*access)
    sizes = {name: area.bytes.size for name, area in launch.tensors.items()}
    if sum(sizes.values()) <= chip.l2_bytes:
        # Tiles that overlap are not counted twice where all has room.
        for name in cache.missed:
            cache.missed[name] = min(cache.missed[name], sizes.get(name, 0) * 1.0)
    extra = sum(
        sum(stream.extras) * len(group) * cache.part(stream.name) for stream, group in found
    )
    far = sum(cache.missed.values()) + cache.written_back + extra
    cold = {name: cache.part(name) for name in cache.read}
    near = sum(cache.read.values()) + cache.written
    return Traffic(cold, sharers, far, near, cache.phase())


def _accesses(
    found: Sequence[tuple[_Stream, Array]], blocks: int, sharers: dict[str, float]
) -> Iterator[tuple[str, int, float, bool]]:
    """Yield name, offset, bytes and direction of each copy in the order in which they are made."""
    names = list(dict.fromkeys(stream.name for stream, _ in found))
    total = sum(len(stream.sizes) * len(group) for stream, group in found)
    merge = max(1, -(-total // _MOST))
    columns: list[Array] = []
    for stream, group in found:
        many = max(1, min(merge, len(stream.sizes)))
        first = np.arange(0, len(stream.sizes), many)
        offsets = np.stack([stream.offsets[i] for i in first])
        sizes = np.add.reduceat(np.array(stream.sizes, float), first)
        steps = np.array(stream.steps)[first]
        shape = offsets.shape
        columns.append(
            np.stack(
                [
                    np.broadcast_to(group // blocks, shape).ravel().astype(float),
                    np.broadcast_to(steps[:, None], shape).ravel().astype(float),
                    np.broadcast_to(group % blocks, shape).ravel().astype(float),
                    np.full(offsets.size, names.index(stream.name), float),
                    offsets.ravel().astype(float),
                    np.broadcast_to(sizes[:, None], shape).ravel(),
                    np.full(offsets.size, stream.writes, float),
                ]
            )
        )
    if not columns:
        return
    table = np.concatenate(columns, axis=1)
    table = table[:, np.lexsort((table[2], table[1], table[0]))]
    _count_sharers(table, names, sharers)
    for name, offset, size, writes in zip(*table[3:].tolist(), strict=True):
        yield names[int(name)], int(offset), size, bool(writes)


def _count_sharers(table: Array, names: Sequence[str], sharers: dict[str, float]) -> None:
    """Note for each tensor how many blocks of a wave read the same bytes in one step."""
    reads = table[:, table[6] == 0]
    for number, name in enumerate(names):
        mine = reads[:, reads[3] == number]
        if mine.size:
            asked = mine.shape[1]
            single = np.unique(mine[[0, 1, 4]], axis=1).shape[1]
            sharers[name] = asked / single


class _Cache:
    """An L2 that forgets what was used longest ago, by whole copies."""

    def __init__(self, room: int, bypass: frozenset[str]) -> None:
        self.room, self.bypass = room, bypass
        self.held: OrderedDict[tuple[str, int], tuple[float, bool]] = OrderedDict()
        self.taken = 0.0
        self.forget_counts()

    def forget_counts(self) -> None:
        """Count anew; what is held stays."""
        self.read: dict[str, float] = {}
        self.missed: dict[str, float] = {}
        self.written = self.written_back = 0.0
        self.history: list[tuple[float, float]] = []

    def phase(self) -> float:
        """Return the part of the accesses, by bytes, in which HBM is used: 1 where it always is."""
        sizes, far = np.array(self.history).reshape(-1, 2).T
        if not far.any():
            return 1.0
        windows = (np.cumsum(sizes) * _WINDOWS / (sizes.sum() * (1 + 1e-9))).astype(int)
        each = np.bincount(windows, far, _WINDOWS)
        used = each[: windows.max() + 1]
        return float(used.sum() ** 2 / (used**2).sum() / len(used))

    def part(self, name: str) -> float:
        """Return the part of what is read of a tensor that is not held."""
        read = self.read.get(name, 0.0)
        return self.missed.get(name, 0.0) / read if read else 0.0

    def use(self, name: str, offset: int, size: float, writes: bool) -> None:
        """Read or write ``size`` bytes."""
        before = self.written_back + self.missed.get(name, 0.0)
        self._use(name, offset, size, writes)
        after = self.written_back + self.missed.get(name, 0.0)
        self.history.append((size, after - before))

    def _use(self, name: str, offset: int, size: float, writes: bool) -> None:
        key = name, offset
        had, dirty = self.held.pop(key, (0.0, False))
        self.taken -= had
        if writes:
            self.written += size
        else:
            self.read[name] = self.read.get(name, 0.0) + size
            self.missed[name] = self.missed.get(name, 0.0) + max(0.0, size - had)
        if name in self.bypass:
            self.written_back += size if writes else 0.0
            return
        self.held[key] = max(size, had), dirty or writes
        self.taken += max(size, had)
        while self.taken > self.room:
            _, (old, changed) = self.held.popitem(last=False)
            self.taken -= old
            self.written_back += old if changed else 0.0


class _EnoughError(Exception):
    """A program has made as many copies as are followed."""


class _Lister(Walker):
    """A core that does nothing but note the copies of all programs of a class."""

    def __init__(
        self, launch: Launch, chip: Chip, numbers: Array, index: int, blocks: int, step: int
    ) -> None:
        super().__init__(launch, numbers, index, blocks)
        self.chip = chip
        self.step, self.left = step, _FOLLOWED
        self.streams: dict[tuple[str, bool], _Stream] = {}

    def copy_in(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], length: Value, pad: Value,
        left: Value = 0,
    ) -> None:  # fmt: skip
        """Note a copy from global memory."""
        self._note("GM->UB", src, dst.dtype, same(length), shape, src_strides)

    def load_nz(
        self, line: Line, dst: Place, src: Spot, rows: Value, cols: Value, src_stride: Value,
        dst_rows: Value,
    ) -> None:  # fmt: skip
        """Note a matrix from global memory."""
        self._note("GM->L1", src, dst.dtype, same(cols), (rows,), (src_stride,))

    def load_window(
        self, line: Line, dst: Place, src: Spot, shape: Sequence[Value],
        src_strides: Sequence[Value], dst_strides: Sequence[Value], rows: Value, cols: Value,
        src_stride: Value, dst_rows: Value, skip: Value, clear: Value,
    ) -> None:  # fmt: skip
        """Note rows of a matrix from global memory."""
        sizes, steps = (*shape, rows), (*src_strides, src_stride)
        self._note("GM->L1", src, dst.dtype, same(cols), sizes, steps)

    def copy_out(
        self, line: Line, dst: Spot, src: Place, shape: Sequence[Value],
        dst_strides: Sequence[Value], src_strides: Sequence[Value], length: Value, atomic: str,
    ) -> None:  # fmt: skip
        """Note a copy to global memory."""
        self._note("UB->GM", dst, src.dtype, same(length), shape, dst_strides)

    def fixpipe(
        self, line: Line, dst: Spot, src: Place, m: Value, n: Value, dst_stride: Value, dtype: DType
    ) -> None:
        """Note a product that goes out."""
        self._note("L0C->GM", dst, dtype, same(n), (m,), (dst_stride,))

    def _note(
        self, path: str, spot: Spot, dtype: DType, width: int, shape: Sequence[Value],
        strides: Sequence[Value],
    ) -> None:  # fmt: skip
        sizes = tuple(same(n) for n in shape)
        self.step += 1
        self.left -= 1
        if self.left < 0:
            raise _EnoughError
        if spot.place.slots or width == 0 or 0 in sizes:
            return
        key = spot.place.name, path.endswith("GM")
        stream = self.streams.setdefault(key, _Stream(*key))
        bytes_ = width * dtype.size
        for size in sizes:
            bytes_ *= size
        starts = np.broadcast_to(np.asarray(spot.offset), self.numbers.shape) * dtype.size
        stream.offsets.append(starts)
        stream.sizes.append(bytes_)
        stream.steps.append(self.step)
        transfer = self.chip.costs.transfers[path]
        steps = tuple(same(s) * dtype.size for s in strides)
        stream.extras.append(
            spare(transfer, width * dtype.size, sizes, steps, int(starts.flat[0]))
        )
