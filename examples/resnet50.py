"""Every distinct layer of ResNet-50, fused and separate: `python examples/resnet50.py`.

Each layer runs in the simulator at its true shape (a batch of 1, images of 224 x 224, f16), in
both layouts (NHWC, NCHW), and is compared with a model in NumPy: windows side by side, times the
weights, in f32. A convolution runs as one kernel with the batch normalisation and relu (and the
residual) behind it, and as one kernel for each. Tile sizes are the best of a few, by the cycle
model.

`--layer conv3` takes the layers whose names begin so, `--layout nhwc` one layout, `--small` images
of 32 x 32; `-o FILE` writes the tables as Markdown.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tables import Cell, Page

import tiledsl
from tiledsl.chips import load
from tiledsl.runtime.profile import Setting, profile

HERE = Path(__file__).parent
CHIP = "ascend910b3"
EPS = 1e-5
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: ``high`` x ``high`` pixels of ``ins`` channels to ``outs`` channels.

    ``kind``: conv, with ``taps`` x ``taps`` weights; else one kernel by itself. ``residual``: it is
    added before the relu. ``times``: so often the network has it.
    """

    name: str
    kind: str
    high: int
    ins: int
    outs: int
    taps: int = 1
    stride: int = 1
    act: bool = True
    residual: bool = False
    times: int = 1

    @property
    def pad(self) -> int:
        """Pixels around the image."""
        return self.taps // 2

    @property
    def out_high(self) -> int:
        """Rows, and columns, of the result."""
        return (self.high + 2 * self.pad - self.taps) // self.stride + 1

    @property
    def macs(self) -> int:
        """Products of the convolution."""
        return self.out_high**2 * self.outs * self.ins * self.taps**2

    def what(self) -> str:
        """Return the layer in words."""
        step = f" s{self.stride}" if self.stride > 1 else ""
        match self.kind:
            case "conv":
                tail = ", bn" + ", add" * self.residual + ", relu" * self.act
                return f"{self.taps}x{self.taps}{step} {self.ins}→{self.outs}{tail}"
            case "maxpool":
                return f"max {self.taps}x{self.taps}{step}"
            case "mean":
                return "mean of all pixels"
            case "linear":
                return f"{self.ins}→{self.outs}"
            case _:
                return self.kind


@dataclass(slots=True)
class Cost:
    """What some launches took, and how far off the last output is."""

    launches: int = 0
    moved: int = 0
    cycles: int = 0
    error: float = 0.0


@dataclass(slots=True)
class Bench:
    """Runs kernels: where, and the costs of each by itself, by what it does and on what."""

    device: str = "sim"
    hazards: bool = False
    tune: bool = True
    alone: dict[tuple[str, str], Cost] = field(default_factory=dict)
    tiles: dict[tuple[Any, ...], dict[str, int]] = field(default_factory=dict)

    def step(
        self, cost: Cost, what: str, name: str, given: Mapping[str, object], want: Array
    ) -> Array:
        """Run a kernel, compare its output with ``want``, and keep what it took by itself too."""
        own = Cost()
        y = self.run(own, name, given)
        own.error = off(y, want)
        self.alone.setdefault((what, "x".join(map(str, y.shape))), own)
        cost.launches += own.launches
        cost.moved += own.moved
        cost.cycles += own.cycles
        return y

    def run(self, cost: Cost, name: str, given: Mapping[str, object]) -> Array:
        """Run a kernel and add to ``cost`` what it took; return its output."""
        kernel, names = kernel_of(name)
        given = {names.get(k, k): v for k, v in given.items() if v is not None}
        tiles = self.best(name, kernel, given) if self.tune else {}
        found = kernel.run(
            given, device=self.device, chip=CHIP if self.device != "cuda-host" else None,
            tiles=tiles, hazards=self.hazards,
        )  # fmt: skip
        cost.launches += found.launches
        cost.moved += found.moved or 0
        cost.cycles += found.cycles or 0
        (out,) = found.outputs.values()
        return out

    def best(
        self, name: str, kernel: tiledsl.Kernel, given: Mapping[str, object]
    ) -> dict[str, int]:
        """Return the tile sizes that take the fewest cycles, of a few that suit the shapes."""
        shapes = tuple((k, v.shape if isinstance(v, np.ndarray) else v) for k, v in given.items())
        key = kernel.name, shapes
        if key not in self.tiles:
            counts: list[tuple[float, dict[str, int]]] = []
            for tiles in candidates(name, given):
                try:
                    found = profile(kernel, given, Setting(CHIP, tiles), {}, {}, trials=False)
                except tiledsl.CompileError:  # no room for these
                    continue
                counts.append((found.cycles, tiles))
            self.tiles[key] = min(counts, key=lambda c: c[0])[1] if counts else {}
        return self.tiles[key]


# Layers that the library has, and what their parameters are called there.
LIBRARY = {
    "pointwise_nhwc": ("std:gemm", "matmul_nt", {}),
    "batch_norm_nchw": ("std:norm", "batch_norm_infer", {"gamma": "w", "beta": "b"}),
    "maxpool_nchw": ("std:conv", "maxpool2d", {}),
}


@cache
def kernel_of(name: str) -> tuple[tiledsl.Kernel, Mapping[str, str]]:
    """Return the kernel of a layer, and other names of its parameters."""
    if name not in LIBRARY:
        return tiledsl.load(HERE / "models" / "resnet50.tile")[name], {}
    file, kernel, names = LIBRARY[name]
    return tiledsl.load(file)[kernel], names


# ---- the layers ---------------------------------------------------------------------------------


def layers(image: int = 224) -> list[Layer]:
    """Return every distinct layer of ResNet-50 (v1.5: the 3 x 3 convolutions have the strides)."""
    high = image // 4
    found = [
        Layer("conv1", "conv", image, 3, 64, 7, 2),
        Layer("pool1", "maxpool", image // 2, 64, 64, 3, 2),
    ]
    ins = 64
    for number, width, many in ((2, 64, 3), (3, 128, 4), (4, 256, 6), (5, 512, 3)):
        outs, stage, stride = 4 * width, f"conv{number}", 1 if number == 2 else 2
        small = high // stride
        found += [
            Layer(f"{stage}.first.reduce", "conv", high, ins, width),
            Layer(f"{stage}.first.3x3", "conv", high, width, width, 3, stride),
            Layer(f"{stage}.expand", "conv", small, width, outs, residual=True, times=many),
            Layer(f"{stage}.shortcut", "conv", high, ins, outs, 1, stride, act=False),
            Layer(f"{stage}.reduce", "conv", small, outs, width, times=many - 1),
            Layer(f"{stage}.3x3", "conv", small, width, width, 3, times=many - 1),
        ]
        ins, high = outs, small
    first = next(x for x in found if x.name == "conv2.first.3x3")
    found = [replace(x, times=3) if x is first else x for x in found if x.name != "conv2.3x3"]
    return [*found, Layer("pool5", "mean", high, ins, ins), Layer("fc", "linear", 1, ins, 1000)]


def run_layer(bench: Bench, layer: Layer, layout: str) -> tuple[Cost, Cost | None]:
    """Run a layer fused and separate; a layer of one kernel has no other form."""
    draw = np.random.default_rng(len(layer.name) + layer.ins)
    x = draw.normal(size=(1, layer.high, layer.high, layer.ins)).astype(np.float16)
    match layer.kind:
        case "conv":
            return run_conv(bench, layer, layout, x, draw)
        case "maxpool":
            want = np.max(windows(x, layer, -np.inf), axis=3)
            numbers = {"k": layer.taps, "stride": layer.stride, "pad": layer.pad}
            return one(bench, layer, layout, f"maxpool_{layout}", x, numbers, want), None
        case "mean":
            want = x.astype(np.float32).mean(axis=(1, 2))
            return one(bench, layer, layout, f"mean_{layout}", x, {}, want), None
        case _:
            w = (draw.normal(size=(layer.outs, layer.ins)) / layer.ins**0.5).astype(np.float16)
            b = draw.normal(size=layer.outs).astype(np.float16)
            flat = x.reshape(1, layer.ins)
            want = flat.astype(np.float32) @ w.T.astype(np.float32) + b
            return one(bench, layer, "", "linear", flat, {"w": w, "b": b}, want), None


def one(
    bench: Bench, layer: Layer, layout: str, name: str, x: Array, others: Mapping[str, object],
    want: Array,
) -> Cost:  # fmt: skip
    """Run one kernel on ``x``, and compare."""
    cost = Cost()
    got = bench.run(cost, name, {"x": turned(x, layout), **others})
    cost.error = off(got, turned(want, layout))
    return cost


def run_conv(
    bench: Bench, layer: Layer, layout: str, x: Array, draw: np.random.Generator
) -> tuple[Cost, Cost]:
    """Run a convolution with what follows it, in one kernel and in one for each."""
    taps, outs = layer.taps, layer.outs
    scale = (taps * taps * layer.ins) ** -0.5
    w = (draw.normal(size=(taps, taps, layer.ins, outs)) * scale).astype(np.float16)
    norm: dict[str, Any] = {
        "mean": draw.normal(0, 0.1, outs).astype(np.float32),
        "variance": draw.uniform(0.5, 2, outs).astype(np.float32),
        "gamma": draw.uniform(0.5, 1.5, outs).astype(np.float32),
        "beta": draw.normal(0, 0.1, outs).astype(np.float32),
        "eps": EPS,
    }
    shape = (1, layer.out_high, layer.out_high, outs)
    residual = draw.normal(size=shape).astype(np.float16) if layer.residual else None
    sums = products(x, w, layer)
    want = turned(followed(sums, norm, residual, act=layer.act), layout)
    last = None if residual is None else turned(residual, layout)
    fused, apart = Cost(), Cost()
    got = conv(bench, fused, layer, layout, x, w, {**norm, "act": layer.act}, last)
    fused.error = off(got, want)
    own = Cost()
    y = conv(bench, own, layer, layout, x, w, None, None)
    own.error = off(y, turned(sums, layout))
    bench.alone[layer.name, layer.what().split(",")[0]] = own
    apart = replace(own)
    axis = -1 if layout == "nhwc" else 1
    plain = np.moveaxis(followed(np.moveaxis(y, axis, -1), norm, None, act=False), -1, axis)
    y = bench.step(apart, "bn", f"batch_norm_{layout}", {"x": y, **norm}, plain)
    if layer.act:
        what = "relu" if last is None else "add, relu"
        more = np.maximum(y.astype(np.float32) + (0 if last is None else last), 0)
        y = bench.step(apart, what, "activate", {"x": y, "residual": last}, more)
    apart.error = off(y, want)
    return fused, apart


def conv(
    bench: Bench, cost: Cost, layer: Layer, layout: str, x: Array, w: Array,
    norm: Mapping[str, object] | None, residual: Array | None,
) -> Array:  # fmt: skip
    """Run a convolution, alone or with what follows it."""
    x, bn = turned(x, layout), "" if norm is None else "_bn"
    more = dict(norm or {})
    if layer.taps == 1 and layer.stride == 1:
        given = {"w": np.ascontiguousarray(w[0, 0].T), **more}
        if layout == "nhwc":  # pixels are rows
            given["x"] = x.reshape(-1, layer.ins)
            given["residual"] = None if residual is None else residual.reshape(-1, layer.outs)
        else:
            given |= {"x": x, "residual": residual}
        y = bench.run(cost, f"pointwise{bn}_{layout}", given)
        return y.reshape(1, layer.high, layer.high, layer.outs) if layout == "nhwc" else y
    taps: dict[str, object] = {"stride": layer.stride, "pad": layer.pad}
    if layer.ins == 3:
        x, w = blocks(bench, cost, layout, x), by_blocks(w)
        taps = {"stride": 1, "pad": 2, "trim": 1}
    weights = np.ascontiguousarray(w.transpose(0, 1, 3, 2))
    if layout == "nchw" and layer.ins == 3:  # its channels come before row and column of a block
        many = w.shape[-1]
        order = w.reshape(4, 4, 2, 2, 3, many).transpose(0, 1, 5, 4, 2, 3)
        weights = np.ascontiguousarray(order).reshape(4, 4, many, 12)
    return bench.run(cost, f"conv{bn}_{layout}", {"x": x, "w": weights, **more, **taps})


def blocks(bench: Bench, cost: Cost, layout: str, x: Array) -> Array:
    """Return the image in blocks of 2 x 2 pixels, which become the channels of one."""
    if layout == "nhwc":
        n, high, wide, many = x.shape
        y = bench.run(cost, "blocks_nhwc", {"x": x.reshape(n, high, wide * many)})
        return y.reshape(n, high // 2, wide // 2, 4 * many)
    n, many, high, wide = x.shape
    y = bench.run(cost, "blocks_nchw", {"x": x})
    return y.reshape(n, 4 * many, high // 2, wide // 2)


def by_blocks(w: Array) -> Array:
    """Return weights of 7 x 7 taps as 4 x 4 over blocks: tap 2u + a - 1 is row a of block u."""
    _, _, many, outs = w.shape
    wide = np.zeros((8, 8, many, outs), w.dtype)
    wide[1:, 1:] = w
    split = wide.reshape(4, 2, 4, 2, many, outs).transpose(0, 2, 1, 3, 4, 5)
    return np.ascontiguousarray(split).reshape(4, 4, 4 * many, outs)


# ---- the model in NumPy -------------------------------------------------------------------------


def products(x: Array, w: Array, layer: Layer) -> Array:
    """Return a convolution in f32, channels last: its windows times the weights."""
    wide = windows(x, layer, 0)
    flat = wide.reshape(-1, wide.shape[3] * wide.shape[4])
    found: Array = flat @ w.astype(np.float32).reshape(flat.shape[1], -1)
    return found.reshape(*wide.shape[:3], -1)


def followed(
    v: Array, norm: Mapping[str, Any], residual: Array | None, *, act: bool
) -> Array:
    """Return what follows a convolution: batch normalisation, the residual, relu."""
    v = v.astype(np.float32)
    v = (v - norm["mean"]) / np.sqrt(norm["variance"] + EPS) * norm["gamma"] + norm["beta"]
    if residual is not None:
        v = v + residual
    return np.maximum(v, 0) if act else v


def windows(x: Array, layer: Layer, outside: float) -> Array:
    """Return the windows of an image, channels last: n p q taps c, in f32."""
    pad, k, step, high = layer.pad, layer.taps, layer.stride, layer.out_high
    wide = np.pad(
        x.astype(np.float32), ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=outside
    )
    reach = step * (high - 1) + 1
    parts = [
        wide[:, r : r + reach : step, s : s + reach : step] for r, s in np.ndindex(k, k)
    ]
    return np.stack(parts, axis=3)


def turned(x: Array, layout: str) -> Array:
    """Return an image or row of channels last in ``layout``."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if layout == "nchw" else x


def off(got: Array, want: Array) -> float:
    """Return the largest difference, as a part of the largest element."""
    return float(np.abs(got.astype(np.float32) - want).max() / np.abs(want).max())


# ---- tile sizes ---------------------------------------------------------------------------------


def candidates(name: str, given: Mapping[str, Any]) -> Iterator[dict[str, int]]:
    """Yield tile sizes that suit the shapes of a kernel's arguments."""
    x = given["x"].shape
    if name.startswith("conv"):
        yield from _conv_tiles(name, given, x)
    elif name.startswith("pointwise"):
        last = name.endswith("nhwc")
        pixels = x[0] if last else int(np.prod(x[2:]))
        outs, ins = given["w"].shape
        names = ("BM", "BN", "BK") if name == "pointwise_nhwc" else ("BI", "BO", "BC")
        rows = {*near(pixels, 64, 128, 256), *shares(pixels)}
        sides = product(sorted(rows), near(outs, 32, 64, 128, 256), near(ins, 64, 256))
        yield from (dict(zip(names, s, strict=True)) for s in sides if s[0] * s[1] <= 256 * 128)
    elif name.startswith("batch_norm"):
        across, along = ("BC", "BI") if name.endswith("nhwc") else ("BS", "BC")
        cols = x[-1] if name.endswith("nhwc") else int(np.prod(x[2:]))
        for col, row in product(near(cols, 256, 512, 1024, 2048), (4, 8, 16, 32, 64)):
            if 1024 <= col * row <= 16384 or row == 4:
                yield {across: col, along: row}
    elif name.startswith("maxpool"):
        p, q, c = (4, 14, x[-1]) if name.endswith("nhwc") else (4, x[-1] // 2, 4)
        for high, wide, deep in product((1, 2, p), (q, 2 * q), (c, 2 * c, 4 * c)):
            yield {"BP": high, "BQ": wide, "BC": deep}
    elif name.startswith("mean"):
        for many in (16, 32, 64, 128, 256):
            yield {"BC": many, "BI": 64}
    elif name == "activate":
        for size in (2048, 4096, 8192, 16384):
            yield {"BN": size}
    elif name == "linear":
        for outs, ins in product((16, 32, 64), (256, 512, 1024)):
            yield {"BN": 16, "BO": outs, "BC": ins}
    else:
        yield {}
        for high in (1, 2, 4):
            yield {"BP": high, "BQ": x[-1] // (6 if name.endswith("nhwc") else 2)}


def _conv_tiles(
    name: str, given: Mapping[str, Any], x: Sequence[int]
) -> Iterator[dict[str, int]]:
    last = name.endswith("nhwc")
    high = x[1] if last else x[2]
    outs, ins = given["w"].shape[2:]
    side = high // given["stride"]
    cols = near(side, 28, 56, 112)
    sides = product((1, 2, 3, 4, 7, 8), cols, near(outs, 32, 64, 128), near(ins, 64, 256))
    for p, q, o, c in sides:
        fits = p * q <= 512 // (1 if last else 2) and p * q * o <= 256 * 128
        if p <= side and fits and min(28, side * side // 2) <= p * q:
            yield {"BP": p, "BQ": q, "BO": o, "BC": c}


def shares(size: int) -> list[int]:
    """Return the parts of a range that give each cube core as much: one, two or three of them."""
    cores = load(CHIP).cube_cores
    return [max(16, -(-size // (16 * cores * turns)) * 16) for turns in (1, 2, 3)]


def near(size: int, *sizes: int) -> list[int]:
    """Return the tile sizes that are not larger than need be for a range of ``size``."""
    return [n for n in sizes if n < size] + ([size] if size <= max(sizes) else [])


# ---- tables -------------------------------------------------------------------------------------


def main() -> None:
    """Print the tables."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--layer", action="append", help="the start of a layer's name")
    words.add_argument("--layout", choices=("nhwc", "nchw"))
    words.add_argument("--small", action="store_true", help="images of 32 x 32")
    words.add_argument("-o", "--output", type=Path)
    asked = words.parse_args()
    page = Page(f"The layers of ResNet-50 on {CHIP}", command(asked), asked.output)
    chosen = [
        layer
        for layer in layers(32 if asked.small else 224)
        if asked.layer is None or layer.name.startswith(tuple(asked.layer))
    ]
    for layout in (asked.layout,) if asked.layout else ("nhwc", "nchw"):
        bench = Bench()
        rows = [row_of(bench, layer, layout) for layer in chosen]
        if len(rows) > 1:
            rows.append(total(rows))
        page.table(f"{layout.upper()}, fused", rows, NOTES)
        if bench.alone:
            page.table(f"{layout.upper()}, each layer by itself", alone_rows(bench))


NOTES = [
    "*error*: the largest difference from the model, as a part of the model's largest element.",
    "*least*: the cycles that the products take on all cubes at their peak, or the input, weights",
    "and output from and to HBM, whichever is more; a launch alone takes about 4,500. *kB*: copies",
    "from and to global memory and L2, what cores hand to each other included. *network*: the sum",
    "of the layers that ran, each as often as the network has it.",
]


def command(asked: argparse.Namespace) -> str:
    """Return the command that was given."""
    words = ["python examples/resnet50.py"]
    words += [f"--layer {name}" for name in asked.layer or ()]
    words += ["--layout " + asked.layout] if asked.layout else []
    words += ["--small"] if asked.small else []
    return " ".join(words)


def row_of(bench: Bench, layer: Layer, layout: str) -> dict[str, Cell]:
    """Run a layer and return its row."""
    print(f"{layout} {layer.name}", file=sys.stderr, flush=True)
    fused, apart = run_layer(bench, layer, layout)
    row: dict[str, Cell] = {
        "layer": layer.name,
        "": layer.what(),
        "times": layer.times,
        "pixels": f"{layer.high}²" + (f" → {layer.out_high}²" if layer.stride > 1 else ""),
        "error": max(fused.error, apart.error if apart else 0.0),
        "launches": fused.launches,
        "kB": fused.moved // 1000,
        "cycles": fused.cycles,
        "least": least(layer),
    }
    if apart is not None:
        row |= {
            "separate: launches": apart.launches,
            "kB ": apart.moved // 1000,
            "cycles ": apart.cycles,
            "fused takes": f"{fused.cycles / apart.cycles:.0%}",
        }
    return row


def total(rows: Sequence[Mapping[str, Cell]]) -> dict[str, Cell]:
    """Return the sum over the network: each layer as often as it is there."""

    def over(name: str, other: str = "") -> int:
        values = [row.get(name, row.get(other)) for row in rows]
        times = [row["times"] for row in rows]
        return sum(int(v) * int(n) for v, n in zip(values, times, strict=True) if v and n)

    fused, apart = over("cycles"), over("cycles ", "cycles")
    return {
        "layer": "network",
        **{name: over(name) for name in ("launches", "kB", "cycles", "least")},
        "separate: launches": over("separate: launches", "launches"),
        "kB ": over("kB ", "kB"),
        "cycles ": apart,
        "fused takes": f"{fused / apart:.0%}",
    }


def alone_rows(bench: Bench) -> list[dict[str, Cell]]:
    """Return a row for each layer that ran by itself."""
    return [
        {
            "layer": what, "": shape, "error": cost.error, "launches": cost.launches,
            "kB": cost.moved // 1000, "cycles": cost.cycles,
        }
        for (what, shape), cost in bench.alone.items()
    ]  # fmt: skip


def least(layer: Layer) -> int:
    """Return the cycles below which a layer cannot be."""
    chip = load(CHIP)
    elements = layer.high**2 * layer.ins + layer.out_high**2 * layer.outs
    weighs = layer.kind in ("conv", "linear")
    elements += layer.taps**2 * layer.ins * layer.outs * weighs
    elements += layer.out_high**2 * layer.outs * layer.residual
    far = 2 * elements / chip.hbm_bytes_per_second * chip.mhz * 1e6
    products = layer.macs / (chip.cube_cores * chip.cube_macs["f16"]) if weighs else 0.0
    return round(max(far, products))


if __name__ == "__main__":
    main()
