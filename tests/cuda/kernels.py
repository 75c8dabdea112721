"""Small kernels that use each construct in the ways that a lowering gets wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Maker = Callable[[np.random.Generator, list[int]], npt.NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """A kernel, the sizes and scalars to run it with, and inputs that are not just random."""

    text: str
    dims: list[dict[str, int]]
    scalars: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, Maker] = field(default_factory=dict)


def _sizes(**choices: tuple[int, ...]) -> list[dict[str, int]]:
    found: list[dict[str, int]] = [{}]
    for name, values in choices.items():
        found = [{**sizes, name: value} for sizes in found for value in values]
    return found


def _places(rng: np.random.Generator, shape: list[int]) -> npt.NDArray[Any]:
    return rng.integers(-2, 40, shape)


def _offsets(rng: np.random.Generator, shape: list[int]) -> npt.NDArray[Any]:
    return np.sort(rng.integers(0, 2, shape))


CASES = {
    "swapvars": Case(
        """
kernel swapvars(x: f32[M, N]) -> (y: f32[M], z: f32[M]):
    grid m in M by BM
    var a: f32[m] = 0
    var b: f32[m] = 1
    for n in N by BN:
        s = sum(x[m, n] over n)
        olda = a
        a = b + s
        b = olda * 0.5
    y[m] = a
    z[m] = b
""",
        _sizes(M=(0, 1, 7, 33), N=(0, 1, 37)),
    ),
    "snap": Case(
        """
kernel snap(x: f32[M, N]) -> (y: f32[M, N], z: f32[M, N]):
    grid m in M by BM, n in N by BN
    var a: f32[m, n] = x[m, n]
    old = exp(a)
    a = a + 1
    y[m, n] = old
    z[m, n] = a * old
""",
        _sizes(M=(0, 1, 7, 33), N=(0, 1, 37)),
    ),
    "inplace": Case(
        """
kernel inplace(inout x: f32[M, N], inout w: f32[M]) -> (y: f32[M, N]):
    grid m in M by BM
    span n in 16
    v = w[m]
    w[m] = v + 1
    u = w[m]
    for i in N by BN:
        t = x[m, i]
        x[m, i] = t * v
        y[m, i] = x[m, i] + u + t
""",
        _sizes(M=(0, 1, 7, 33), N=(0, 1, 37)),
    ),
    "cond": Case(
        """
kernel cond(x: f32[M, N], k: i32) -> (y: f32[M, N] = 2):
    grid m in M by BM
    var c: i32 = 0
    var t: f32[m] = 0
    for n in N by BN:
        p = x[m, n]
        q = exp(p)
        if c % 2 == k:
            y[m, n] = q + t
            t = t + sum(q over n)
        else:
            y[m, n] = p
            if c > 2:
                t = t * 0.5
        c += 1
""",
        _sizes(M=(0, 1, 7, 33), N=(0, 1, 37)),
        scalars={"k": 0},
    ),
    "ints": Case(
        """
kernel ints(x: i8[M, N], w: u8[N], z: i16[M]
        ) -> (y: i32[M, N], q: i8[M, N], b: bool[M, N], u: u8[M, N]):
    grid m in M by BM, n in N by BN
    s = x[m, n] * w[n] - z[m]
    y[m, n] = s
    q[m, n] = i8(s // 3)
    b[m, n] = s % 5 == 2 or not (x[m, n] > 1)
    u[m, n] = u8(f32(s) * 1.7)
""",
        _sizes(M=(0, 1, 7, 33), N=(0, 1, 37)),
    ),
    "red3": Case(
        """
kernel red3(x: f32[A, B, C]
        ) -> (p: f32[B], q: f32[A, C], s: f32[1], mx: f32[A], am: i32[A, B]):
    where A <= 9, B <= 5, C <= 40
    span a in A, b in B, c in C
    v = x[a, b, c]
    p[b] = sum(v over a, c)
    q[a, c] = min(v over b)
    s[0] = sum(v over a, b, c)
    mx[a] = max(v over c, b)
    am[a, b] = argmax(v over c)
""",
        _sizes(A=(1, 9), B=(1, 5), C=(1, 33)),
    ),
    "red0": Case(
        """
kernel red0(x: f32[A, B, C]
        ) -> (p: f32[B], q: f32[A, C], s: f32[1], mx: f32[A], pr: f32[A], al: bool[A],
        an: bool[B]):
    where A <= 9, B <= 5, C <= 40
    span a in A, b in B, c in C
    v = x[a, b, c]
    p[b] = sum(v over a, c)
    q[a, c] = min(v over b)
    s[0] = sum(v over a, b, c)
    mx[a] = max(v over c, b)
    pr[a] = prod(v over c, b)
    al[a] = all(v > 0 over c, b)
    an[b] = any(v > 0 over c, a)
""",
        _sizes(A=(0, 1, 9), B=(0, 1, 5), C=(0, 1, 33)),
    ),
    "bmm": Case(
        """
kernel bmm(a: f16[B, M, K], b: f16[B, N, K]) -> (c: f32[B, M, N]):
    where M <= 20
    grid i in B by BB, n in N by BN
    span m in M
    var acc: f32[i, m, n] = 0
    for k in K by BK:
        acc += dot(a[i, m, k], b[i, n, k] over k)
    c[i, m, n] = acc
""",
        _sizes(B=(2,), M=(1, 20), N=(1, 19), K=(0, 1, 40)),
    ),
    "twodot": Case(
        """
kernel twodot(a: f16[M, K], b: f16[K, N], d: f16[N, K]) -> (c: f32[M, N], e: f32[M] = 0):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 1
    var sc: f32[m] = 1
    for k in K by BK:
        p = a[m, k] @ b[k, n]
        r = a[m, k] @ d[n, k]
        acc = acc * 0.5 + p
        acc = acc + r * p
        sc = sc + max(p over n)
    c[m, n] = acc - 1
    atomic e[m] max= sc
""",
        _sizes(M=(1, 37), N=(1, 33), K=(0, 5, 40)),
    ),
    "tn": Case(
        """
kernel tn(a: f16[K, M], b: f16[K, N], x: f32[M, K]) -> (c: f16[M, N], g: f32[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    var h: f32[m, n] = 0
    for k in K by BK:
        acc += a[k, m] @ b[k, n]
        h += x[m, k] @ f32(b[k, n])
    c[m, n] = acc
    g[m, n] = h * 2
""",
        _sizes(M=(0, 1, 37), N=(1, 33), K=(0, 5, 70)),
    ),
    "aligned": Case(
        """
kernel aligned(a: f16[M, K], b: f16[K, N], w: bf16[N, K], x: bf16[M, K]) -> (c: f32[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[k, n] + x[m, k] @ w[n, k]
    c[m, n] = acc
""",
        _sizes(M=(8, 40), N=(8, 72), K=(8, 136)),
    ),
    "i8mm": Case(
        """
kernel i8mm(a: i8[M, K], b: i8[K, N], c: i32[M]) -> (y: i32[M, N], z: i32[N]):
    grid n in N by BN
    for m in M by BM:
        var acc: i32[m, n] = 7
        for k in K by BK:
            acc += a[m, k] @ b[k, n]
        y[m, n] = acc
    var t: i32[n] = 0
    for m in M by BM:
        t += c[m] @ i32(b[m, n else 3])
    z[n] = t
""",
        _sizes(M=(0, 1, 37), N=(1, 33), K=(0, 5, 70)),
    ),
    "scans": Case(
        """
kernel scans(x: f32[M, N], w: i32[M, N]
        ) -> (y: f32[M, N], z: i32[M, N], p: f32[M, N], q: f32[M, N]):
    where N <= 100, M <= 40
    span m in M, n in N
    y[m, n] = cumsum(x[m, n] over n)
    z[m, n] = cummax(w[m, n] over m)
    p[m, n] = cumprod(x[m, n] over n)
    q[m, n] = cummin(x[m, n] over n) + cumsum(x[m, n] over m)
""",
        _sizes(M=(0, 1, 7, 33), N=(0, 1, 37)),
    ),
    "sorts": Case(
        """
kernel sorts(x: f32[M, N], w: i32[M, N]
        ) -> (v: f32[M, N], i: i32[M, N], a: i32[M, 3], b: i32[M, 3]):
    where N >= 3, N <= 100
    grid m in M by BM
    span n in N, e in 3
    s, p = sort(x[m, n] over n)
    v[m, n] = s
    i[m, n] = p
    t, u = topk(w[m, n] over n into e)
    a[m, e] = t
    b[m, e] = u
""",
        _sizes(M=(0, 1, 9), N=(3, 40)),
    ),
    "win": Case(
        """
kernel win(x: f32[M, N]) -> (y: f32[M, N], z: f32[M, N]):
    grid m in M by BM, n in N by BN
    y[m, n] = max(x[m + r - 1, n * 2 + s - 3 else -1] over r in 3, s in 2)
    z[m, n] = sum(x[m + r - 1, n - s else 0.5] * f32(r + s) over r in 3, s in 2)
""",
        _sizes(M=(0, 1, 7, 33), N=(0, 1, 37)),
    ),
    "gath": Case(
        """
kernel gath(x: f32[M, N], idx: i32[M], jdx: i32[N]
        ) -> (y: f32[M, N], z: f32[M, N] = 1, h: f32[M] = 0):
    grid m in M by BM, n in N by BN
    y[m, n] = x[idx[m], jdx[n] else 0]
    atomic h[idx[m] else skip] += sum(x[m, n] over n)
    atomic z[idx[m], jdx[n] else skip] max= x[m, n]
""",
        _sizes(M=(0, 1, 7, 33), N=(0, 1, 37)),
        inputs={"idx": _places, "jdx": _places},
    ),
    "ragged": Case(
        """
kernel ragged(x: f32[N, D], off: i32[G + 1]) -> (y: f32[G, D] = 0, z: f32[N, D] = 0):
    grid g in G, t in N[off[g] .. off[g + 1]] by BT, d in D by BD
    disjoint z[t, d] = x[t, d] * 2
    atomic y[g, d] += sum(x[t, d] over t)
""",
        _sizes(N=(0, 1, 40), D=(1, 33), G=(0, 1, 5)),
        inputs={"off": _offsets},
    ),
    "spanin": Case(
        """
kernel spanin(x: f32[N], y0: f32[N]) -> (y: f32[N], w: f32[N], q: f32[N]):
    grid i in N by BI
    span j in i
    v: f32[i, j] = where(j <= i, x[j] * x[i], 0)
    y[i] = sum(v over j)
    w[i] = sum(where(j < i, rename(2 * x[i], i -> j), 1) over j)
    var t: f32[i] = y0[i]
    for r in 3:
        t = sum(where(j <= i, rename(t, i -> j), 0.25) over j)
    q[i] = t
""",
        _sizes(N=(0, 1, 33, 70)),
    ),
    "table": Case(
        """
const W = [[1.5, 2.0, -1.0], [0.25, 3.0, 1.0]]
kernel table(x: f32[N, 3], b: f32[2]) -> (y: f32[N, 2], z: f32[N]):
    grid n in N by BN
    span c in 2, k in 3
    y[n, c] = x[n, k] @ W[c, k] + b[c]
    z[n] = W[1, 2] * x[n, 0] + (W[0, 1] if N > 3 else b[1])
""",
        _sizes(N=(0, 1, 33, 70)),
    ),
    "dots": Case(
        """
kernel dots(x: f32[M, K], w: f32[K]) -> (y: f32[M], n: f32[1]):
    where K <= 50, M <= 50
    span m in M, k in K
    y[m] = x[m, k] @ w[k]
    n[0] = w[k] @ w[k]
""",
        _sizes(M=(0, 1, 50), K=(0, 1, 50)),
    ),
    "rnd": Case(
        """
kernel rnd(x: f32[N], seed: i32
        ) -> (y: f32[N], b: u32[N]):
    grid n in N by BN
    b[n] = bits(seed, n)
    y[n] = x[n] * f32(bits(seed, n) >> 31 == 1)
""",
        _sizes(N=(0, 1, 33)),
        scalars={"seed": 7},
    ),
    "f64k": Case(
        """
kernel f64k(x: f64[M, N]) -> (y: f64[M], z: f64[M, N]):
    grid m in M by BM
    var a: f64[m] = 0
    for n in N by BN:
        a += sum(exp(x[m, n]) over n)
        z[m, n] = x[m, n] % 1.5 // 0.3 + sigmoid(x[m, n]) ** 2
    y[m] = a
""",
        _sizes(M=(0, 1, 7, 33), N=(0, 1, 37)),
    ),
    "f8k": Case(
        """
kernel f8k(x: f8e4m3[M, K], w: f8e5m2[N, K]) -> (y: f32[M, N], q: f8e5m2[N, K]):
    where K <= 40, M <= 20
    grid n in N by BN
    span m in M, k in K
    y[m, n] = x[m, k] @ f8e4m3(w[n, k])
    q[n, k] = f8e5m2(w[n, k] * 3.7)
""",
        _sizes(M=(1, 20), N=(1, 33), K=(1, 40)),
    ),
    "loops": Case(
        """
kernel loops(x: f32[A, B, C]) -> (y: f32[A, C]):
    grid a in A
    for c in C by BC:
        var t: f32[c] = 0
        for b in B:
            var u: f32 = 0
            for r in 2:
                u += x[a, b, 0 else 1] + r
            t = t + x[a, b, c] * u
        y[a, c] = t
""",
        _sizes(A=(0, 2), B=(0, 3), C=(0, 1, 33)),
    ),
    "stateful": Case(
        """
kernel stateful(q: f16[N, D], k: f16[N, D], v: f16[N, E], g: f32[N]
        ) -> (o: f32[N, E], h: f32[D, E]):
    where D <= 24, E <= 24
    span d in D, e in E
    var st: f32[d, e] = 0
    for i in N by BN:
        w = exp(g[i] * 0.1)
        o[i, e] = (f32(q[i, d]) @ st) * w
        st = st * 0.5 + k[i, d] @ v[i, e]
    h[d, e] = st
""",
        _sizes(N=(1, 50), D=(1, 24), E=(3, 24)),
    ),
}
