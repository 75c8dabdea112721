"""Kernels and an oracle for the tests of the GPU side."""
