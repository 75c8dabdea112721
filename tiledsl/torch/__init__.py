"""Kernels as operators of PyTorch: `torch.ops.tiledsl.NAME`, with gradients."""

try:
    import torch as _torch  # noqa: F401  whether it is there
except ImportError as _missing:
    raise ImportError("tiledsl.torch needs PyTorch: pip install 'tiledsl[torch]'") from _missing

from tiledsl.torch.operator import register

__all__ = ["register"]
