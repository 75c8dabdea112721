"""Names of the ``.tile`` file made names of a CUDA C++ program, each used once."""

import re

_KEYWORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
char32_t class compl concept const consteval constexpr constinit const_cast continue co_await
co_return co_yield decltype default delete do double dynamic_cast else enum explicit export extern
false float for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr
operator or or_eq private protected public register reinterpret_cast requires return short signed
sizeof static static_assert static_cast struct switch template this thread_local throw true try
typedef typeid typename typeof union unsigned using virtual void volatile wchar_t while xor xor_eq
"""

# Macros and functions that the headers of a generated file bring, and names that it uses itself.
_TAKEN = """
NULL EOF NAN INFINITY HUGE_VAL HUGE_VALF HUGE BUFSIZ RAND_MAX DOMAIN OVERFLOW UNDERFLOW SING PLOSS
TLOSS EXIT_SUCCESS EXIT_FAILURE SEEK_SET SEEK_CUR SEEK_END TMP_MAX FILENAME_MAX FOPEN_MAX CHAR_BIT
INT_MIN INT_MAX UINT_MAX LONG_MIN LONG_MAX SCHAR_MIN SCHAR_MAX SHRT_MIN SHRT_MAX MAP_SHARED
MB_CUR_MAX PROT_READ PROT_WRITE CUDART_VERSION CUDA_VERSION assert errno stdin stdout stderr signbit
isfinite isnormal isgreater isless isunordered fpclassify math_errhandling offsetof va_start va_end
va_arg va_copy major minor makedev unix linux i386 near far small IN OUT OPTIONAL
threadIdx blockIdx blockDim gridDim warpSize dim3 int2 int3 int4 uint2 uint3 uint4 float2 float3
float4 double2 half main min max abs std tdsl tiledsl cudaStream_t cudaError_t
int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t size_t ptrdiff_t intptr_t
j0 j1 jn y0 y1 yn j0f j1f jnf y0f y1f ynf gamma lgamma tgamma scalb drem significand
exp exp2 expm1 log log2 log10 log1p sqrt rsqrt tanh erf erfc sin cos tan asin acos atan sinh cosh
floor ceil rint round trunc pow fabs fmod fma fmin fmax hypot cbrt remainder ldexp frexp modf
expf exp2f expm1f logf log2f log1pf sqrtf rsqrtf tanhf erff sinf cosf floorf ceilf rintf truncf powf
fabsf fmodf fmaf fminf fmaxf index rindex time clock signal select read write open close link pipe
printf malloc free exit abort div ldiv atoi rand srand random abs labs
smem stream
"""

RESERVED = frozenset((_KEYWORDS + _TAKEN).split())


class Names:
    """Hands out names, each once; none ends in ``_``: such are left to the writer of the code."""

    def __init__(self) -> None:
        self._used: set[str] = set(RESERVED)

    def take(self, wish: str) -> str:
        """Return ``wish``, or what is nearest to it and still free."""
        name = re.sub(r"\W", "_", wish, flags=re.ASCII)
        name = re.sub(r"__+", "_", name).strip("_") or "v"
        if name[0].isdigit():
            name = f"v{name}"
        if name.startswith(("TDSL", "tiledsl", "cuda", "CUDA", "E2BIG")):
            name = f"v_{name}"
        free, number = name, 1
        while free in self._used:
            free = f"{name}_{number}"
            number += 1
        self._used.add(free)
        return free
