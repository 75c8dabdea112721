"""The NPU program: cores, queues, buffers at addresses, instructions, flags.

Ascend C and the simulator's NumPy are two renderings of this one program. A core issues its
instructions in order; each goes to one queue; a queue works in order, and queues wait for each
other only through flags. Every instruction here is a leaf operation: it may take several machine
instructions (repeats are split at 255, long rows into chunks), all on the one queue.

Conventions that hold for every instruction:

- counts, rows and lengths are run-time scalars and may be 0: then it does nothing (a reduction
  over 0 columns writes the identity).
- strides and offsets count elements of the `Ref`'s dtype; a UB row starts at a multiple of 32 B.
- operands overlap exactly or not at all.
- a mask is a flat bit string: bit ``i`` of the bytes, lowest first, belongs to element ``i``.
"""

from dataclasses import dataclass, field
from typing import Literal as Lit

from tiledsl.npu.places import Buffer as Buffer
from tiledsl.npu.places import Core as Core
from tiledsl.npu.places import Global as Global
from tiledsl.npu.places import Memory as Memory
from tiledsl.npu.places import Queue as Queue
from tiledsl.npu.places import Ref as Ref
from tiledsl.npu.places import View as View
from tiledsl.npu.places import Workspace as Workspace
from tiledsl.npu.waiting import Barrier as Barrier
from tiledsl.npu.waiting import CrossSet as CrossSet
from tiledsl.npu.waiting import CrossWait as CrossWait
from tiledsl.npu.waiting import Instruction as Instruction
from tiledsl.npu.waiting import SetFlag as SetFlag
from tiledsl.npu.waiting import WaitFlag as WaitFlag
from tiledsl.scalar import ZERO, Scalar, Tensor
from tiledsl.source import NOWHERE, Span
from tiledsl.types import DType

# Of a field that is printed only where it is not its default.
RARE = {"rare": True}

# ---- instructions -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CopyIn(Instruction):
    """MTE2, global memory to UB. For each index of ``shape`` copy ``length`` elements in a row.

    From ``src.offset + sum(index * src_strides)`` to ``dst.offset + sum(index * dst_strides)``;
    ``shape`` may be empty (one row). The bytes from the row's end to the next multiple of 32 are
    filled with ``pad``; so are ``left`` elements, fewer than 32 bytes, before which the row goes:
    the offset is theirs. Ascend C: ``DataCopyPad``.
    """

    dst: Ref
    src: Global
    shape: tuple[Scalar, ...]
    src_strides: tuple[Scalar, ...]
    dst_strides: tuple[Scalar, ...]
    length: Scalar
    pad: Scalar = ZERO
    left: Scalar = field(default=ZERO, metadata=RARE)


@dataclass(frozen=True, slots=True)
class CopyOut(Instruction):
    """MTE3, UB to global memory; shapes as for `CopyIn`. ``atomic``: ``"" add max min``."""

    dst: Global
    src: Ref
    shape: tuple[Scalar, ...]
    dst_strides: tuple[Scalar, ...]
    src_strides: tuple[Scalar, ...]
    length: Scalar
    atomic: Lit["", "add", "max", "min"] = ""


@dataclass(frozen=True, slots=True)
class Fill(Instruction):
    """V: ``dst[i] = value`` for ``i < count``. Ascend C: ``Duplicate``."""

    dst: Ref
    value: Scalar
    count: Scalar


@dataclass(frozen=True, slots=True)
class Iota(Instruction):
    """V: ``dst[i] = first + i`` for ``i < count``; i32 or f32. Ascend C: ``CreateVecIndex``."""

    dst: Ref
    first: Scalar
    count: Scalar


@dataclass(frozen=True, slots=True)
class Unary(Instruction):
    """V: ``dst[i] = op(src[i])``, flat.

    exp ln sqrt abs (f16, f32), not (u16: all bits), relu, and
    floor ceil rint trunc (f32 to f32: ``Cast`` with a rounding mode).
    """

    op: str
    dst: Ref
    src: Ref
    count: Scalar


@dataclass(frozen=True, slots=True)
class Binary(Instruction):
    """V: ``dst(r, c) = op(a(r, c), b(r, c))`` over ``rows`` x ``cols``; ``dst`` is full.

    add sub mul max min (f16 f32 i16 i32), div (f16 f32), and or (u16: all bits; full views only).
    Flat work has ``rows`` = 1. The dtype of the refs tells the type.
    """

    op: str
    dst: View
    a: View
    b: View
    rows: Scalar
    cols: Scalar


@dataclass(frozen=True, slots=True)
class WithScalar(Instruction):
    """V: ``dst[i] = op(src[i], scalar)``: add mul max min (``Adds`` …), shl shr (i32 u32, i16)."""

    op: str
    dst: Ref
    src: Ref
    scalar: Scalar
    count: Scalar


@dataclass(frozen=True, slots=True)
class Convert(Instruction):
    """V: ``dst[i] = src[i]`` in the type of ``dst``.

    ``mode`` is the rounding of Ascend C's Cast: ``none rint floor ceil trunc``. Integers saturate.
    """

    dst: Ref
    src: Ref
    mode: Lit["none", "rint", "floor", "ceil", "trunc"]
    count: Scalar


@dataclass(frozen=True, slots=True)
class Compare(Instruction):
    """V: mask bit ``i`` = ``a[i] op b[i]``: eq ne lt le gt ge of f16, f32; i32 only eq.

    ``mask`` is a u8 ref. Whole groups of 256 B of ``a`` are compared: up to 255 B after the last
    element are read (they belong to the buffers) and their bits written.
    """

    op: Lit["eq", "ne", "lt", "le", "gt", "ge"]
    mask: Ref
    a: Ref
    b: Ref | Scalar
    count: Scalar


@dataclass(frozen=True, slots=True)
class Select(Instruction):
    """V: ``dst[i] = a[i] if mask bit i else b[i]``.

    f16 or f32; other types of the same width are referred to as these: bits move as they are.
    ``b`` may be a scalar.
    """

    dst: Ref
    mask: Ref
    a: Ref
    b: Ref | Scalar
    count: Scalar


@dataclass(frozen=True, slots=True)
class Spread(Instruction):
    """V: 32-byte block ``i`` of ``dst`` = ``src[i]`` throughout. Ascend C: ``Brcb``.

    Works in groups of 8: reads and writes up to the next multiple of 8 of ``count``.
    """

    dst: Ref
    src: Ref
    count: Scalar


@dataclass(frozen=True, slots=True)
class Expand(Instruction):
    """V: ``dst(r, c) = src(r, c)`` with ``src`` of kind row, col or one; 16- or 32-bit elements."""

    dst: View
    src: View
    rows: Scalar
    cols: Scalar


@dataclass(frozen=True, slots=True)
class RowReduce(Instruction):
    """V: ``dst[r] = op(src(r, c) over c < cols)`` for ``r < rows``: sum max min of f32 (f16).

    ``src`` is full and is left as it is; ``scratch`` has room for 256 B a row and for
    ``cols / 32 + 256`` elements more. ``identity`` is the result where ``cols`` is 0. With
    ``blocks`` (f32 only) eight rows or more are folded block by block: then ``scratch`` has room
    for 32 B a row more, and ``dst`` no other use of its elements up to the next multiple of 32 B.
    """

    op: Lit["sum", "max", "min"]
    dst: Ref
    src: View
    scratch: Ref
    rows: Scalar
    cols: Scalar
    identity: Scalar
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class ColReduce(Instruction):
    """V: ``dst[c] = op(src(r, c) over r < rows)`` for ``c < cols``; add mul max min; f16 f32 i32.

    The order is row after row. ``dst`` has no other use of its elements up to the next multiple of
    32 B. ``identity`` is the result where ``rows`` is 0.
    """

    op: Lit["add", "mul", "max", "min"]
    dst: Ref
    src: View
    rows: Scalar
    cols: Scalar
    identity: Scalar


@dataclass(frozen=True, slots=True)
class Transpose(Instruction):
    """V: ``dst(c, r) = src(r, c)``; 16- or 32-bit elements; both views full.

    Works in blocks of 16 x 16: reads ``src`` and writes ``dst`` up to multiples of 16 in both
    directions; strides are multiples of 16. Ascend C: ``TransDataTo5HD``.
    """

    dst: View
    src: View
    rows: Scalar
    cols: Scalar


@dataclass(frozen=True, slots=True)
class Gather(Instruction):
    """V: ``dst[i] = src`` element at byte ``offsets[i]`` (u32), flat; 16- or 32-bit elements."""

    dst: Ref
    src: Ref
    offsets: Ref
    count: Scalar


@dataclass(frozen=True, slots=True)
class ReadScalar(Instruction):
    """S: the variable ``name`` becomes element 0 of ``src``."""

    name: str
    src: Ref


@dataclass(frozen=True, slots=True)
class WriteScalar(Instruction):
    """S: element 0 of ``dst`` becomes ``value``."""

    dst: Ref
    value: Scalar


@dataclass(frozen=True, slots=True)
class LoadNz(Instruction):
    """MTE2, global memory to L1, row-major to NZ. Ascend C: ``DataCopy`` with ``Nd2NzParams``.

    ``rows`` x ``cols`` with ``src_stride`` elements from row to row become blocks of C0 columns
    (C0 = 32 B of elements): element (r, c) at ``(c // C0) * dst_rows * C0 + r * C0 + c % C0``.
    Columns are filled with 0 up to a multiple of C0; rows from ``rows`` to ``dst_rows`` are not
    written.
    """

    dst: Ref
    src: Global
    rows: Scalar
    cols: Scalar
    src_stride: Scalar
    dst_rows: Scalar


@dataclass(frozen=True, slots=True)
class LoadWindow(Instruction):
    """MTE2, global memory to L1: like `LoadNz`, rows of pixels that do not follow each other.

    For each index of ``shape`` a matrix of ``rows`` x ``cols`` from ``src.offset + sum(index *
    src_strides)``, whose row ``r`` becomes row ``skip + sum(index * dst_strides) + r``. With
    ``clear`` all ``dst_rows`` rows are zeros before. Not on a unified core. Ascend C:
    ``InitConstValue``, then ``DataCopy`` with ``Nd2NzParams`` for each.
    """

    dst: Ref
    src: Global
    shape: tuple[Scalar, ...]
    src_strides: tuple[Scalar, ...]
    dst_strides: tuple[Scalar, ...]
    rows: Scalar
    cols: Scalar
    src_stride: Scalar
    dst_rows: Scalar
    skip: Scalar
    clear: Scalar


@dataclass(frozen=True, slots=True)
class LoadA(Instruction):
    """MTE1, L1 (NZ) to L0A (Zz): the left matrix, ``m`` x ``k`` rounded up to whole fractals.

    ``src`` points at the first fractal; ``src_rows`` is the `LoadNz.dst_rows` of the L1 tile. With
    ``transposed`` the L1 tile holds ``k`` x ``m``. Fractal (i, j) of L0A, 16 rows x C0 columns,
    row-major inside, is at ``(i * ceil(k / C0) + j) * 16 * C0``.
    """

    dst: Ref
    src: Ref
    m: Scalar
    k: Scalar
    src_rows: Scalar
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class LoadB(Instruction):
    """MTE1, L1 (NZ) to L0B (Zn): the right matrix, ``k`` x ``n`` rounded up to whole fractals.

    Without ``transposed`` the L1 tile holds ``k`` x ``n``; with it, ``n`` x ``k``. Fractal (i, j)
    of L0B, C0 rows of k x 16 columns of n, stored n-major (16 x C0), is at
    ``(i * ceil(n / 16) + j) * 16 * C0``.

    `LoadA` and `LoadB` with ``k`` = 0 write zeros: ``round_up(m or n, 16) * C0`` elements from
    ``dst`` on, one fractal of depth (Ascend C: ``InitConstValue``), for the `Mmad` that follows.
    """

    dst: Ref
    src: Ref
    k: Scalar
    n: Scalar
    src_rows: Scalar
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Mmad(Instruction):
    """M: ``dst (+)= a @ b`` into L0C (Nz of f32 or i32: 16 x 16 fractals, column by column).

    Element (r, c) at ``(c // 16) * round_up(m, 16) * 16 + r * 16 + c % 16``. ``first`` (bool)
    overwrites ``dst``. Only ``k`` products are summed, whatever the fractals hold beyond. With
    ``k`` = 0 and ``first`` it writes zeros (the product of what `LoadA` and `LoadB` left); with
    ``k`` = 0 else nothing.
    """

    dst: Ref
    a: Ref
    b: Ref
    m: Scalar
    n: Scalar
    k: Scalar
    first: Scalar


# What the type of an accumulator may become on its way out of L0C, without a scale.
LEAVING = {DType.F32: (DType.F32, DType.F16, DType.BF16), DType.I32: (DType.I32,)}


@dataclass(frozen=True, slots=True)
class Fixpipe(Instruction):
    """FIXP, L0C to global memory, NZ to row-major, with ``dst_stride`` elements from row to row.

    ``m`` x ``n`` elements of the tile that `Mmad` wrote with the same ``m``; rounded to
    ``dtype`` on the way (nearest even), which is one of `LEAVING` for the type of ``src``.
    """

    dst: Global
    src: Ref
    m: Scalar
    n: Scalar
    dst_stride: Scalar
    dtype: DType


@dataclass(frozen=True, slots=True)
class Drain(Instruction):
    """V, on a unified core: L0C (Nz) to UB, row-major, the tile that `Mmad` wrote.

    ``dst`` is full, of the same type; ``scratch`` has room for whole fractals of the tile. Ascend
    C: ``DataCopy`` from CO1, then rows of 16 within UB. Columns up to a multiple of 16 are written.
    """

    dst: View
    src: Ref
    scratch: Ref
    m: Scalar
    n: Scalar


@dataclass(frozen=True, slots=True)
class Feed(Instruction):
    """MTE3, on a unified core: UB, row-major, to L1, NZ, as `LoadNz` leaves it.

    Whole groups of C0 columns are copied: what stands behind ``cols`` in a row goes along.
    """

    dst: Ref
    src: View
    rows: Scalar
    cols: Scalar
    dst_rows: Scalar


# ---- control, on the scalar unit ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Let(Instruction):
    """Define the variable ``name`` for the rest of the block; its type is the scalar's."""

    name: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class Assign(Instruction):
    """Change the variable ``name``, defined by a `Let` further out: a counter."""

    name: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class For(Instruction):
    """``for (name = lo; name < hi; name += step)``; ``note`` is the loop in ``.tile`` words.

    ``apart``: each turn writes elements of its own, and reads what no other turn writes.
    """

    name: str
    lo: Scalar
    hi: Scalar
    step: Scalar
    body: tuple["Step", ...]
    note: str = ""
    apart: bool = False


@dataclass(frozen=True, slots=True)
class If(Instruction):
    """``condition`` is a bool scalar; ``then`` of a ``rare`` one may always be done, at a cost."""

    condition: Scalar
    then: tuple["Step", ...]
    orelse: tuple["Step", ...] = ()
    rare: bool = False


@dataclass(frozen=True, slots=True)
class Print(Instruction):
    """Print a line: ``text`` with its ``{}`` filled in."""

    text: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Assert(Instruction):
    """End the launch with ``text`` where ``condition``, a bool scalar, does not hold."""

    condition: Scalar
    text: str


@dataclass(frozen=True, slots=True)
class Comment(Instruction):
    """A line for people."""

    text: str


Step = (
    CopyIn | CopyOut | Fill | Iota | Unary | Binary | WithScalar | Convert | Compare | Select
    | Spread | Expand | RowReduce | ColReduce | Transpose | Gather | ReadScalar | WriteScalar
    | LoadNz | LoadWindow | LoadA | LoadB | Mmad | Fixpipe | Drain | Feed | SetFlag | WaitFlag
    | Barrier | CrossSet | CrossWait | Let | Assign | For | If | Print | Assert | Comment
)  # fmt: skip


# ---- programs -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CoreProgram:
    """What one kind of core runs.

    Its body may use the `Local` names ``block`` (number of the block, from 0), ``blocks`` (how
    many there are) and, on a vector core of a mixed kernel, ``sub`` (0 or 1). The persistent loop
    ``for (program = block; program < programs; program += blocks)`` is a `For` named ``program``
    somewhere in it; what stands before and after it (flags raised once) runs once a core.
    """

    core: Core
    buffers: tuple[Buffer, ...]
    body: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A kernel for one chip family.

    ``tensors`` (tables last), ``scalars`` and ``dims`` are its arguments, in the order of the C
    interface. ``programs`` is the number of grid programs as a scalar of dims, parameters and
    elements of input tensors. With both a cube and a vector core program it is a mixed kernel: a
    block is one cube core with two vector cores; else a block is one core. ``uniform`` are scalars
    over ``program`` and the arguments (written with `Local`s that the persistent loop's
    body defines at its top) such that programs with equal values take equal sizes and trip counts:
    the simulator runs them together. It is ``None`` where data decides. ``most_blocks`` limits the
    blocks of a launch, if not 0; L2 does not keep what is read or written of ``uncached`` tensors.
    """

    name: str
    chip: str
    tensors: tuple[Tensor, ...]
    scalars: tuple[tuple[str, DType], ...]
    dims: tuple[str, ...]
    programs: Scalar
    cores: tuple[CoreProgram, ...]
    workspaces: tuple[Workspace, ...] = ()
    uniform: tuple[str, ...] | None = ()
    most_blocks: int = 0
    uncached: tuple[str, ...] = ()
    doc: str = ""
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    @property
    def mixed(self) -> bool:
        """Whether cube and vector cores work together."""
        return len(self.cores) > 1


def queue_of(step: Step) -> Queue | None:
    """Return the queue that executes ``step``; `None` for control and flags."""
    match step:
        case CopyIn() | LoadNz() | LoadWindow():
            return Queue.MTE2
        case CopyOut() | Feed():
            return Queue.MTE3
        case LoadA() | LoadB():
            return Queue.MTE1
        case Mmad():
            return Queue.M
        case Fixpipe():
            return Queue.FIXP
        case ReadScalar() | WriteScalar():
            return Queue.S
        case (
            SetFlag() | WaitFlag() | Barrier() | CrossSet() | CrossWait() | Let() | Assign() | For()
            | If() | Print() | Assert() | Comment()
        ):  # fmt: skip
            return None
        case _:
            return Queue.V


def operands(step: Step) -> tuple[tuple[Ref, ...], tuple[Ref, ...]]:
    """Return the on-chip operands that ``step`` writes, and those that it reads."""
    match step:
        case (
            CopyIn(dst=dst) | LoadNz(dst=dst) | LoadWindow(dst=dst) | Fill(dst=dst) | Iota(dst=dst)
            | WriteScalar(dst=dst)
        ):
            return (dst,), ()
        case CopyOut(src=src) | Fixpipe(src=src) | ReadScalar(src=src):
            return (), (src,)
        case (
            Unary(dst=dst, src=src) | WithScalar(dst=dst, src=src) | Convert(dst=dst, src=src)
            | Spread(dst=dst, src=src) | LoadA(dst=dst, src=src) | LoadB(dst=dst, src=src)
        ):  # fmt: skip
            return (dst,), (src,)
        case Binary(dst=out, a=a, b=b):
            return (out.ref,), (a.ref, b.ref)
        case Expand(dst=out, src=view) | Transpose(dst=out, src=view):
            return (out.ref,), (view.ref,)
        case Compare(mask=mask, a=a, b=b):
            return (mask,), (a, b) if isinstance(b, Ref) else (a,)
        case Select(dst=dst, mask=mask, a=a, b=b):
            return (dst,), (mask, a, b) if isinstance(b, Ref) else (mask, a)
        case Drain(dst=out, src=src, scratch=scratch):
            return (out.ref, scratch), (src,)
        case Feed(dst=dst, src=view):
            return (dst,), (view.ref,)
        case RowReduce(dst=dst, src=view, scratch=scratch):
            return (dst, scratch), (view.ref,)
        case ColReduce(dst=dst, src=view):
            return (dst,), (view.ref,)
        case Gather(dst=dst, src=src, offsets=offsets):
            return (dst,), (src, offsets)
        case Mmad(dst=dst, a=a, b=b):
            return (dst,), (a, b, dst)
        case _:
            return (), ()
