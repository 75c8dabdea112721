"""Matrices on their way through the cube, kept as f32 beside the bytes that they stand for.

Converting f16 and shuffling fractals would take far longer than the products do. So a load to L1
keeps views of the matrix in f32, loads to L0 keep parts of these, and a product keeps its sums;
only what looks at the bytes of such a buffer has them written.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tiledsl.ops.registry import Array
from tiledsl.simulator.core import Launch
from tiledsl.simulator.halves import widen
from tiledsl.simulator.lanes import Lanes, windows
from tiledsl.simulator.places import GlobalArea, Place, Spot
from tiledsl.types import DType

_LIMIT = 1 << 25  # elements of a tensor up to which all of it is made f32 at once


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A matrix of each program, from byte ``start`` of a buffer on, ``size`` bytes.

    ``layout``: Nz of L1 with so many rows a block, the fractals of a left or right matrix, sums.
    ``write`` writes the bytes.
    """

    layout: tuple[Literal["nz", "left", "right", "sums"], int]
    start: int
    size: int
    parts: list[Array]
    write: Callable[[], None]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, cols = self.parts[0].shape
        return rows, cols

    def holds(self, high: int, rows: int, cols: int) -> bool:
        """Whether these rows and columns are in it, in columns of ``high`` rows."""
        return self.layout[1] == high and self.shape[0] >= rows and self.shape[1] >= cols

    def cut(self, start: int, unit: int, rows: int, cols: int) -> list[Array] | None:
        """Return rows and columns of an Nz tile from byte ``start`` on, blocks ``unit`` wide."""
        block, rest = divmod(start - self.start, self.layout[1] * 32)
        row, inside = divmod(rest, 32)
        first = block * unit
        if inside or row + rows > self.shape[0] or first + cols > self.shape[1]:
            return None
        return [part[row : row + rows, first : first + cols] for part in self.parts]


def keep(lanes: Lanes, place: Place, tile: Tile) -> None:
    """Let a tile stand for the bytes of ``place``; what it meets there is written before."""
    tiles = lanes.tiles.get(place.area.name, {})
    old = tiles.get(tile.start)
    same = old is not None and (old.layout, old.shape, old.size) == (
        tile.layout, tile.shape, tile.size,
    )  # fmt: skip
    end = tile.start + tile.size
    if not same and any(t.start < end and tile.start < t.start + t.size for t in tiles.values()):
        lanes.write_tiles(place.area.name)
    lanes.tiles.setdefault(place.area.name, {})[tile.start] = tile


def tile_at(lanes: Lanes, place: Place, kind: str) -> Tile | None:
    """Return the tile that stands at ``place``, if one does."""
    tile = lanes.tiles.get(place.area.name, {}).get(place.start)
    return tile if tile is not None and tile.layout[0] == kind else None


def tile_around(lanes: Lanes, place: Place, rows: int) -> Tile | None:
    """Return the Nz tile with blocks of so many rows in which ``place`` is."""
    for tile in lanes.tiles.get(place.area.name, {}).values():
        inside = tile.start <= place.start < tile.start + tile.size
        if inside and tile.layout == ("nz", rows):
            return tile
    return None


def loaded(
    lanes: Lanes, launch: Launch, spot: Spot, dtype: DType, shape: tuple[int, int], stride: int
) -> list[Array] | None:
    """Return a matrix in global memory as f32, for each program; `None` of other types."""
    if dtype not in (DType.F16, DType.F32) or not lanes.keeps_tiles:
        return None
    strides = (stride, 1)
    wide = _wide(lanes, launch, spot.place)
    if wide is not None:
        there = spot._replace(place=wide)
        return list(_rows(windows(there, DType.F32, lanes.count, shape, strides, False)))
    found = windows(spot, dtype, lanes.count, shape, strides, False)
    return list(
        _rows((s, widen(x) if dtype is DType.F16 else np.array(x)) for s, x in found)
    )


def _rows(found: Iterator[tuple[slice, Array]]) -> Iterator[Array]:
    for _, matrices in found:
        yield from matrices


def _wide(lanes: Lanes, launch: Launch, place: GlobalArea) -> GlobalArea | None:
    """Return all of a tensor as f32, if it stays as it is during the launch."""
    if place.name not in lanes.wide:
        lanes.wide[place.name] = None
        roles = {t.name: t.role for t in launch.program.tensors}
        others = [launch.tensors[n] for n, role in roles.items() if role not in ("in", "table")]
        fixed = roles.get(place.name) == "in" and not place.slots
        count = place.bytes.size // place.dtype.size
        if fixed and count <= _LIMIT and not any(
            np.may_share_memory(place.bytes, other.bytes) for other in others
        ):
            flat = place.bytes.view(place.dtype.numpy)
            whole = widen(flat) if place.dtype is DType.F16 else flat
            lanes.wide[place.name] = GlobalArea(place.name, DType.F32, whole.view(np.uint8))
    return lanes.wide[place.name]
