"""From an NPU program to the words of its Ascend C files."""

from collections.abc import Iterable
from dataclasses import dataclass

from tiledsl import scalar as sc
from tiledsl.backends.ascend.names import Names
from tiledsl.backends.ascend.scalars import (
    HELD,
    STORED,
    Scalars,
    Unspeakable,
    host_known,
    host_parts,
    literal,
    product,
    rounded,
)  # fmt: skip
from tiledsl.backends.ascend.steps import Line, Steps, every_step, natural_names, plain
from tiledsl.diagnostics import CompileError
from tiledsl.npu import program as npu
from tiledsl.npu.errors import NotOnTarget
from tiledsl.npu.program import Core, Memory
from tiledsl.scalar import Scalar, Tensor
from tiledsl.types import DType

WORKSPACE_ALIGNMENT = 512

# __NPU_ARCH__ of the 910B and of the 310P.
_ARCH, _UNIFIED_ARCH = 2201, 2002
# Scratch of leaf operations on a unified core: above what programs use, below what Select takes.
SPARE_BYTES, SPARE_END = 4096, 253952

_POSITIONS = {
    Memory.UB: "VECCALC", Memory.L1: "A1", Memory.L0A: "A2", Memory.L0B: "B2", Memory.L0C: "CO1",
}  # fmt: skip
_CORES = {Core.CUBE: "CubeCore", Core.VECTOR: "VectorCore", Core.UNIFIED: "UnifiedCore"}


@dataclass(frozen=True, slots=True)
class Field:
    """A number that the host passes: a member of the tiling structure and a variable.

    ``host_type`` is that of the parameter of the C interface; ``rounded`` what becomes of it where
    the kernel's type is narrower.
    """

    name: str
    member_type: str
    type: str
    host_type: str
    value: str = ""
    rounded: str = ""


@dataclass(frozen=True, slots=True)
class TensorWords:
    """An array in global memory; of a table also its elements."""

    name: str
    address: str
    type: str
    elements: str
    note: str
    values: tuple[str, ...] = ()
    uncached: bool = False


@dataclass(frozen=True, slots=True)
class WorkspaceWords:
    """A workspace: where the part of a block begins, and how much it is."""

    name: str
    type: str
    offset: int
    elements: int
    note: str


@dataclass(frozen=True, slots=True)
class AreaWords:
    """A buffer on chip."""

    name: str
    memory: str
    offset: int
    slot_bytes: int
    note: str


@dataclass(frozen=True, slots=True)
class MemoryWords:
    """An on-chip memory and how much of it the core takes."""

    name: str
    position: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Variable:
    """A constant at the top of a core."""

    type: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class CoreWords:
    """One kind of core: what it needs, then its steps."""

    name: str
    note: str
    condition: str
    variables: tuple[Variable, ...]
    tensors: tuple[TensorWords, ...]
    workspaces: tuple[WorkspaceWords, ...]
    memories: tuple[MemoryWords, ...]
    spare: str
    areas: tuple[AreaWords, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class KernelWords:
    """All words of the files of one kernel."""

    name: str
    function: str
    guard: str
    struct: str
    chip: str
    doc: tuple[str, ...]
    kernel_type: str
    unified: bool
    arch: int
    global_type: str
    tensors: tuple[TensorWords, ...]
    arguments: tuple[TensorWords, ...]
    tables: tuple[TensorWords, ...]
    fields: tuple[Field, ...]
    dims: tuple[Field, ...]
    known: tuple[Field, ...]
    derived: tuple[Field, ...]
    programs: str
    block_bytes: int
    core_count: str
    most_blocks: int
    cores: tuple[CoreWords, ...]
    mixed: bool


def view(program: npu.Program) -> KernelWords:
    """Return the words of ``program``; a `CompileError` where a scalar has none."""
    try:
        return _View(program).words()
    except Unspeakable as why:
        raise CompileError([NotOnTarget(program.span, program.chip, str(why))]) from None


class _View:
    def __init__(self, program: npu.Program) -> None:
        self.program = program
        self.names = Names()
        self.names.of("local", "block")  # so the template calls it
        for name in program.dims:
            self.names.of("dim", name)
        for name, _ in program.scalars:
            self.names.of("param", name)
        for tensor in program.tensors:
            self.names.of("tensor", tensor.name)
        self.derived = _derived(program)
        self.offsets = _workspace_offsets(program)

    def words(self) -> KernelWords:
        program = self.program
        tensors = tuple(self.tensor(t) for t in program.tensors)
        dims = tuple(
            Field(self.names.of("dim", n), "int64_t", "int32_t", "int64_t") for n in program.dims
        )
        scalars = tuple(self.scalar(n, t) for n, t in program.scalars)
        host = Scalars(self.names, frozenset(), {}, host=True)
        derived = tuple(
            Field(self.names.of("derived", name), "float", "float", "float", host.text(part))
            for part, name in self.derived.items()
        )
        known = host_known(program.programs)
        kinds = {core.core for core in program.cores}
        name = self.names.of("kernel", program.name)
        return KernelWords(
            name=program.name,
            function=name,
            guard=f"TILEDSL_{program.name.upper()}_TILING_H",
            struct="".join(part.capitalize() for part in program.name.split("_")) + "Tiling",
            chip=program.chip,
            doc=tuple(plain(line) for line in program.doc.splitlines()),
            kernel_type=_kernel_type(kinds),
            unified=Core.UNIFIED in kinds,
            arch=_UNIFIED_ARCH if Core.UNIFIED in kinds else _ARCH,
            global_type="tdsl::Bounded" if Core.UNIFIED in kinds else "GlobalTensor",
            tensors=tensors,
            arguments=tuple(t for t in tensors if not t.values),
            tables=tuple(t for t in tensors if t.values),
            fields=(*dims, *scalars, *derived),
            dims=dims,
            known=(*dims, *scalars),
            derived=derived,
            programs=host.wide(program.programs) if known else "",
            block_bytes=_up(sum(_area_bytes(w) for w in program.workspaces), WORKSPACE_ALIGNMENT),
            core_count="GetCoreNumAiv" if kinds == {Core.VECTOR} else "GetCoreNumAic",
            most_blocks=program.most_blocks,
            cores=tuple(self.core(core) for core in program.cores),
            mixed=program.mixed,
        )

    def scalar(self, name: str, dtype: DType) -> Field:
        if dtype.is_float:
            word = self.names.of("param", name)
            narrow = "" if dtype.size >= 4 else rounded(word, dtype)
            return Field(word, "float", "float", "float", rounded=narrow)
        return Field(self.names.of("param", name), "int64_t", HELD[dtype], HELD[dtype])

    def tensor(self, tensor: Tensor) -> TensorWords:
        name = self.names.of("tensor", tensor.name)
        shape = ", ".join(sc.show(size) for size in tensor.shape)
        values = tuple(literal(v, tensor.dtype) for v in tensor.values)
        elements = Scalars(self.names, frozenset(), {}).wide(product(tensor.shape))
        note = plain(f"{tensor.role} {tensor.dtype}[{shape}]")
        address = self.names.of("address", f"{tensor.name}_address")
        unified = any(core.core is Core.UNIFIED for core in self.program.cores)
        uncached = tensor.name in self.program.uncached and not unified
        kind = STORED[tensor.dtype]
        return TensorWords(name, address, kind, elements, note, values, uncached)

    def core(self, core: npu.CoreProgram) -> CoreWords:
        scalars = Scalars(self.names, natural_names(core.body), self.derived)
        unified = core.core is Core.UNIFIED
        steps = Steps(scalars, core.body, unified=unified)
        used = [t for t in self.program.tensors if t in scalars.read]
        for tensor in used:  # their sizes use dims
            scalars.wide(product(tensor.shape))
        workspaces = [w for w in self.program.workspaces if w.name in steps.workspaces]
        words = {t.name: self.tensor(t) for t in used}
        return CoreWords(
            name=_CORES[core.core],
            note=f"What a {core.core.value} core does.",
            condition=self.condition(core.core),
            variables=tuple(self.variables(core.core, scalars, bool(workspaces))),
            tensors=tuple(words.values()),
            workspaces=tuple(self.workspace(w) for w in workspaces),
            memories=_memories(steps.buffers.values(), SPARE_END if unified else 0),
            spare=str(SPARE_END - SPARE_BYTES) if unified else "",
            areas=tuple(self.area(b) for b in core.buffers if b.name in steps.buffers),
            lines=steps.lines,
        )

    def condition(self, core: Core) -> str:
        if not self.program.mixed:
            return ""
        return "ASCEND_IS_AIC" if core is Core.CUBE else "ASCEND_IS_AIV"

    def variables(self, core: Core, scalars: Scalars, block: bool) -> Iterable[Variable]:
        """Yield the constants that the steps use: arguments, then the place in the launch."""
        for name in self.program.dims:
            if ("dim", name) in scalars.used:
                word = self.names.of("dim", name)
                yield Variable("int32_t", word, f"int32_t(args->{word})")
        for name, dtype in self.program.scalars:
            if ("param", name) in scalars.used:
                word = self.names.of("param", name)
                held = "float" if dtype.is_float else HELD[dtype]
                value = f"args->{word} != 0" if dtype is DType.BOOL else f"{held}(args->{word})"
                yield Variable(held, word, value)
        for name in self.derived.values():
            if ("derived", name) in scalars.used:
                word = self.names.of("derived", name)
                yield Variable("float", word, f"args->{word}")
        paired = self.program.mixed and core is Core.VECTOR
        index = "int32_t(GetBlockIdx()) / 2" if paired else "int32_t(GetBlockIdx())"
        places = (
            ("block", index), ("blocks", "int32_t(GetBlockNum())"),
            ("sub", "int32_t(GetSubBlockIdx())"),
        )  # fmt: skip
        for name, value in places:
            if ("local", name) in scalars.used or (name == "block" and block):
                yield Variable("int32_t", self.names.of("local", name), value)

    def workspace(self, workspace: npu.Workspace) -> WorkspaceWords:
        return WorkspaceWords(
            self.names.of("workspace", workspace.name),
            STORED[workspace.dtype],
            self.offsets[workspace.name],
            workspace.elements * workspace.slots,
            f"{workspace.slots} slots of {workspace.elements} {workspace.dtype}",
        )

    def area(self, buffer: npu.Buffer) -> AreaWords:
        size = f"{buffer.size} bytes"
        slots = f"{buffer.slots} x {size}" if buffer.slots > 1 else size
        note = f"{slots}, {plain(buffer.note)}" if buffer.note else slots
        memory = buffer.memory.value.lower()
        name = self.names.of("buffer", buffer.name)
        return AreaWords(name, memory, buffer.offset, buffer.size, note)


def _kernel_type(kinds: set[Core]) -> str:
    if len(kinds) > 1:
        return "KERNEL_TYPE_MIX_AIC_1_2"
    return {
        Core.CUBE: "KERNEL_TYPE_AIC_ONLY", Core.VECTOR: "KERNEL_TYPE_AIV_ONLY",
        Core.UNIFIED: "KERNEL_TYPE_AICORE",
    }[next(iter(kinds))]  # fmt: skip


def _derived(program: npu.Program) -> dict[Scalar, str]:
    """Name the parts of scalars that only the host can compute."""
    found: dict[Scalar, str] = {}
    for core in program.cores:
        for step in every_step(core.body):
            for scalar in _scalars(step):
                for part in host_parts(scalar):
                    if host_known(part):
                        found.setdefault(part, f"derived_{len(found)}")
    return found


def _scalars(thing: object) -> Iterable[Scalar]:
    """Yield the scalars of a step, whatever its kind; not those of the steps inside it."""
    match thing:
        case (
            sc.Literal() | sc.Dim() | sc.ParamValue() | sc.TileSize() | sc.Position() | sc.Start()
            | sc.End() | sc.Local() | sc.Element() | sc.Apply()
        ):  # fmt: skip
            yield thing
        case npu.For(lo=lo, hi=hi, step=step):
            yield from (lo, hi, step)
        case npu.If(condition=condition):
            yield condition
        case npu.Instruction() | npu.Ref() | npu.View() | npu.Global():
            for name in type(thing).__dataclass_fields__:
                yield from _scalars(getattr(thing, name))
        case tuple():
            for part in thing:
                yield from _scalars(part)


def _workspace_offsets(program: npu.Program) -> dict[str, int]:
    """Return where each workspace begins in the part of a block."""
    offsets: dict[str, int] = {}
    total = 0
    for workspace in program.workspaces:
        offsets[workspace.name] = total
        total += _area_bytes(workspace)
    return offsets


def _area_bytes(workspace: npu.Workspace) -> int:
    return _up(workspace.elements * workspace.slots * workspace.dtype.size, WORKSPACE_ALIGNMENT)


def _memories(buffers: Iterable[npu.Buffer], unified_buffer: int) -> tuple[MemoryWords, ...]:
    """Return how far each memory is taken; the UB at least as far as said."""
    ends: dict[Memory, int] = {Memory.UB: unified_buffer} if unified_buffer else {}
    for buffer in buffers:
        end = buffer.offset + buffer.size * buffer.slots
        ends[buffer.memory] = max(ends.get(buffer.memory, 0), end)
    return tuple(
        MemoryWords(memory.value.lower(), _POSITIONS[memory], _up(ends[memory], 32))
        for memory in Memory
        if memory in ends
    )


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
