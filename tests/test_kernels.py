"""The kernels that come along: found by name, formatted, without warnings, and right."""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import tiledsl
from tiledsl.check import Module, library
from tiledsl.cli.library import Topic, kernels_page, topics
from tiledsl.driver import check_file, load_checked
from tiledsl.runtime.kernel import Module as Kernels
from tiledsl.syntax.formatter import format_source
from tiledsl.syntax.parser import read_source
from tiledsl.testing import runner

CATALOGUE = Path(__file__).parent.parent.parent / "shared" / "kernels" / "catalogue.csv"
DOCS = Path(__file__).parent.parent / "docs"
TOPICS = {topic.name: topic for topic in topics()}
WITH_KERNELS = [topic.name for topic in TOPICS.values() if topic.kernels]
# The first step of an op leaves what only its second step can tell: its op has the test.
STEPS = {"decode_split", "emit_nonzero", "rms_rows"}
TARGETS = ("ascend910b1", "ascend910b4", "cuda.sm80", "cuda.sm90")


@cache
def loaded(topic: str) -> tuple[Module, Kernels]:
    return load_checked(library()[topic])


@pytest.mark.parametrize("name", TOPICS)
def test_files_are_formatted_and_without_warnings(name: str) -> None:
    source = read_source(library()[name])
    assert format_source(source) == source.text
    assert check_file(library()[name]) == []


@pytest.mark.parametrize("name", TOPICS)
def test_all_is_documented(name: str) -> None:
    topic: Topic = TOPICS[name]
    assert topic.doc
    for entry in (*topic.kernels, *topic.functions):
        assert entry.doc, entry.name
        assert len(entry.summary) <= 90, entry.name


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_every_kernel_has_a_test(name: str) -> None:
    module, kernels = loaded(name)
    assert {k for k in kernels if k not in module.tests} <= STEPS
    tested: dict[str, set[tuple[str, object]]] = {}
    for plan in runner.tests_of(module):
        found = tested.setdefault(plan.name, set())
        found.update(value for case in plan.cases for value in case.values)
    for kernel in (kernels[k] for k in kernels if k in module.tests):
        for name, choices in kernel.generics.items():
            wanted = {(name, choice) for choice in choices}
            assert len(choices) == 1 or wanted <= tested[kernel.name], kernel.name


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_tests_pass_in_the_simulator(name: str) -> None:
    assert failures(name, "sim") == []


@pytest.mark.parametrize("device", ["ascend-host", "cuda-host"])
@pytest.mark.parametrize("name", WITH_KERNELS)
def test_tests_pass_on_the_host_models(
    name: str, device: str, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--slow"):
        pytest.skip("slow: compiles every kernel for every element type; `pytest --slow` runs it")
    assert failures(name, device) == []


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_schedules_fit_for_every_element_type(name: str) -> None:
    module, kernels = loaded(name)
    for kernel in kernels.values():
        if kernel.name not in module.schedules:
            continue
        (generic, choices), *rest = kernel.generics.items()
        assert not rest
        for choice in choices:
            for target in TARGETS:
                assert kernel.build(target, types={generic: choice})


def test_the_operators_of_the_catalogue_are_there() -> None:
    if not CATALOGUE.exists():
        pytest.skip("the catalogue is not beside this repository")
    with CATALOGUE.open(encoding="utf-8") as file:
        wanted = {row["kernel"] for row in csv.DictReader(file)}
    assert wanted <= {entry.name for topic in TOPICS.values() for entry in topic.kernels}


def test_names_are_unique() -> None:
    names = [entry.name for topic in TOPICS.values() for entry in topic.kernels]
    assert len(names) == len(set(names))


def test_the_page_is_fresh() -> None:
    seen = (DOCS / "kernels.md").read_text(encoding="utf-8")
    assert seen == kernels_page(), "run `tiledsl list --markdown > docs/kernels.md`"


def test_loaded_by_name() -> None:
    kernels = tiledsl.load("std:softmax")
    x = np.array([[0.0, np.log(3.0)]], np.float32)
    np.testing.assert_allclose(kernels["softmax_rows"](x), [[0.25, 0.75]], rtol=1e-6)
    with pytest.raises(tiledsl.ArgumentError, match=r"no `sotfmax`; did you mean `softmax`\?"):
        tiledsl.load("std:sotfmax")


def test_imported_by_name(tmp_path: Path) -> None:
    path = tmp_path / "own.tile"
    path.write_text(
        "from std.norm import rms_norm\n"
        "from std.gemm import matmul\n\n"
        "op norm_matmul[T in (f16, f32)](x: T[M, K], g: T[K], w: T[K, N]) -> (y: T[M, N]):\n"
        "    temp h: T[M, K]\n"
        "    rms_norm(x, g, 1e-6, 0.0) -> (h)\n"
        "    matmul(h, w) -> (y)\n"
    )
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((3, 8)), rng.standard_normal((8, 5))
    args = [a.astype(np.float32) for a in (x, np.ones(8), w)]
    got = tiledsl.load(path)["norm_matmul"](*args)
    wanted = x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-6) @ w
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def failures(name: str, device: str) -> list[str]:
    """Return what the cases of a topic that fail on a device say."""
    module, kernels = loaded(name)
    found: list[str] = []
    for plan in runner.tests_of(module):
        for case in plan.cases:
            outcome = runner.run_case(
                module, kernels[plan.name], plan, case, runner.Options(device)
            )
            if outcome.failure:
                found.append(f"{plan.name} {case}: {outcome.failure[:300]}")
    return found
