"""Random kernels give equal results on the simulator and on both host models."""

from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from tests.agreement.agree import COUNTS, agree
from tests.agreement.dice import Dice
from tests.agreement.kernels import KINDS

# The share of each class of kernels in a run.
SHARES = {
    "elementwise": 0.18, "loops": 0.15, "products": 0.15, "chains": 0.1, "lookups": 0.06,
    "slices": 0.1, "windows": 0.06, "updates": 0.04, "thin": 0.05, "orders": 0.05,
    "programs": 0.08, "batches": 0.05,
}  # fmt: skip
QUICK, SLOW = 200, 2000
MOST_LIMITED = 0.2  # launches that meet a known limit of a target


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blind", [False, True], ids=["small", "wide"])
def test_devices_agree(kind: str, blind: bool, request: pytest.FixtureRequest) -> None:
    """Half of the kernels are drawn so that Hypothesis can shrink them, half are more varied."""
    slow = bool(request.config.getoption("--slow"))
    count = max(5, round(SHARES[kind] * (SLOW if slow else QUICK) / 2))

    @settings(
        max_examples=count,
        derandomize=not slow,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=blind))
    def every(random: Random) -> None:
        sample = KINDS[kind](Dice(random))
        note(f"{sample.text}{sample.launches} tiles {sample.tiles} seed {sample.seed}")
        agree(sample)

    every()


def test_few_launches_meet_a_limit() -> None:
    ran = sum(n for what, n in COUNTS.ran.items() if what.startswith("launches"))
    assert sum(COUNTS.limits.values()) <= MOST_LIMITED * max(1, ran), COUNTS
