"""Calling kernels on arrays."""
