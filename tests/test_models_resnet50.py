"""The example that runs the layers of ResNet-50, on small images and on one true shape."""

import numpy as np
import pytest
import resnet50 as example

SMALL = {layer.name: layer for layer in example.layers(32)}
TRUE = {layer.name: layer for layer in example.layers()}
SOME = ("conv1", "pool1", "conv2.first.3x3", "conv2.expand", "conv3.shortcut", "pool5", "fc")


def test_the_layers_are_those_of_the_model() -> None:
    assert len(TRUE) == 1 + 1 + 5 + 3 * 6 + 2
    assert sum(layer.times for layer in TRUE.values() if layer.kind == "conv") == 53
    conv = [layer for layer in TRUE.values() if layer.kind == "conv"]
    last = TRUE["conv5.expand"]
    assert (last.high, last.ins, last.outs) == (7, 512, 2048)
    assert sum(layer.macs for layer in conv if layer.stride == 2) > 0
    assert TRUE["conv1"].out_high == 112


def test_blocks_of_pixels_have_the_same_products() -> None:
    draw = np.random.default_rng(0)
    layer = SMALL["conv1"]
    x = draw.integers(-3, 4, (1, 32, 32, 3)).astype(np.float32)
    w = draw.integers(-3, 4, (7, 7, 3, 5)).astype(np.float32)
    blocks = x.reshape(1, 16, 2, 16, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(1, 16, 16, 12)
    wide = np.pad(blocks, ((0, 0), (2, 1), (2, 1), (0, 0)))
    taps = example.by_blocks(w)
    found = sum(wide[:, u : u + 16, v : v + 16] @ taps[u, v] for u, v in np.ndindex(4, 4))
    np.testing.assert_array_equal(found, example.products(x, w, layer))


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("name", SOME)
def test_small_layers(name: str, layout: str) -> None:
    bench = example.Bench(hazards=True)
    fused, apart = example.run_layer(bench, SMALL[name], layout)
    assert fused.error < 2e-3
    if apart is not None:
        assert apart.error < 2e-3
        assert fused.launches < apart.launches
        assert fused.cycles < apart.cycles
        assert all(cost.error < 1e-3 for cost in bench.alone.values())


@pytest.mark.parametrize("device", ["ascend-host", "cuda-host"])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_the_devices_agree(device: str, layout: str) -> None:
    bench = example.Bench(device, tune=device == "ascend-host")
    for layer in (SMALL["pool1"], example.Layer("tiny", "conv", 8, 20, 17, 3, 2)):
        fused, apart = example.run_layer(bench, layer, layout)
        assert fused.error < 2e-3
        assert apart is None or apart.error < 2e-3


def test_a_layer_at_its_true_shape() -> None:
    layer = TRUE["conv4.expand"]
    fused, apart = example.run_layer(example.Bench(), layer, "nhwc")
    assert apart is not None
    assert max(fused.error, apart.error) < 1e-3
    assert fused.cycles < apart.cycles
    assert fused.cycles > example.least(layer)
