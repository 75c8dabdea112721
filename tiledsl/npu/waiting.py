"""What an instruction of an NPU program is, and those by which queues and cores wait for others."""

from dataclasses import dataclass, field

from tiledsl.npu.places import Queue
from tiledsl.scalar import Scalar
from tiledsl.source import NOWHERE, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One leaf operation; ``span`` is the ``.tile`` text that it comes from."""

    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SetFlag(Instruction):
    """``src`` raises flag ``event`` for ``dst`` when all that it was given before is done."""

    src: Queue
    dst: Queue
    event: Scalar


@dataclass(frozen=True, slots=True)
class WaitFlag(Instruction):
    """``dst`` goes on when ``src`` has raised flag ``event``, and lowers it."""

    src: Queue
    dst: Queue
    event: Scalar


@dataclass(frozen=True, slots=True)
class Barrier(Instruction):
    """``queue`` finishes what it was given before it starts more; ``None``: all queues."""

    queue: Queue | None


@dataclass(frozen=True, slots=True)
class CrossSet(Instruction):
    """Raise cross-core flag ``event`` when ``queue`` has done all that it was given.

    The cube core raises it for both vector cores of its block; the cube core sees one raise when
    both vector cores have raised. A flag counts up to 15. Ascend C: ``CrossCoreSetFlag<2, …>``.
    """

    event: int
    queue: Queue


@dataclass(frozen=True, slots=True)
class CrossWait(Instruction):
    """Hold ``queue`` (and what is issued after) until flag ``event`` is raised; lower it by one."""

    event: int
    queue: Queue
