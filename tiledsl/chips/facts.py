"""What a schedule may ask of a target: `target.l0c` and its like, whole numbers by name."""

from functools import cache

from tiledsl import chips

# CUDA C++ Programming Guide 13.0, table "Technical Specifications per Compute Capability":
# 163 KB and 227 KB of shared memory a block.
SHARED_BYTES = {"cuda.sm80": 163 * 1024, "cuda.sm90": 227 * 1024}


@cache
def facts(target: str) -> dict[str, int]:
    """Return the numbers of ``target``: bytes that a program may use of memories, and cores."""
    if target in SHARED_BYTES:
        return {"smem": SHARED_BYTES[target]}
    chip = chips.load(target)
    memories = {name.lower(): size for name, size in chip.capacity.items()}
    cores = {"cube_cores": chip.cube_cores, "vector_cores": chip.vector_cores}
    return {**memories, "l2": chip.l2_bytes, **cores}


def targets() -> tuple[str, ...]:
    """Return all that schedules are for: the chips and the families of GPUs."""
    return (*chips.names(), *SHARED_BYTES)


@cache
def family(target: str) -> str:
    """Return what chips that take each other's tile sizes have in common."""
    return target if target in SHARED_BYTES else chips.load(target).family
