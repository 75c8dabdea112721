"""Steps of training a linear layer in mixed precision: `python examples/training_step.py`.

Forward pass, mean squared error, gradients by weights, bias and input, loss scaling, AdamW. The
scale starts one doubling beyond what f16 gradients bear: the first step must be skipped. A model in
NumPy, which rounds where the kernels store, takes the same steps. `--small` is for tests.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads slow the simulator's products down

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from chain import Array, Call, Chain, cost_rows
from tables import Cell, Page

LR, B1, B2, EPS, DECAY = 1e-2, 0.9, 0.999, 1e-8, 0.1
INTERVAL = 4  # steps without overflow after which the scale doubles
STEPS = 8
F16, F32 = np.float16, np.float32


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows of a batch, inputs and outputs of the layer."""

    rows: int
    inputs: int
    outputs: int


SMALL = Sizes(33, 70, 45)


@dataclass(slots=True)
class State:
    """What lasts from step to step: parameters in f32 and f16, moments, and the loss scale."""

    w: Array
    b: Array
    wh: Array
    bh: Array
    mw: Array
    vw: Array
    mb: Array
    vb: Array
    scale: Array
    good: Array
    decay: Array
    found: Array


@dataclass(frozen=True, slots=True)
class Step:
    """What a step has given, from the kernels: ``errors`` say how far off, by operator."""

    loss: float
    scale: float
    skipped: bool
    errors: Mapping[str, float]
    calls: list[Call]


def main() -> None:
    """Print what the steps give and what the operators of one take."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--small", action="store_true", help="sizes for tests")
    words.add_argument("-o", "--output", type=Path, help="a Markdown file for the tables")
    asked = words.parse_args()
    sizes = SMALL if asked.small else Sizes(1024, 1024, 1024)
    command = "python examples/training_step.py" + (" --small" if asked.small else "")
    page = Page("Training a linear layer", command, asked.output)
    steps = train(sizes, Chain())
    shape = f"{sizes.rows} rows, {sizes.inputs} inputs, {sizes.outputs} outputs"
    rows = [row(number, step) for number, step in enumerate(steps)]
    page.table(f"Steps: {shape}, f16, parameters in f32", rows, [
        "Errors are the largest distance from a NumPy model that takes the same steps: that of",
        "gradients in parts of the largest gradient, that of parameters in parts of the learning",
        f"rate {LR:g}: AdamW divides by the gradient's own size, so that where the gradient is",
        "next to 0 its rounding shows. A step that is skipped changes no bit of parameters or",
        "moments. The host reads nothing back: the kernels read whether there was an overflow.",
    ])  # fmt: skip
    taken = next(step for step in steps if not step.skipped)
    page.table("Operators of a step that is taken, on a simulated 910B3",
               cost_rows(taken.calls, taken.errors))  # fmt: skip
    skipped = next(step for step in steps if step.skipped)
    page.table("The same of a step that is skipped", cost_rows(skipped.calls, {}))


def row(number: int, step: Step) -> dict[str, Cell]:
    """Return the row of a step."""
    gradients = [error for name, error in step.errors.items() if name.startswith("gradient")]
    return {
        "step": number + 1,
        "loss": step.loss,
        "loss scale": f"2^{np.log2(step.scale):.0f}",
        "gradients": "overflow: skipped" if step.skipped else "finite",
        "error of gradients": max(gradients, default=None),
        "error of parameters": max(step.errors["AdamW of weights"], step.errors["AdamW of bias"]),
        "cycles": sum(call.cycles for call in step.calls),
    }


def train(sizes: Sizes, chain: Chain, count: int = STEPS) -> list[Step]:
    """Take ``count`` steps with the kernels and with the model."""
    given = batches(sizes, count)
    mine, models = start(sizes, given[0]), start(sizes, given[0])
    return [step(chain, mine, models, *batch) for batch in given]


def batches(sizes: Sizes, count: int) -> list[tuple[Array, Array]]:
    """Return inputs and targets, which another linear layer gives."""
    draw = np.random.default_rng(0)
    true = draw.standard_normal((sizes.outputs, sizes.inputs)) / np.sqrt(sizes.inputs)
    found: list[tuple[Array, Array]] = []
    for _ in range(count):
        x = draw.standard_normal((sizes.rows, sizes.inputs))
        found.append((x.astype(F16), (x @ true.T + 0.5).astype(F16)))
    return found


def start(sizes: Sizes, batch: tuple[Array, Array]) -> State:
    """Return the state before the first step, whose gradients the loss scale makes overflow."""
    draw = np.random.default_rng(1)
    shape = (sizes.outputs, sizes.inputs)
    w = (0.1 * draw.standard_normal(shape) / np.sqrt(sizes.inputs)).astype(F32)
    b = np.zeros(sizes.outputs, F32)
    x, t = (array.astype(F32) for array in batch)
    largest = np.abs(x @ w.T + b - t).max() * 2 / t.size
    scale = 2 ** (np.floor(np.log2(np.finfo(F16).max / largest)) + 1)
    return State(
        w=w, b=b, wh=w.astype(F16), bh=b.astype(F16),
        mw=np.zeros_like(w), vw=np.zeros_like(w), mb=np.zeros_like(b), vb=np.zeros_like(b),
        scale=np.array([scale], F32), good=np.zeros(1, np.int32), decay=np.ones(2, F32),
        found=np.zeros(1, np.int32),
    )  # fmt: skip


def step(chain: Chain, mine: State, models: State, x: Array, t: Array) -> Step:
    """Take a step with the kernels and one with the model, and compare."""
    scale, before = float(mine.scale[0]), len(chain.calls)
    model = model_step(models, x, t)
    got = kernel_step(chain, mine, x, t)
    skipped = float(mine.scale[0]) < scale
    assert skipped == (float(models.scale[0]) < scale)
    told = ("forward", "loss") if skipped else got  # an overflow is no number to compare
    errors = {name: relative(got[name], model[name]) for name in told}
    errors["AdamW of weights"] = float(np.abs(mine.w - models.w).max()) / LR
    errors["AdamW of bias"] = float(np.abs(mine.b - models.b).max()) / LR
    return Step(float(got["loss"][0]), scale, skipped, errors, chain.calls[before:])


def kernel_step(chain: Chain, s: State, x: Array, t: Array) -> dict[str, Array]:
    """Take a step with the kernels; the host reads nothing back to decide on the skip."""
    y = chain.run("forward", "gemm:linear", x, s.wh, s.bh)
    loss = chain.run("loss", "loss:mse_loss", y, t)
    dy = chain.run("gradient of the loss", "loss:mse_loss_bwd", y, t, s.scale)
    dw = chain.run("gradient by weights", "gemm:matmul_tn", dy, x)
    db = chain.run("gradient by bias", "reduce:col_sum", dy)
    dx = chain.run("gradient by input", "gemm:matmul", dy, s.wh)
    for gradient in (dw, db, dx):
        chain.run("overflow looked for", "optimizer:amp_found", gradient, s.found)
    for name, p, h, g, m, v in (
        ("weights", s.w, s.wh, dw, s.mw, s.vw), ("bias", s.b, s.bh, db, s.mb, s.vb),
    ):  # fmt: skip
        chain.run(f"AdamW of {name}", "optimizer:adamw_amp", p, h, g, m, v, s.found, s.scale,
                  s.decay, LR, B1, B2, EPS, DECAY)  # fmt: skip
    chain.run("scale", "optimizer:amp_update", s.scale, s.good, s.decay, s.found, B1, B2, INTERVAL)
    return {
        "forward": y, "loss": loss, "gradient of the loss": dy, "gradient by weights": dw,
        "gradient by bias": db, "gradient by input": dx,
    }  # fmt: skip


def model_step(s: State, x: Array, t: Array) -> dict[str, Array]:
    """Take a step in NumPy: f32, rounded to f16 where the kernels store f16."""
    xs, ts, wh = x.astype(F32), t.astype(F32), s.wh.astype(F32)
    with np.errstate(over="ignore", invalid="ignore"):
        y = (xs @ wh.T + s.bh.astype(F32)).astype(F16)
        d = y.astype(F32) - ts
        dy = (s.scale * F32(2) / F32(d.size) * d).astype(F16)
        g = dy.astype(F32)
        dw, db, dx = g.T @ xs, g.sum(0), (g @ wh).astype(F16)
    found = not all(np.isfinite(array).all() for array in (dw, db, dx))
    if found:
        s.scale, s.good = s.scale / 2, np.zeros_like(s.good)
    else:
        s.decay = s.decay * np.array([B1, B2], F32)
        s.w, s.mw, s.vw = adamw(s.w, dw / s.scale, s.mw, s.vw, s.decay)
        s.b, s.mb, s.vb = adamw(s.b, db / s.scale, s.mb, s.vb, s.decay)
        s.wh, s.bh = s.w.astype(F16), s.b.astype(F16)
        s.good = s.good + 1
        if s.good[0] >= INTERVAL:
            s.scale, s.good = s.scale * 2, np.zeros_like(s.good)
    return {
        "forward": y, "loss": np.array([np.mean(d * d)]), "gradient of the loss": dy,
        "gradient by weights": dw, "gradient by bias": db, "gradient by input": dx,
    }  # fmt: skip


def adamw(p: Array, g: Array, m: Array, v: Array, decay: Array) -> tuple[Array, Array, Array]:
    """Return parameters and moments after a step of AdamW."""
    m = F32(B1) * m + F32(1 - B1) * g
    v = F32(B2) * v + F32(1 - B2) * g * g
    rate = m / (1 - decay[0]) / (np.sqrt(v / (1 - decay[1])) + F32(EPS))
    return p * F32(1 - LR * DECAY) - F32(LR) * rate, m, v


def relative(got: Array, want: Array) -> float:
    """Return the largest error in parts of the largest number."""
    a, b = got.astype(np.float64), want.astype(np.float64)
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


if __name__ == "__main__":
    main()
