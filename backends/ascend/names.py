"""Identifiers: every name of a program as C++ can have it, and no two alike."""

import re

_KEYWORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t
class compl concept const consteval constexpr constinit const_cast continue co_await co_return
co_yield decltype default delete do double dynamic_cast else enum explicit export extern false
final float for friend goto if import inline int long module mutable namespace new noexcept not
not_eq nullptr operator or or_eq override private protected public register reinterpret_cast
requires return short signed sizeof static static_assert static_cast struct switch template this
thread_local throw true try typedef typeid typename typeof union unsigned using virtual void
volatile wchar_t while xor xor_eq
"""

# Names of the emitted text itself, of Ascend C, and of C libraries.
_TAKEN = """
tdsl AscendC tiling workspace args pipe spare ub l1 l0a l0b l0c stream main half bfloat16_t size_t
errno GM_ADDR At Full Row Col One Area Axis View TPipe TBuf TPosition LocalTensor GlobalTensor
HardEvent SetFlag WaitFlag PipeBarrier CrossCoreSetFlag CrossCoreWaitFlag GetBlockIdx GetBlockNum
GetSubBlockIdx RoundMode CMPMODE SELMODE CubeCore VectorCore UnifiedCore Bind NULL INFINITY NAN
assert stdin stdout stderr unix linux int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t
uint64_t abs acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh div erf erfc exp
exp2 expm1 fabs fdim floor fma fmax fmin fmod free frexp gamma hypot index j0 j1 jn ldexp lgamma
log log10 log1p log2 logb lrint lround malloc memcpy memset modf nan nearbyint pow printf rand
read remainder remove rename rint round scalb select signal sin sinh sqrt tan tanh tgamma time
trunc write y0 y1 yn
"""
_RESERVED = frozenset((_KEYWORDS + _TAKEN).split())

# Names of the host's text, where arguments of the kernel stand beside them.
_ARGUMENTS = ("dim", "param", "derived", "address")
_HOST = frozenset(
    [
        "blocks",
        "bytes",
        "call",
        "copy",
        "cores",
        "error",
        "error_size",
        "from",
        "next",
        "programs",
        "seed",
        "tensors",
        "tiling_address",
        "to",
    ]
)


def identifier(name: str) -> str:
    """Return ``name`` as an identifier that is neither a keyword nor taken."""
    clean = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "_", name)).lstrip("_")
    if not clean or clean[0].isdigit():
        clean = f"v{clean}"
    # All capitals may be a macro of the toolkit; PIPE_V is one of its enumerators.
    taken = clean in _RESERVED or clean.startswith(("PIPE_", "KERNEL_", "ASCEND", "ACL"))
    return f"{clean}_" if taken else clean


class Names:
    """Gives each thing of a program its identifier, the same one each time."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._used: set[str] = set()

    def of(self, kind: str, name: str) -> str:
        """Return the identifier of the ``kind`` of thing that the program calls ``name``."""
        key = (kind, name)
        if key not in self._given:
            base = identifier(name)
            if kind in _ARGUMENTS and base in _HOST:
                base = f"{base}_"
            found, number = base, 2
            while found in self._used:
                found, number = f"{base}_{number}", number + 1
            self._used.add(found)
            self._given[key] = found
        return self._given[key]
