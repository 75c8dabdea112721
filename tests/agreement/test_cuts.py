"""Random kernels give in parts what they give whole, wherever a schedule cuts them."""

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.agreement.agree import DEVICES, difference, expected, values
from tests.agreement.dice import Dice
from tests.agreement.kernels import KINDS
from tests.agreement.writer import Sample
from tiledsl import CompileError
from tiledsl.driver import load_checked, reschedule
from tiledsl.runtime.kernel import Kernel, Result
from tiledsl.syntax import tree
from tiledsl.syntax.walk import walk

QUICK, SLOW = 3, 60  # kernels of each kind
LAUNCHES: Counter[int] = Counter()


@pytest.mark.filterwarnings("ignore::tiledsl.runtime.errors.ScheduleWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_parts_give_what_the_whole_gives(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    slow = bool(request.config.getoption("--slow"))
    for seed in range(SLOW if slow else QUICK):
        random = Random(f"{kind} {seed}")
        sample = KINDS[kind](Dice(random))
        path = tmp_path / f"{seed}.tile"
        path.write_text(sample.text, encoding="utf-8")
        named = _names(path)
        if not named:
            continue
        names = random.sample(named, min(len(named), random.choice((1, 1, 2))))
        for device in DEVICES if slow else DEVICES[:1]:
            _agree(sample, path, names, device)


def test_many_are_cut() -> None:
    ran = sum(LAUNCHES.values())
    assert ran == 0 or LAUNCHES[1] < 0.7 * ran, LAUNCHES


def _names(path: Path) -> list[str]:
    """Return the names of values and variables; those of dead ones are among them."""
    module, _ = load_checked(path)
    found: dict[str, None] = {}
    for node in walk(module.kernels["sample"].item.body):
        match node:
            case tree.Var(name=tree.Name(id=name)):
                found[name] = None
            case tree.Bind(names=names):
                found.update(dict.fromkeys(n.id for n in names))
            case _:
                pass
    return list(found)


def _agree(sample: Sample, path: Path, names: list[str], device: str) -> None:
    _, plain = load_checked(path)
    module, cut = load_checked(path)
    reschedule(module, "sample", "; ".join(f"place {name} in gm" for name in names))
    for number, dims in enumerate(sample.launches):
        rng = np.random.default_rng([sample.seed, number])
        args: dict[str, object] = {p.name: values(p, dims, rng) for p in sample.params}
        want = expected(plain["sample"], args, dims)
        try:
            _run(plain["sample"], sample, args, dims, device)
        except CompileError:  # which `agree` judges
            return
        result = _run(cut["sample"], sample, args, dims, device)
        LAUNCHES[result.launches] += 1
        for output in sample.outputs:
            wrong = difference(output, result.outputs[output.name], want[output.name])
            assert not wrong, f"{sample.text}\n{names} {device} {dims}: {output.name}: {wrong}"


def _run(
    kernel: Kernel, sample: Sample, args: dict[str, object], dims: dict[str, int], device: str
) -> Result:
    copies = {n: a.copy() if isinstance(a, np.ndarray) else a for n, a in args.items()}
    return kernel.run(
        copies, device=device, chip=sample.chips[device], dims=dims, tiles=sample.tiles,
        hazards=device == "sim",
    )  # fmt: skip
