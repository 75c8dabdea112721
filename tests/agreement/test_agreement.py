"""Random kernels give equal results on the simulator and on both host models."""

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings

from tests.agreement.agree import COUNTS, agree
from tests.agreement.kernels import KINDS
from tests.agreement.writer import Sample

# The share of each class of kernels in a run.
SHARES = {
    "elementwise": 0.2, "loops": 0.2, "products": 0.2, "chains": 0.12,
    "slices": 0.1, "windows": 0.07, "updates": 0.05, "thin": 0.06,
}  # fmt: skip
QUICK, SLOW = 300, 2000
MOST_LIMITED = 0.2  # launches that meet a known limit of a target


@pytest.mark.parametrize("kind", KINDS)
def test_devices_agree(kind: str, request: pytest.FixtureRequest) -> None:
    slow = bool(request.config.getoption("--slow"))
    count = round(SHARES[kind] * (SLOW if slow else QUICK))

    @settings(
        max_examples=count,
        derandomize=not slow,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(KINDS[kind])
    def every(sample: Sample) -> None:
        note(f"{sample.text}{sample.launches} tiles {sample.tiles} seed {sample.seed}")
        agree(sample)

    every()


def test_few_launches_meet_a_limit() -> None:
    ran = sum(n for what, n in COUNTS.ran.items() if what.startswith("launches"))
    assert sum(COUNTS.limits.values()) <= MOST_LIMITED * max(1, ran), COUNTS
