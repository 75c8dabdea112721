"""Kernels that are called on NumPy arrays."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tiledsl.diagnostics import CompileError, Diagnostic
from tiledsl.ir import Binding, OpGraph, Tensor
from tiledsl.ir import Kernel as KernelIR
from tiledsl.ops.registry import Array
from tiledsl.passes.cut import names_of
from tiledsl.passes.debugging import drop_debugging
from tiledsl.runtime.binding import Header, arguments, first_binding, specialise, written
from tiledsl.runtime.devices import Compiled, Parted, Run, run_on, target_of
from tiledsl.runtime.errors import ArgumentError, ScheduleWarning
from tiledsl.runtime.evaluate import Number, evaluate
from tiledsl.runtime.fallback import NUMPY, refused, run_in_numpy
from tiledsl.runtime.launch import Launch, allocate, prepare
from tiledsl.syntax import tree
from tiledsl.types import DType

# Returns the files of a kernel that a target cannot do, for the reason given.
Fallback = Callable[[KernelIR, Diagnostic], dict[str, str]]


class Compiler(Protocol):
    """What a kernel is compiled with: the driver's functions, for one module."""

    def instantiate(self, name: str, binding: Binding) -> KernelIR | OpGraph:
        """Return the kernel or op ``name`` for one binding."""

    def part(self, kernel: KernelIR, target: str) -> Parted:
        """Return ``kernel`` as its schedule has it launched on ``target``: whole, or in parts."""

    def compile(self, kernel: KernelIR, target: str, tiles: Mapping[str, int]) -> Compiled:
        """Return the program of ``kernel`` for ``target``; ``tiles`` come before any schedule."""

    def emit(self, compiled: Compiled) -> dict[str, str]:
        """Return the files of a compiled kernel."""


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter or an output as its author wrote it."""

    name: str
    type: str
    kind: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What a run has given; cycles, microseconds and bytes are the simulator's, else `None`.

    ``outputs`` has the outputs and the arrays that were updated in place.
    """

    outputs: dict[str, Array]
    runs: tuple[Run, ...] = field(repr=False)

    @property
    def cycles(self) -> int | None:
        """The cycles of all steps, one after the other."""
        counts = [run.cycles for run in self.runs if run.cycles is not None]
        return sum(counts) if counts and len(counts) == len(self.runs) else None

    @property
    def microseconds(self) -> float | None:
        """The time of all steps, one after the other."""
        times = [run.microseconds for run in self.runs if run.microseconds is not None]
        return sum(times) if times and len(times) == len(self.runs) else None

    @property
    def moved(self) -> int | None:
        """The bytes that all steps copy from and to global memory."""
        counts = [run.moved for run in self.runs if run.moved is not None]
        return sum(counts) if counts and len(counts) == len(self.runs) else None

    @property
    def launches(self) -> int:
        """The number of steps: one, those of an op, or the parts of a kernel that is cut."""
        return len(self.runs)

    def report(self) -> str:
        """Return what the device tells of the run, step by step."""
        return "\n".join(run.report for run in self.runs)


# Binding, name, target, tile sizes, and whether prints are in.
_Key = tuple[Binding, str, str, tuple[tuple[str, int], ...], bool]


class Kernel:
    """A kernel or an op of a module."""

    def __init__(self, header: Header, compiler: Compiler) -> None:
        self.header = header
        self._compiler = compiler
        self._instances: dict[Binding, KernelIR | OpGraph] = {}
        self._parted: dict[_Key, KernelIR | OpGraph] = {}
        self._compiled: dict[_Key, Compiled] = {}
        self._told: set[_Key] = set()
        self._files: dict[int, dict[str, str]] = {}

    @property
    def name(self) -> str:
        """Its name."""
        return self.header.name.id

    @property
    def doc(self) -> str:
        """The comment above it."""
        return self.header.doc

    @property
    def generics(self) -> dict[str, tuple[str, ...]]:
        """The names of its element types, each with its choices."""
        return {g.name.id: tuple(c.id for c in g.choices) for g in self.header.generics}

    @property
    def params(self) -> tuple[Param, ...]:
        """Its parameters, in order."""
        return tuple(map(_param, self.header.params))

    @property
    def outputs(self) -> tuple[Param, ...]:
        """Its outputs, in order."""
        return tuple(map(_param, self.header.outputs))

    @property
    def source(self) -> str:
        """Its text."""
        return self.header.span.text

    def __repr__(self) -> str:
        return f"<tiledsl kernel {self.name} of {self.header.span.source.name}>"

    def __call__(self, *args: object, **named: object) -> Array | tuple[Array, ...]:
        """Run in the simulator and return the output, or a tuple where there are several.

        A kernel without outputs returns what it updated in place.
        """
        outputs = self._run(arguments(self.header, args, named)).outputs
        wanted = [p.name.id for p in self.header.outputs]
        arrays = tuple(outputs[name] for name in wanted or outputs)
        return arrays[0] if len(arrays) == 1 else arrays

    def run(
        self,
        args: Mapping[str, object] | Sequence[object],
        *,
        device: str = "sim",
        chip: str | None = None,
        types: Mapping[str, str | DType] | None = None,
        dims: Mapping[str, int] | None = None,
        tiles: Mapping[str, int] | None = None,
        hazards: bool = False,
        fallback: str = "",
        debug: bool | None = None,
    ) -> Result:
        """Run on ``device``: ``sim``, ``ascend-host``, ``cuda-host``, ``cuda``, or ``numpy``.

        ``chip`` is the target, where it is not the device's usual one. ``types`` and ``dims`` name
        what the arguments do not show. ``tiles`` sets tile sizes; ``{"*": 16}`` sets them all, as
        far as they fit. With ``hazards`` the simulator also looks for missing flags and the like.
        With ``fallback="numpy"`` a kernel that the target cannot do runs in NumPy, which the
        result's report says. With ``debug`` the kernel's ``print`` and ``assert`` work, which are
        left out elsewhere; in the simulator they work unless ``debug`` is false.
        """
        given = (
            arguments(self.header, (), args)
            if isinstance(args, Mapping)
            else arguments(self.header, args, {})
        )
        return self._run(
            given, device, chip, types, dims, tiles, hazards=hazards, fallback=fallback,
            debug=debug,
        )  # fmt: skip

    def build(
        self,
        target: str,
        *,
        types: Mapping[str, str | DType] | None = None,
        consts: Mapping[str, Number] | None = None,
        dims: Mapping[str, int] | None = None,
        tiles: Mapping[str, int] | None = None,
        fallback: Fallback | None = None,
        debug: bool = False,
    ) -> dict[str, str]:
        """Return the files for ``target`` by name.

        A generic that ``types`` does not name takes its first choice; ``dims`` are pinned. The
        files of an op, or of a kernel that its schedule cuts, are in one folder a launch.
        ``fallback`` gives the files of a kernel that the target cannot do. ``debug`` leaves
        ``print`` and ``assert`` in.
        """
        binding = first_binding(self.header, types or {}, consts or {}, dims or {})
        graph = self.instance(binding)
        _know_tiles(graph, tiles or {})
        built = [
            part
            for kernel in _kernels(graph)
            for part in self._built(kernel, target, tiles or {}, fallback, debug)
        ]
        if isinstance(graph, KernelIR) and len(built) == 1:
            return built[0][1]
        files: dict[str, str] = {}
        for number, (name, texts) in enumerate(built, 1):
            files |= {f"{number}_{name}/{n}": text for n, text in texts.items()}
        return files

    def instance(self, binding: Binding) -> KernelIR | OpGraph:
        """Return the tile IR for one binding."""
        if binding not in self._instances:
            self._instances[binding] = self._compiler.instantiate(self.name, binding)
        return self._instances[binding]

    def compiled(
        self,
        graph: KernelIR | OpGraph,
        target: str,
        tiles: Mapping[str, int],
        debug: bool = False,
    ) -> list[Compiled]:
        """Return the programs of an instance, one a launch."""
        _know_tiles(graph, tiles)
        found = []
        for kernel in _kernels(graph):
            parts = _kernels(self.parted(kernel, target, debug))
            found += [self._compile(part, target, tiles, debug) for part in parts]
            self._tell(parts, target, tiles, debug)
        return found

    def parted(self, kernel: KernelIR, target: str, debug: bool = False) -> KernelIR | OpGraph:
        """Return a kernel as its schedule has it launched: itself, or the op of its parts."""
        key = (kernel.binding, kernel.name, target, (), debug)
        if key not in self._parted:
            plain = kernel if debug else drop_debugging(kernel)
            found = self._compiler.part(plain, target)
            self._parted[key] = kernel if isinstance(found.graph, KernelIR) else found.graph
            for warning in found.warnings:
                _warn(warning)
        return self._parted[key]

    def launches(
        self,
        graph: KernelIR | OpGraph,
        launch: Launch,
        target: str,
        tiles: Mapping[str, int],
        debug: bool = False,
    ) -> Iterator[tuple[Compiled, Launch]]:
        """Yield the programs of an instance, each with its launch, in the order in which they run.

        A launch is made when the one before it has been taken, and so may have run.
        """
        programs = iter(self.compiled(graph, target, tiles, debug))
        for kernel, inner in steps(graph, launch):
            for _, own in steps(self.parted(kernel, target, debug), inner):
                yield next(programs), own

    def files(self, compiled: Compiled) -> dict[str, str]:
        """Return the files of one of its compiled programs, by name; they are kept."""
        if id(compiled) not in self._files:  # which lives as long as this kernel
            self._files[id(compiled)] = self._compiler.emit(compiled)
        return self._files[id(compiled)]

    def _run(
        self,
        given: dict[str, object],
        device: str = "sim",
        chip: str | None = None,
        types: Mapping[str, str | DType] | None = None,
        dims: Mapping[str, int] | None = None,
        tiles: Mapping[str, int] | None = None,
        *,
        hazards: bool = False,
        fallback: str = "",
        debug: bool | None = None,
    ) -> Result:
        if fallback not in ("", NUMPY):
            raise ArgumentError(f"fallback: expected {NUMPY}, got {fallback!r}")
        target = "" if device == NUMPY else target_of(device, chip)
        graph = self.instance(specialise(self.header, given, types or {}))
        launch = prepare(graph, given, dims or {}, fill=isinstance(graph, OpGraph))
        _know_tiles(graph, tiles or {})
        runs: list[Run] = []
        wanted = device in ("sim", NUMPY) if debug is None else debug
        for kernel, inner in steps(graph, launch):
            if device == NUMPY:
                inner.fill()
                runs.append(run_in_numpy(kernel if wanted else drop_debugging(kernel), inner))
                continue
            parted = self.parted(kernel, target, wanted)
            for part, own in steps(parted, inner):
                try:
                    compiled = self._compile(part, target, tiles or {}, wanted)
                except CompileError as error:
                    reason = refused(error)
                    if not fallback or reason is None:
                        raise
                    own.fill()
                    plain = part if wanted else drop_debugging(part)
                    runs.append(run_in_numpy(plain, own, reason))
                    continue
                runs.append(run_on(device, compiled, own, self._compiler.emit, hazards=hazards))
            self._tell(_kernels(parted), target, tiles or {}, wanted)
        launch.finish()
        return Result(launch.outputs, tuple(runs))

    def _built(
        self, kernel: KernelIR, target: str, tiles: Mapping[str, int], fallback: Fallback | None,
        debug: bool,
    ) -> list[tuple[str, dict[str, str]]]:  # fmt: skip
        """Return the name and the files of each launch of a kernel."""
        parts = _kernels(self.parted(kernel, target, debug))
        try:
            compiled = [self._compile(part, target, tiles, debug) for part in parts]
        except CompileError as error:
            reason = refused(error)
            if fallback is None or reason is None:
                raise
            return [(kernel.name, fallback(kernel, reason))]
        self._tell(parts, target, tiles, debug)
        return [(c.kernel.name, self._compiler.emit(c)) for c in compiled]

    def _compile(
        self, kernel: KernelIR, target: str, tiles: Mapping[str, int], debug: bool = False
    ) -> Compiled:
        key, own = _key(kernel, target, tiles, debug)
        if key not in self._compiled:
            kernel = kernel if debug else drop_debugging(kernel)
            self._compiled[key] = self._compiler.compile(kernel, target, own)
        return self._compiled[key]

    def _tell(
        self, parts: Sequence[KernelIR], target: str, tiles: Mapping[str, int], debug: bool
    ) -> None:
        """Warn, once, of directives that change nothing in any of the parts of a kernel."""
        keys = [_key(part, target, tiles, debug)[0] for part in parts]
        found = [self._compiled[key] for key in keys if key in self._compiled]
        if not found or keys[0] in self._told:
            return
        self._told.add(keys[0])
        spans = set.intersection(*({w.span for w in c.warnings} for c in found))
        for span in sorted(spans, key=lambda s: s.start):
            _warn(_nearest([(c.kernel, w) for c in found for w in c.warnings if w.span == span]))


class Module(Mapping[str, Kernel]):
    """The kernels and ops of a file, by name."""

    def __init__(self, name: str, kernels: Mapping[str, Kernel]) -> None:
        self.name = name
        self._kernels = dict(kernels)

    def __getitem__(self, name: str) -> Kernel:
        return self._kernels[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kernels)

    def __len__(self) -> int:
        return len(self._kernels)

    def __repr__(self) -> str:
        return f"<tiledsl module {self.name}: {', '.join(self._kernels)}>"


def _kernels(graph: KernelIR | OpGraph) -> list[KernelIR]:
    """Return a kernel, or those of the steps of an op."""
    return [step.kernel for step in graph.steps] if isinstance(graph, OpGraph) else [graph]


def _key(
    kernel: KernelIR, target: str, tiles: Mapping[str, int], debug: bool
) -> tuple[_Key, dict[str, int]]:
    """Return what tells a program from others, and the tile sizes that the kernel has."""
    # A part takes all sizes of its kernel, on which the choice of its own may depend.
    own = {n: size for n, size in tiles.items() if kernel.origin or n in (*kernel.tile_sizes, "*")}
    return (kernel.binding, kernel.name, target, tuple(sorted(own.items())), debug), own


def _warn(warning: Diagnostic) -> None:
    warnings.warn(warning.render().rstrip(), ScheduleWarning, stacklevel=3)


def _nearest(found: Sequence[tuple[KernelIR, Diagnostic]]) -> Diagnostic:
    """Return the warning of the part that has what the directive names."""
    for kernel, warning in found:
        words = set(warning.span.text.replace(",", " ").split())
        if words & names_of(kernel):
            return warning
    return found[0][1]


def _param(param: tree.Param) -> Param:
    return Param(param.name.id, written(param), param.kind, param.default is not None)


def _know_tiles(graph: KernelIR | OpGraph, tiles: Mapping[str, int]) -> None:
    known = {name for kernel in _kernels(graph) for name in kernel.tile_sizes}
    for name, size in tiles.items():
        if name != "*" and name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise ArgumentError(f"{graph.name}: tiles: no tile size `{name}`; there are {listed}")
        if size < 1:
            raise ArgumentError(f"{graph.name}: tiles: {name}: expected at least 1, got {size}")


def steps(graph: KernelIR | OpGraph, launch: Launch) -> Iterator[tuple[KernelIR, Launch]]:
    """Yield each kernel with its launch, in the order in which they run."""
    if isinstance(graph, KernelIR):
        yield graph, launch
        return
    launch.fill()
    for temp in graph.temps:
        launch.arrays[temp.name] = allocate(temp, launch)
    for step in graph.steps:
        given: dict[str, object] = {}
        for param, arg in zip(step.kernel.params, step.args, strict=True):
            if isinstance(arg, Tensor):
                given[param.name] = launch.arrays[arg.name]
            else:
                given[param.name] = evaluate(arg, launch.dims, launch.scalars, launch.arrays)
        outputs = zip(step.kernel.outputs, step.outputs, strict=True)
        ready = {mine.name: launch.arrays[theirs.name] for mine, theirs in outputs}
        known = {name: launch.dims[name] for name in step.dims}
        inner = prepare(step.kernel, given, known, ready)
        yield step.kernel, inner
        inner.finish()
