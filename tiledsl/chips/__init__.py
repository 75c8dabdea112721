"""The chips that tiledsl knows: one TOML file each, every number with its source beside it."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Cost:
    """Cycles of one vector instruction: ``fixed`` and ``slope`` for each repeat of 256 bytes."""

    fixed: float
    slope: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a path between memories costs, seen from one core.

    A transfer keeps its queue busy for its bytes at ``bytes_per_cycle`` and ``row`` cycles for each
    row (a row takes ``row_least`` cycles at least), at least for ``issue``; the data have arrived
    ``latency`` cycles after that. A row that touches a line of global memory more than it needs
    costs ``row_unaligned`` cycles more, and HBM ``unaligned_bytes``. Where several cores ask for
    one line at once, each waits ``line`` cycles for each of them.
    """

    bytes_per_cycle: float
    latency: float
    issue: float = 0.0
    row: float = 0.0
    row_least: float = 0.0
    row_unaligned: float = 0.0
    unaligned_bytes: float = 0.0
    line: float = 0.0


@dataclass(frozen=True, slots=True)
class Sync:
    """Cycles of flags, barriers and the scalar unit; ``launch`` is in microseconds."""

    issue: float
    loop: float
    flag: float
    barrier: float
    cross_core: float
    launch_fixed: float
    launch_per_core: float


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost tables of a chip, in cycles of the core clock.

    ``vector`` has a row for each kind of vector instruction. ``transfers`` are the paths
    ``GM->UB UB->GM GM->L1 L1->L0A L1->L0B L0C->GM``, and ``UB->L1`` where cores are unified.
    ``mmad_fixed`` is what an `Mmad` adds to its ideal time in a steady pipeline, ``mmad_latency``
    how much later its result is there.
    In each repeat of an instruction that reads two operands of one group of banks
    ``bank_conflict`` cycles are lost, ``bank_write_conflict`` where it writes a bank that it reads;
    an instruction that takes that much longer anyway does not notice.
    """

    vector: Mapping[str, Cost]
    transfers: Mapping[str, Transfer]
    mmad_fixed: float
    mmad_latency: float
    bank_conflict: float
    bank_write_conflict: float
    sync: Sync


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip: what it has, and what things cost on it.

    ``family`` is what code is built for; schedules may name it. ``separate`` tells that cube and
    vector cores are cores of their own, two vector cores to a cube core. ``memories`` has the bytes
    of ``UB L1 L0A L0B L0C``, each of one core; of UB ``ub_usable`` bytes are to be used.
    A copy takes ``1 / (1 - u ** contention)`` times as long where memory is busy ``u`` of the time.
    ``cube_macs`` has the products a cycle for each element type that the cube takes.
    """

    name: str
    title: str
    family: str
    aliases: tuple[str, ...]
    cube_cores: int
    vector_cores: int
    separate: bool
    mhz: int
    memories: Mapping[str, int]
    ub_usable: int
    l2_bytes: int
    l2_bytes_per_second: float
    hbm_bytes_per_second: float
    contention: float
    cube_macs: Mapping[str, int]
    costs: Costs

    @property
    def capacity(self) -> dict[str, int]:
        """The bytes of each memory that a program may use."""
        return {**self.memories, "UB": self.ub_usable}

    @property
    def cube_types(self) -> tuple[str, ...]:
        """The element types that the cube multiplies."""
        return tuple(name for name, macs in self.cube_macs.items() if macs)

    def microseconds(self, cycles: float) -> float:
        """Return how long ``cycles`` of the core clock take."""
        return cycles / self.mhz


class UnknownChipError(KeyError):
    """No chip has this name."""

    def __init__(self, name: str) -> None:
        near = difflib.get_close_matches(name, _known(), 1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        super().__init__(f"unknown chip `{name}`{hint} (known: {', '.join(names())})")

    def __str__(self) -> str:
        return str(self.args[0])


@cache
def names() -> tuple[str, ...]:
    """Return the names of all chips, in alphabetical order."""
    found = (file.name for file in files(__name__).iterdir())
    stems = (name.removesuffix(".toml") for name in found if name.endswith(".toml"))
    return tuple(sorted(stem for stem in stems if not stem.startswith("_")))


@cache
def load(name: str) -> Chip:
    """Return the chip of this name or alias; an `UnknownChipError` if there is none."""
    if name not in _known():
        raise UnknownChipError(name)
    stem = _known()[name]
    table = _table(stem)
    sync, costs = table.pop("sync"), table.pop("costs")
    macs = {kind: rate for kind, rate in table.pop("cube_macs").items() if rate}
    return Chip(
        name=stem,
        cube_macs=macs,
        aliases=tuple(table.pop("aliases", ())),
        costs=Costs(
            vector={kind: Cost(*row) for kind, row in table.pop("vector").items()},
            transfers={path: Transfer(**row) for path, row in table.pop("transfers").items()},
            sync=Sync(**sync),
            **costs,
        ),
        **table,
    )


@cache
def _known() -> dict[str, str]:
    """Return the file of each name and alias."""
    found = {name: name for name in names()}
    for name in names():
        found |= dict.fromkeys(_read(name).get("aliases", ()), name)
    return found


@cache
def _read(stem: str) -> dict[str, Any]:
    return tomllib.loads((files(__name__) / f"{stem}.toml").read_text(encoding="utf-8"))


def _table(stem: str) -> dict[str, Any]:
    """Return the file's table over that of its ``base``."""
    own = dict(_read(stem))
    base = own.pop("base", None)
    return own if base is None else _over(_table(base), own)


def _over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _over(base[key], value) if nested else value
    return merged
