"""How good the tile sizes are that nobody sets: `python benchmarks/tiles.py [NAME...]`.

Each kernel of the library at sizes of today's models: the cycles of what a build takes (its
schedule's sizes, else the compiler's rules), of the rules alone, and of the best that a search
finds. All cycles are the model's. `-o FILE` writes the table as Markdown, `--jobs` asks in several
processes, `--limit` is the number of plans for a kernel.
"""

import argparse
import datetime
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tiledsl.check import library  # noqa: E402
from tiledsl.cli.run import choose  # noqa: E402
from tiledsl.cli.settings import parse  # noqa: E402
from tiledsl.tuning import Choice, Search, Subject, search  # noqa: E402
from tiledsl.tuning.searching import Tried  # noqa: E402

CHIP = "ascend910b3"
LIMIT = 60
FAR = 1.1  # a plan that takes so much longer than the best is listed under the table

# Parameters that are not named are those of the kernel's first test.
SHAPES = """
elementwise:vector_add T=f32 N=4194304
elementwise:sigmoid_composed T=f16 N=4194304
elementwise:leaky_relu T=f16 N=4194304
elementwise:gelu T=f16 N=4194304
elementwise:swiglu T=f16 N=4194304
elementwise:hardswish T=f16 N=4194304
layout:outer_add T=f32 M=2048 N=2048
layout:transpose2d T=f16 M=2048 N=2048
layout:nchw_to_nhwc T=f16 N=8 C=256 S=3136
layout:pad2d T=f32 C=64 H=224 W=224 top=1 bottom=1 left=1 right=1
layout:split_axis T=f16 A=8 B=512 N=2048 n=1024
layout:concat_last T=f16 M=4096 A=1024 B=1024
reduce:row_sum T=f32 R=4096 N=4096
reduce:col_max T=f32 M=4096 N=4096
reduce:logsumexp T=f16 R=2048 N=32000
reduce:l2norm T=f16 R=4096 N=1024
reduce:mean_middle T=f16 B=32 M=197 N=768
softmax:softmax_rows T=f16 R=8192 N=1024
softmax:log_softmax_rows T=f16 R=8192 N=1024
softmax:softmax_long T=f16 R=1024 N=32000
softmax:softmax_bwd T=f16 R=8192 N=1024
norm:layer_norm T=f16 M=4096 N=1024
norm:add_layer_norm T=f16 M=4096 N=4096
norm:rms_norm T=f16 M=4096 N=4096
norm:batch_norm_infer T=f16 B=32 C=256 S=3136
norm:dyt T=f16 M=4096 N=1024
norm:group_norm T=f16 B=8 G=32 E=10 S=4096
norm:rms_norm_bwd T=f16 M=4096 N=1024
gemm:matmul T=f16 M=4096 N=4096 K=4096
gemm:matmul_nt T=f16 M=2048 N=4096 K=4096
gemm:batched_matmul T=f16 B=16 M=512 N=512 K=512
gemm:gemv T=f16 M=4096 K=4096
gemm:gemm_splitk T=f16 splits=8 M=256 N=256 K=8192
gemm:diag_matmul T=f16 M=4096 N=1024
gemm:matmul_bias_relu T=f16 M=2048 N=2048 K=2048
gemm:matmul_swish_scale T=f16 M=2048 N=2048 K=2048
gemm:mlp_swiglu T=f16 M=4096 D=256 H=1024
gemm:rmsnorm_qkv T=bf16 M=1024 D=2048 N=2048
attention:scalar_flash_attention N=4096
attention:flash_attention T=f16 B=1 H=16 S=2048 L=2048 D=128
attention:flash_attention_causal T=f16 B=1 H=16 S=2048 D=128
attention:gqa_causal T=f16 B=1 H=32 G=8 S=1024 L=1024 D=128
attention:sliding_window_attention T=f16 B=1 H=16 S=2048 D=128 window=512
cache:rope T=f16 B=1 S=2048 H=32 D=128
cache:kv_cache_append T=f16 B=32 H=8 S=2048 D=128
cache:reshape_and_cache T=f16 N=1024 H=8 D=128 C=128 P=16
cache:flash_decoding T=f16 B=4 H=32 L=4096 D=128 splits=4
cache:paged_decode T=f16 B=2 H=4 G=2 C=64 P=16 L=4 D=128
quant:quantize_int8 T=f16 N=4194304
quant:dequantize_rowwise T=f16 M=4096 N=4096
quant:int8_matmul_scaled T=f16 M=2048 N=2048 K=2048
quant:cast_f32_bf16 N=4194304
quant:amp_unscale T=f32 N=4194304
quant:mxfp4_matmul T=f16 M=64 N=64 K=128
conv:conv1d T=f16 N=1 C=64 O=128 L=512 R=3 stride=1 pad=1
conv:conv2d_nhwc T=f16 N=2 H=56 W=56 C=64 O=64 R=3 S=3 pad=1
conv:conv_bn_relu T=f16 N=1 C=64 O=64 H=56 W=56
conv:maxpool2d T=f16 N=2 C=64 H=112 W=112 k=3 stride=2 pad=1
conv:avgpool2d T=f16 C=512 H=56 W=56 k=2
conv:sepia_forward T=f32 B=4 S=50176
conv:sepia_backward T=f32 B=4 S=50176
conv:image_normalize T=f16 H=512 W=512
scan:cumsum_rows T=f16 R=1024 N=4096
scan:masked_cumsum T=f16 R=1024 N=4096
scan:linear_attention_causal T=f16 B=2 G=16 N=2048 D=64 E=64
scan:decay_attention T=f16 B=32 N=1024 D=64 E=64
scan:mamba2_chunk_state T=f16 Z=1 NC=8 CS=256 H=24 G=1 P=64 N=128
scan:lstm_cell T=f16 B=64 I=512 H=512
gather:embedding T=f16 V=32000 D=4096 N=2048
gather:index_select_cols T=f32 M=1024 N=4096 K=256
gather:scatter_add_rows T=f32 V=4096 D=512 N=2048
gather:topk T=f32 R=512 N=1024 k=4
gather:box_iou N=1024 M=1024
loss:cross_entropy T=f32 M=2048 N=32000
loss:kl_div T=f16 M=2048 N=4096
loss:mse_loss T=f16 N=4194304
loss:huber_loss N=4194304
loss:mul_relu_bwd T=f16 M=4096 N=1024
loss:gelu_bwd T=f16 N=4194304
ragged:grouped_gemm T=f16 G=8 M=2048 N=1024 K=1024
ragged:moe_gate_topk T=f16 k=3 renorm=true R=4096 N=64
ragged:moe_unpermute T=f16 R=4096 D=1024 N=2048 K=2
ragged:jagged_mean T=f16 G=64 N=4096 D=512
ragged:segment_sum n=64 N=4096 D=512
optimizer:dropout_mask T=f16 N=4194304
optimizer:sgd_momentum T=f32 N=4194304
optimizer:adamw N=4194304
optimizer:axpy_inplace T=f32 N=4194304
sparse:block_sparse_gemm T=f16 M=1024 N=1024 K=1024 GM=8 GN=8 GK=8
sparse:csr_spmv M=1024 N=1024 Z=16384
sparse:dense_to_coo M=64 N=256
sparse:prune_2_4 T=f16 M=1024 N=1024
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One kernel: what a build takes, what the rules say without its schedule, the best found."""

    line: str
    built: Tried
    rules: Tried
    best: Tried
    plans: int

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.line.split()[0].split(":")[1]

    @property
    def sizes(self) -> str:
        """The element type and dims."""
        return " ".join(self.line.split()[1:])

    def ratio(self, tried: Tried) -> float:
        """Return how many times the best's cycles a plan takes."""
        return tried.cycles / self.best.cycles


def main(arguments: Sequence[str]) -> int:
    """Print a line a kernel, and the geometric means; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=int, default=LIMIT)
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    for line in filter(None, SHAPES.strip().split("\n")):
        name = line.split()[0].split(":")[1]
        if given.names and name not in given.names:
            continue
        row = measured(line, given.jobs, given.limit)
        rows.append(row)
        print(text(row), flush=True)
        if given.output:
            given.output.write_text(page(rows, given.limit), encoding="utf-8")
    for word, mean in means(rows):
        print(f"geometric mean, {word}: {mean:.3f}")
    return 0


def measured(line: str, jobs: int, limit: int) -> Row:
    """Return what one line asks for."""
    place, *values = line.split()
    topic, name = place.split(":")
    found = choose(f"{library()[topic]}:{name}", parse(values), ())
    subject = Subject(str(library()[topic]), name, found.case.values, CHIP)
    built, rules = Choice(), Choice(bare=True)
    result: Search = search(subject, starts=(built, rules), limit=limit, jobs=jobs)
    of = {tried.choice: tried for tried in result.tried}
    return Row(line, of[built], of[rules], result.best, len(result.tried))


def text(row: Row) -> str:
    """Return a row for a terminal."""
    return (
        f"{row.name:26} {row.built.cycles:11,.0f} {row.ratio(row.built):6.2f} "
        f"{row.ratio(row.rules):6.2f}  {tiles(row.built)} | {tiles(row.rules)} | {tiles(row.best)}"
    )


def tiles(tried: Tried) -> str:
    """Return the sizes of a plan."""
    return " ".join(f"{name}={size}" for name, size in sorted(tried.answer.tiles.items()))


def means(rows: Sequence[Row]) -> list[tuple[str, float]]:
    """Return the geometric means of both ratios."""
    built = [log(row.ratio(row.built)) for row in rows]
    rules = [log(row.ratio(row.rules)) for row in rows]
    count = max(len(rows), 1)
    return [("as built", exp(sum(built) / count)), ("rules alone", exp(sum(rules) / count))]


def page(rows: Sequence[Row], limit: int) -> str:
    """Return the table as Markdown."""
    today = datetime.datetime.now(datetime.UTC).date()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [
        "# Tile sizes",
        "",
        f"`python benchmarks/tiles.py`, {today}, on {machine}; the model's cycles on {CHIP}, the",
        f"best of at most {limit} plans. *Built*: what a plain build takes, by the kernel's",
        "schedule where it has one; *rules*: without the schedule. Both as multiples of the best.",
        "",
        "| kernel | sizes | best, cycles | built | rules | built with | best with |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.sizes} | {row.best.cycles:,.0f} | {row.ratio(row.built):.2f} "
            f"| {row.ratio(row.rules):.2f} | {tiles(row.built)} | {tiles(row.best)} |"
        )
    lines += ["", *(f"- Geometric mean, {word}: {mean:.3f}" for word, mean in means(rows))]
    far = [f"{row.name} ({row.ratio(row.built):.2f})" for row in rows if row.ratio(row.built) > FAR]
    lines += [f"- More than {FAR} times the best: {', '.join(far) or 'none'}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
