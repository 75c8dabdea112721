"""Programs of the examples, each broken in one place: which breaks are found?

`python benchmarks/mutants.py -o benchmarks/results/mutants.md`. A mutant is caught where the check
of hazards speaks, where the simulator stops, or where an output is wrong. One that is not caught is
run in other orders that its flags allow (`interleave.py`): if all give the right outputs, too, it
counts as equivalent.
"""

import argparse
import datetime
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from interleave import outputs

from tiledsl.chips import load as load_chip
from tiledsl.driver import load_checked
from tiledsl.npu import program as npu
from tiledsl.npu.rewriting import with_blocks, with_refs
from tiledsl.npu.text import show_step
from tiledsl.ops.registry import Array
from tiledsl.runtime.evaluate import Number
from tiledsl.runtime.kernel import steps
from tiledsl.runtime.launch import prepare as prepare_launch
from tiledsl.scalar import Scalar, add, integer
from tiledsl.simulator import HazardError, simulate
from tiledsl.simulator.core import DeadlockError, prepare
from tiledsl.simulator.lanes import OutOfPlaceError
from tiledsl.simulator.places import NotUniformError
from tiledsl.simulator.values import load
from tiledsl.testing.cases import Case, Plan
from tiledsl.testing.inputs import Inputs
from tiledsl.testing.runner import tests_of

EXAMPLES = Path(__file__).parent.parent / "examples"
CHIP = "ascend910b3"
SYNC = npu.SetFlag | npu.WaitFlag | npu.Barrier | npu.CrossSet | npu.CrossWait
CONTROL = npu.Let | npu.Assign | npu.For | npu.If | npu.Comment
COUNTS = ("count", "length", "rows", "cols", "m", "n", "k")
STRIDES = ("stride", "src_stride", "dst_stride", "src_rows", "dst_rows")
ORDERS = 12  # in which a survivor is run
EQUIVALENT = (
    "Of each kind and program so many as `-n` says, evenly spread. Equivalent, at these sizes,",
    "are: buffers moved into room that nobody uses, or made smaller than their room but not",
    "than their tile; strides between rows where there is one row; a vector instruction that",
    "works on one element of padding more or less; two flags or two independent instructions",
    "that change places; a barrier before the first use of anything. That a mutant is",
    "equivalent is only as sure as the orders that were tried; they share no code with the",
    "check of hazards.",
)

Body = tuple[npu.Step, ...]
Mutant = tuple[str, str, npu.Program]  # the kind, what was changed, the program


@dataclass(frozen=True, slots=True)
class Subject:
    """A program, and what one launch gives it."""

    name: str
    program: npu.Program
    arrays: Mapping[str, Array]
    dims: Mapping[str, int]
    scalars: Mapping[str, Number]

    def copies(self) -> dict[str, Array]:
        """Return the arrays, to be written."""
        return {name: array.copy() for name, array in self.arrays.items()}


@dataclass
class Tally:
    """What came of the mutants of one kind."""

    caught: Counter[str] = field(default_factory=Counter)
    equivalent: int = 0
    missed: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The part that was caught of those that are not equivalent."""
        found = self.caught.total()
        return found / max(1, found + len(self.missed))


def main() -> None:
    """Break the programs, and print what was found."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("names", nargs="*", help="kernels, by the start of their names")
    words.add_argument("-n", type=int, default=12, help="mutants of a kind and program, at most")
    words.add_argument("-o", "--output", type=Path)
    asked = words.parse_args()
    tallies: dict[str, Tally] = {}
    programs: dict[str, Tally] = {}
    for subject in subjects():
        if asked.names and not subject.name.startswith(tuple(asked.names)):
            continue
        start = time.process_time()
        right = run(subject, subject.program)
        for kind, what, program in some(subject.program, asked.n):
            verdict = judge(subject, program, right)
            mine = programs.setdefault(subject.name, Tally())
            for tally in (tallies.setdefault(kind, Tally()), mine):
                if verdict == "equivalent":
                    tally.equivalent += 1
                elif verdict == "missed":
                    tally.missed.append(f"{subject.name}: {kind}: {what}")
                else:
                    tally.caught[verdict] += 1
        mine = programs[subject.name]
        spent = time.process_time() - start
        print(f"{subject.name}: {mine.rate:.1%} of {mine.caught.total() + len(mine.missed)}, "
              f"{mine.equivalent} equivalent, {spent:.1f} s", flush=True)  # fmt: skip
        for line in mine.missed:
            print(f"  missed: {line}", flush=True)
    text = page(tallies, programs, asked.n)
    print(text)
    if asked.output:
        asked.output.write_text(text, encoding="utf-8")


def subjects() -> Iterator[Subject]:
    """Yield every program of the examples, for the last case of its test, in small tiles."""
    for path in sorted(EXAMPLES.glob("*.tile")):
        module, kernels = load_checked(path)
        seen: set[str] = set()
        for plan in tests_of(module):
            if plan.fails or plan.name in seen:
                continue
            seen.add(plan.name)
            case = _smaller(plan)
            inputs = Inputs(kernels[plan.name], case, plan)
            launch = prepare_launch(inputs.graph, dict(inputs.arguments), inputs.dims)
            for kernel, inner in steps(inputs.graph, launch):
                compiled = kernels[plan.name]._compile(kernel, CHIP, {"*": 32})
                program = compiled.program
                assert isinstance(program, npu.Program)
                arrays = {name: array.copy() for name, array in inner.arrays.items()}
                yield Subject(kernel.name, program, arrays, inner.dims, inner.scalars)
                run(Subject("", program, {}, inner.dims, inner.scalars), program, inner.arrays)


def _smaller(plan: Plan) -> Case:
    """Return the last case without long sides, with f16 where there is a choice."""
    small = [c for c in plan.cases if all(isinstance(v, str) or v < 1000 for _, v in c.values)]
    halves = [c for c in small if ("T", "f16") in c.values]
    return [*plan.cases, *small, *halves][-1]


def run(
    subject: Subject, program: npu.Program, arrays: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Return the arrays after a run with all checks."""
    given = dict(arrays) if arrays is not None else subject.copies()
    simulate(program, given, subject.dims, subject.scalars, load_chip(CHIP), hazards=True)
    return given


def judge(subject: Subject, program: npu.Program, right: Mapping[str, Array]) -> str:
    """Return what catches a mutant, or ``equivalent``, or ``missed``."""
    try:
        found = run(subject, program)
    except HazardError as error:
        return error.hazards[0].kind
    except (OutOfPlaceError, DeadlockError, NotUniformError) as error:
        return type(error).__name__.removesuffix("Error").lower()
    except (ValueError, IndexError, ZeroDivisionError, AssertionError) as error:
        return f"stopped: {type(error).__name__}"
    if not alike(found, right):
        return "wrong value"
    launch = prepare(program, subject.copies(), subject.dims, subject.scalars)
    runnable = load(program)
    for seed in range(ORDERS):
        try:
            flat = outputs(runnable, launch, seed)
        except (DeadlockError, OutOfPlaceError, ValueError):
            return "missed"
        shaped = {n: flat[n].view(right[n].dtype).reshape(right[n].shape) for n in right}
        if not alike(shaped, right):
            return "missed"
    return "equivalent"


def alike(found: Mapping[str, Array], right: Mapping[str, Array]) -> bool:
    """Whether all arrays agree, but for the order of sums."""
    wide = ((found[n].astype(np.float64), right[n].astype(np.float64)) for n in right)
    return all(np.allclose(a, b, 1e-3, 1e-5, equal_nan=True) for a, b in wide)


# ---- what is broken -----------------------------------------------------------------------------


def some(program: npu.Program, most: int) -> Iterator[Mutant]:
    """Yield up to ``most`` mutants of each kind, evenly spread over the program."""
    kinds: dict[str, list[Mutant]] = {}
    for mutant in mutants(program):
        kinds.setdefault(mutant[0], []).append(mutant)
    for found in kinds.values():
        step = max(1.0, len(found) / most)
        yield from (found[int(i * step)] for i in range(min(most, len(found))))


def mutants(program: npu.Program) -> Iterator[Mutant]:
    """Yield the program with one place changed, in every way."""
    for at, core in enumerate(program.cores):
        for kind, what, changed in _cores(core):
            cores = (*program.cores[:at], changed, *program.cores[at + 1 :])
            yield kind, what, replace(program, cores=cores)


def _cores(core: npu.CoreProgram) -> Iterator[tuple[str, str, npu.CoreProgram]]:
    for kind, what, body in _bodies(core.body):
        yield kind, what, replace(core, body=body)
    for buffer in core.buffers:
        for kind, new in _buffers(buffer):
            what = f"`{buffer.name}` {buffer.memory.value} {buffer.offset}, {buffer.size} bytes"
            what += f" -> {new.offset}, {new.size}"
            yield kind, what, _with_buffer(core, buffer, new)


def _buffers(buffer: npu.Buffer) -> Iterator[tuple[str, npu.Buffer]]:
    yield "move a buffer", replace(buffer, offset=buffer.offset + 512)
    if buffer.offset >= 512:
        yield "move a buffer", replace(buffer, offset=buffer.offset - 512)
    yield "move a buffer", replace(buffer, offset=buffer.offset + 4)
    yield "shrink a buffer", replace(buffer, size=buffer.size // 2)
    if buffer.slots > 1:
        yield "shrink a buffer", replace(buffer, slots=buffer.slots - 1)


def _with_buffer(core: npu.CoreProgram, old: npu.Buffer, new: npu.Buffer) -> npu.CoreProgram:
    def swap(ref: npu.Ref) -> npu.Ref:
        return replace(ref, buffer=new) if ref.buffer == old else ref

    buffers = tuple(new if b == old else b for b in core.buffers)
    body = with_blocks(core.body, partial(with_refs, change=swap))
    return replace(core, buffers=buffers, body=body)


def _bodies(body: Body) -> Iterator[tuple[str, str, Body]]:
    """Yield a block with one change, in it or in a block inside."""
    for at, step in enumerate(body):
        before, after = body[:at], body[at + 1 :]
        if isinstance(step, SYNC):
            yield "drop a flag", show_step(step), (*before, *after)
        for kind, changed in _steps(step):
            yield kind, f"{show_step(step)} -> {show_step(changed)}", (*before, changed, *after)
        if after and not isinstance(step, CONTROL) and not isinstance(after[0], CONTROL):
            what = f"{show_step(step)} | {show_step(after[0])}"
            yield "reorder two", what, (*before, after[0], step, *after[1:])
        match step:
            case npu.For():
                for kind, what, inner in _bodies(step.body):
                    yield kind, what, (*before, replace(step, body=inner), *after)
            case npu.If():
                for kind, what, inner in _bodies(step.then):
                    yield kind, what, (*before, replace(step, then=inner), *after)
                for kind, what, inner in _bodies(step.orelse):
                    yield kind, what, (*before, replace(step, orelse=inner), *after)


def _steps(step: npu.Step) -> Iterator[tuple[str, npu.Step]]:
    """Yield a leaf step with one of its fields changed."""
    match step:
        case npu.SetFlag(event=event) | npu.WaitFlag(event=event):
            yield "swap ids", replace(step, event=add(event, 1))
            return
        case npu.CrossSet(event=number) | npu.CrossWait(event=number):
            yield "swap ids", replace(step, event=number + 1)
            return
        case npu.Barrier() | npu.Let() | npu.Assign() | npu.For() | npu.If() | npu.Comment():
            return
    for name in type(step).__dataclass_fields__:
        value = getattr(step, name)
        for kind, new in _fields(name, value):
            changed: dict[str, Any] = {name: new}
            yield kind, replace(step, **changed)


def _fields(name: str, value: object) -> Iterator[tuple[str, Any]]:
    match value:
        case npu.Ref():
            block = 32 // value.dtype.size
            for by in (1, block):
                yield "shift an address", replace(value, offset=add(value.offset, by))
        case npu.View():
            for kind, ref in _fields(name, value.ref):
                yield kind, replace(value, ref=ref)
            if value.kind == "full":
                block = 32 // value.ref.dtype.size
                yield "change a stride", replace(value, stride=add(value.stride, block))
        case npu.Global():
            yield "shift an address", replace(value, offset=add(value.offset, 1))
        case tuple() if name.endswith("strides") and value:
            yield "change a stride", (add(value[0], 16), *value[1:])
        case _ if name in STRIDES:
            yield "change a stride", add(_scalar(value), 16)
        case _ if name in COUNTS:
            yield "change a size", add(_scalar(value), 1)
            yield "change a size", add(_scalar(value), -1)
        case tuple() if name == "shape" and value:
            yield "change a size", (add(value[0], -1), *value[1:])


def _scalar(value: object) -> Scalar:
    return integer(value) if isinstance(value, int) else value  # type: ignore[return-value]


# ---- the report ---------------------------------------------------------------------------------


def page(tallies: Mapping[str, Tally], programs: Mapping[str, Tally], most: int) -> str:
    """Return the report."""
    whole = Tally()
    for tally in tallies.values():
        whole.caught += tally.caught
        whole.equivalent += tally.equivalent
        whole.missed += tally.missed
    day = datetime.datetime.now(datetime.UTC).date()
    by = ", ".join(f"{kind} {count}" for kind, count in whole.caught.most_common())
    survivors = [f"- {line}" for line in whole.missed] or ["None."]
    total = whole.caught.total() + len(whole.missed)
    return "\n".join([
        "# Broken programs: what is found", "",
        f"`python benchmarks/mutants.py -n {most} -o benchmarks/results/mutants.md`, {day}, "
        f"{CHIP}.", "",
        f"**{whole.rate:.1%}** of {total} mutants that are not equivalent are caught; "
        f"{whole.equivalent} more are equivalent: {ORDERS} other orders that their flags allow "
        "gave the right outputs too.", "",
        f"Caught by: {by}.", "", *EQUIVALENT, "",
        *_table("change", tallies), "", *_table("program", programs), "", "## Survivors", "",
        *survivors, "",
    ])  # fmt: skip


def _table(head: str, tallies: Mapping[str, Tally]) -> list[str]:
    lines = [f"| {head} | caught | missed | equivalent | rate |", "|---|---:|---:|---:|---:|"]
    for name, tally in tallies.items():
        counts = f"{tally.caught.total()} | {len(tally.missed)} | {tally.equivalent}"
        lines.append(f"| {name} | {counts} | {tally.rate:.1%} |")
    return lines


if __name__ == "__main__":
    main()
