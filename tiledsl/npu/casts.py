"""Casts as the vector unit can do them: hops between element types, with the rounding of each.

The hops that exist are those of the Ascend C documentation of ``Cast`` for ``__NPU_ARCH__`` 2201.
"""

from typing import Literal as Lit

from tiledsl.types import DType

Mode = Lit["none", "rint", "floor", "ceil", "trunc"]
F16, BF16, F32, I8, U8, I16, I32, I64 = (
    DType.F16, DType.BF16, DType.F32, DType.I8, DType.U8, DType.I16, DType.I32, DType.I64,
)  # fmt: skip

# Type in which the vector unit computes on a type that is stored.
COMPUTED_IN = {
    F16: F16, F32: F32, BF16: F32, I32: I32, I16: I32, I8: I32, U8: I32, DType.U16: I32,
}  # fmt: skip


def hops(source: DType, target: DType) -> tuple[tuple[DType, Mode], ...] | None:
    """Return the casts, in order, that take ``source`` to ``target`` as the language says.

    Float to integer truncates (the caller has clamped what does not saturate by itself); `None`
    where there is no way.
    """
    if source is target:
        return ()
    return _HOPS.get((source, target))


_HOPS: dict[tuple[DType, DType], tuple[tuple[DType, Mode], ...]] = {
    (F16, F32): ((F32, "none"),),
    (BF16, F32): ((F32, "none"),),
    (F32, F16): ((F16, "rint"),),
    (F32, BF16): ((BF16, "rint"),),
    (F16, BF16): ((F32, "none"), (BF16, "rint")),
    (BF16, F16): ((F32, "none"), (F16, "rint")),
    (F32, I32): ((I32, "trunc"),),
    (F16, I32): ((I32, "trunc"),),
    (BF16, I32): ((F32, "none"), (I32, "trunc")),
    (I32, F32): ((F32, "rint"),),
    (I32, F16): ((F32, "rint"), (F16, "rint")),
    (I32, BF16): ((F32, "rint"), (BF16, "rint")),
    (F32, I16): ((I16, "trunc"),),
    (I16, F32): ((F32, "none"),),
    (I16, F16): ((F32, "none"), (F16, "rint")),
    (I16, I32): ((F32, "none"), (I32, "trunc")),
    (I32, I16): ((I16, "none"),),
    (I8, F16): ((F16, "none"),),
    (U8, F16): ((F16, "none"),),
    (I8, F32): ((F16, "none"), (F32, "none")),
    (U8, F32): ((F16, "none"), (F32, "none")),
    (I8, I32): ((F16, "none"), (I32, "trunc")),
    (U8, I32): ((F16, "none"), (I32, "trunc")),
    # Whole numbers up to 2048 are exact in f16; the caller has clamped to the target's limits.
    (F32, I8): ((F16, "rint"), (I8, "trunc")),
    (F32, U8): ((F16, "rint"), (U8, "trunc")),
    (F16, I8): ((I8, "trunc"),),
    (F16, U8): ((U8, "trunc"),),
    (I32, I8): ((F32, "rint"), (F16, "rint"), (I8, "trunc")),
    (I32, U8): ((F32, "rint"), (F16, "rint"), (U8, "trunc")),
}  # fmt: skip
