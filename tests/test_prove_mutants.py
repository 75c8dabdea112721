"""Kernels whose every access is proven; shift one index by one, and the prover says so."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tiledsl import ir
from tiledsl import scalar as sc
from tiledsl.check import elaborate, load_text
from tiledsl.check.prove import prove, uncovered

KERNELS = {
    "gemm": """
kernel gemm(a: f16[M, K], b: f16[K, N], bias: f16[N]) -> (c: f16[M, N]):
    grid m in M by BM, n in N by BN
    var acc: f32[m, n] = 0
    for k in K by BK:
        acc += a[m, k] @ b[k, n]
    c[m, n] = acc + bias[n]
""",
    "softmax": """
kernel softmax(x: f32[*R, N]) -> (y: f32[*R, N]):
    where N <= 8192
    grid r in R by BR
    span n in N
    e = exp(x[r, n] - max(x[r, n] over n))
    y[r, n] = e / sum(e over n)
""",
    "grouped_queries": """
kernel grouped_queries(q: f16[B, H, S, D], k: f16[B, G, L, D]) -> (o: f32[B, H, S]):
    where H % G == 0, S <= L, D <= 256
    grid b in B, h in H, i in S by BS
    span d in D
    g = h // (H // G)
    var top: f32[i] = -inf
    for j in L[.. end(i) + L - S] by BL:
        s = where(j <= i + (L - S), q[b, h, i, d] @ k[b, g, j, d], -inf)
        top = max(top, max(s over j))
    o[b, h, i] = top
""",
    "halves": """
kernel halves(x: f32[S, D], w: f32[D // 2]) -> (y: f32[D // 2, S]):
    where D % 2 == 0, D <= 512
    grid s in S by BS
    span d in D // 2
    y[d, s] = x[s, d * 2] + x[s, d * 2 + 1] * w[d]
""",
    "windows": """
kernel windows(x: f32[C, L], w: f32[O, C, R], stride: i32) -> (y: f32[O, P]):
    where P == (L - R) // stride + 1, stride >= 1
    grid o in O by BO, p in P by BP
    var acc: f32[o, p] = 0
    for r in R:
        for c in C by BC:
            acc += w[o, c, r] @ x[c, p * stride + r]
    y[o, p] = acc
""",
    "concat": """
kernel concat(a: f32[M, A], b: f32[M, B]) -> (y: f32[M, A + B]):
    grid m in M by BM
    for i in A by BN:
        y[m, i] = a[m, i]
    for j in B by BN:
        y[m, A + j] = b[m, j]
""",
    "blocks": """
kernel blocks(x: f32[M, K // 16, 16], s: f32[M, K // 16]) -> (y: f32[M, K]):
    where K % 16 == 0
    grid m in M by BM, g in K // 16 by BG
    span e in 16
    y[m, g * 16 + e] = x[m, g, e] * s[m, g]
""",
    "parts": """
kernel parts(x: f32[M, N], P: i32) -> (part: f32[P, N]):
    where N <= 4096, P >= 1
    grid p in P
    span n in N
    each = ceil_div(M, P)
    var acc: f32[n] = 0
    for m in M[p * each .. (p + 1) * each] by BM:
        acc += sum(x[m, n] over m)
    part[p, n] = acc
""",
    "segments": """
kernel segments(x: f32[N, D], offsets: i32[G + 1]) -> (y: f32[G, D]):
    grid g in G, d in D by BD
    var acc: f32[d] = 0
    for t in N[offsets[g] .. offsets[g + 1]] by BT:
        acc += sum(x[t, d] over t)
    y[g, d] = acc
""",
    "clamped": """
kernel clamped(x: f32[N], ids: i32[T]) -> (y: f32[T]):
    where N >= 1
    grid t in T by BT
    y[t] = x[clamp(ids[t], 0, N - 1)]
""",
    "bits": """
kernel bits(mask: u8[ceil_div(N, 8)], low: f32[16], code: u8[N]) -> (y: f32[N]):
    grid i in N by BN
    bit = mask[i // 8] >> i % 8 & 1
    y[i] = where(bit == 1, low[code[i] & 15], 0)
""",
}


def loaded(name: str) -> ir.Kernel:
    kernel, found = elaborate(load_text(KERNELS[name]), name)
    assert not [d for d in found if d.severity == "error"]
    assert isinstance(kernel, ir.Kernel)
    return kernel


def accesses(kernel: ir.Kernel) -> list[ir.Load | ir.Store]:
    return [s for s in ir.statements(kernel.body) if isinstance(s, ir.Load | ir.Store)]


def mutants(kernel: ir.Kernel) -> Iterator[tuple[str, ir.Kernel]]:
    for access in accesses(kernel):
        for dim, index in enumerate(access.index):
            for shift in (1, -1):
                places = list(access.index)
                places[dim] = replace(index, offset=sc.add(index.offset, shift))
                body = exchanged(kernel.body, access, replace(access, index=tuple(places)))
                name = f"{access.span.text} dim {dim} {shift:+}"
                yield name, replace(kernel, body=body)


def exchanged(body: tuple[ir.Stmt, ...], old: ir.Stmt, new: ir.Stmt) -> tuple[ir.Stmt, ...]:
    result: list[ir.Stmt] = []
    for statement in body:
        if statement is old:
            result.append(new)
        elif isinstance(statement, ir.For):
            result.append(replace(statement, body=exchanged(statement.body, old, new)))
        else:
            result.append(statement)
    return tuple(result)


@pytest.mark.parametrize("name", KERNELS)
def test_every_access_is_proven(name: str) -> None:
    kernel, found = prove(loaded(name))
    assert found == []
    assert not any(any(s.guards) for s in accesses(kernel))
    assert uncovered(kernel) == ()


# Reads of a neighbour that is there: `x[2 d + 1]` one to the left, `x[2 d]` one to the right.
INSIDE = {"halves": {"x[s, d * 2] dim 1 +1", "x[s, d * 2 + 1] dim 1 -1"}}


@pytest.mark.parametrize("name", KERNELS)
def test_every_shifted_index_is_noticed(name: str) -> None:
    kernel = loaded(name)
    seen = 0
    for mutant, shifted in mutants(kernel):
        _, found = prove(shifted)
        noticed = any(d.severity == "error" for d in found)
        assert noticed != (mutant in INSIDE.get(name, set())), mutant
        seen += 1
    assert seen == 2 * sum(len(s.index) for s in accesses(kernel))
