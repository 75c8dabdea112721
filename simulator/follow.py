"""A core that watches and computes: for programs whose path or addresses depend on data."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tiledsl.simulator.core import Core, Crossing, Launch
from tiledsl.simulator.lanes import Lanes, OutOfPlaceError
from tiledsl.simulator.matrix import CubeCore
from tiledsl.simulator.places import Area, GlobalArea
from tiledsl.simulator.watch import Watcher

_CONTROL = {"programs", "set_flag", "wait_flag", "barrier", "token", "receive", "workspace"}
INSTRUCTIONS = tuple(sorted(Core.__abstractmethods__ - _CONTROL))


def copy_of(launch: Launch) -> Launch:
    """Return the same launch on copies of what it may write."""
    kept = {t.name for t in launch.program.tensors if t.role in ("in", "table")}
    tensors = {
        name: area if name in kept else GlobalArea(name, area.dtype, area.bytes.copy())
        for name, area in launch.tensors.items()
    }
    return Launch(launch.program, tensors, launch.dims, launch.scalars)


def spaces_of(launch: Launch) -> dict[str, GlobalArea]:
    """Return the workspaces of one block."""
    return {
        w.name: GlobalArea(
            w.name, w.dtype, np.zeros(w.slots * w.elements * w.dtype.size, np.uint8), w.slots,
            w.elements,
        )
        for w in launch.program.workspaces
    }  # fmt: skip


class Follower(Watcher):
    """A watcher with a twin that computes the programs one by one."""

    def __init__(self, spaces: dict[str, GlobalArea], *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.spaces = spaces
        self.twin = CubeCore(
            self.launch, np.zeros(1, np.int64), Lanes(1), spaces, index=self.index,
            crossing=Crossing(),
        )  # fmt: skip

    def buffer(self, name: str, memory: str, offset: int, size: int, slots: int) -> Area:
        """Return the buffer's area, watched and with room."""
        area = super().buffer(name, memory, offset, size, slots)
        self.twin.lanes.open(area)
        return area

    def workspace(self, name: str) -> GlobalArea:
        """Return scratch, watched and with room."""
        super().workspace(name)
        return self.spaces[name]


def _both(name: str) -> Callable[..., Any]:
    """Return the method that watches an instruction, then does it."""

    def method(self: Follower, *words: Any) -> Any:
        getattr(Watcher, name)(self, *words)
        try:
            with np.errstate(all="ignore"):
                return getattr(self.twin, name)(*words)
        except OutOfPlaceError:  # the watcher has told it
            return None

    return method


for _name in INSTRUCTIONS:
    setattr(Follower, _name, _both(_name))
