"""Products in int8 are those of the rounded numbers; rounding is as near as its steps allow."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet import int8
from hypermnesia.hypernet.int8 import (
    INPUTS,
    check_int8,
    linear,
    linear_by_definition,
    rounded_inputs,
    rounded_weights,
)

exact_int8 = pytest.mark.usefixtures("int8_products")
sizes = {
    "rows": st.integers(0, 20),
    "inputs": st.integers(2, 200),
    "outputs": st.integers(1, 80),
    "seed": st.integers(0, 2**31),
    "signs": st.sampled_from(["none", "some", "mixed", "all"]),
    "biased": st.booleans(),
}


def drawn(rows: int, inputs: int, outputs: int, seed: int, signs: str) -> tuple[Tensor, ...]:
    """Inputs, weights and biases, of sizes that differ from row to row."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, w = draw(rows, inputs) * draw(rows, 1).exp(), draw(outputs, inputs) * draw(outputs, 1).exp()
    signed = {"none": 0.0, "some": 0.1, "mixed": 0.5, "all": 1.0}[signs]
    x = torch.where(torch.rand(rows, 1, generator=generator) < signed, x, x.relu())
    return x, w, draw(outputs)


@exact_int8
@given(**sizes)
def test_a_product_is_that_of_the_rounded_numbers(
    rows: int, inputs: int, outputs: int, seed: int, signs: str, biased: bool
) -> None:
    x, w, b = drawn(rows, inputs, outputs, seed, signs)
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-5)):
        bias = b.to(dtype) if biased else None
        factors = rounded_inputs(x.to(dtype)), rounded_weights(w.to(dtype))
        found, expected = (way(*factors, bias) for way in (linear, linear_by_definition))
        assert found.dtype == dtype
        size = factors[0].numbers().abs() @ factors[1].numbers().abs().T + 1
        assert ((found - expected).abs() <= tolerance * size).all()


@exact_int8
@given(**sizes)
def test_it_is_as_far_from_the_exact_one_as_half_steps_reach(
    rows: int, inputs: int, outputs: int, seed: int, signs: str, biased: bool
) -> None:
    """|x w - x̂ ŵ| <= Σ |x - x̂| |ŵ| + |x| |w - ŵ|, a difference being half a step at most."""
    x, w, b = drawn(rows, inputs, outputs, seed, signs)
    of_inputs, of_weights, bias = rounded_inputs(x), rounded_weights(w), b if biased else None
    negative = (x < 0).any(dim=1, keepdim=True)
    widest = torch.where(
        negative, x.abs().amax(1, keepdim=True) / 127, x.amax(1, keepdim=True) / 255
    )
    assert torch.allclose(of_inputs.steps, widest.clamp(min=1e-300))
    assert torch.allclose(of_weights.steps, w.abs().amax(1) / 127)
    assert ((of_inputs.numbers() - x).abs() <= 0.5001 * of_inputs.steps).all()
    assert ((of_weights.numbers() - w).abs() <= 0.5001 * of_weights.steps[:, None]).all()
    reach = of_inputs.steps * of_weights.numbers().abs().sum(1)
    reach = reach + x.abs().sum(1, keepdim=True) * of_weights.steps
    off = (linear(of_inputs, of_weights, bias) - F.linear(x, w, bias)).abs()
    assert (off <= 0.5001 * reach).all()


@exact_int8
@pytest.mark.parametrize("inputs", [INPUTS[0], 3, 64, 1000, 20_000])
def test_the_largest_sums_are_exact(inputs: int) -> None:
    """255 · 127 in every place, and its negative."""
    x = torch.ones(3, inputs, dtype=torch.float64)
    w = torch.tensor([[1.0], [-1.0]], dtype=torch.float64).expand(2, inputs)
    found = linear(rounded_inputs(x), rounded_weights(w), None)
    assert torch.allclose(found, inputs * torch.tensor([1.0, -1.0]).double().expand(3, 2))


def test_sums_of_the_longest_rows_fit_into_int32() -> None:
    assert 128 * 127 * INPUTS[-1] < 2**31 <= 128 * 128 * (INPUTS[-1] + 1)


def test_images_of_8_bits_stay_as_they_are() -> None:
    pixels = torch.arange(256).repeat(2, 1)
    rounded = rounded_inputs(pixels / 255.0)
    assert torch.equal(rounded.values + rounded.offsets, pixels.float())
    assert torch.allclose(rounded.numbers(), pixels / 255.0, atol=1e-7)


@exact_int8
def test_rows_do_not_change_each_other() -> None:
    """A row is rounded alike beside rows with negative values and without them."""
    x = torch.rand(4, 70)
    x[2] -= 0.5
    w = rounded_weights(torch.randn(5, 70))
    together = linear(rounded_inputs(x), w, None)
    alone = torch.cat([linear(rounded_inputs(row[None]), w, None) for row in x])
    assert torch.allclose(together, alone, rtol=1e-5, atol=1e-6)
    assert rounded_inputs(x).offsets.flatten().tolist() == [128, 128, 0, 128]


@exact_int8
def test_rows_of_zeros_give_the_bias() -> None:
    b = torch.randn(3)
    w = rounded_weights(torch.cat([torch.randn(2, 9), torch.zeros(1, 9)]))
    assert torch.equal(linear(rounded_inputs(torch.zeros(2, 9)), w, b), b.expand(2, 3))
    assert linear(rounded_inputs(torch.randn(2, 9)), w, b)[:, 2].tolist() == [b[2], b[2]]


def test_a_number_that_is_none_is_passed_on() -> None:
    x = torch.tensor([[1.0, torch.nan], [1.0, torch.inf], [1.0, 2.0]])
    assert rounded_inputs(x).numbers().isfinite().all(dim=1).tolist() == [False, False, True]


def test_torch_still_has_the_product_that_int8_is_made_of() -> None:
    assert hasattr(torch, "_int_mm"), "torch._int_mm is gone: see hypermnesia.hypernet.int8"


def test_a_gpu_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"exact int8 products; got device cuda.* bf16"):
        check_int8(torch.device("cuda"))


def test_products_that_overflow_are_refused(monkeypatch) -> None:
    def in_16_bits(left: Tensor, right: Tensor) -> Tensor:
        return (left.int() @ right.int()).clamp(max=2**15 - 1)

    monkeypatch.setattr(int8, "_exact", int8._exact.__wrapped__)  # not what was found before
    monkeypatch.setattr(int8, "_products", in_16_bits)
    with pytest.raises(ConfigError, match=r"screen=int8 needs a processor .*AVX512-VNNI"):
        check_int8(torch.device("cpu"))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the instructions are of x86")
def test_an_older_processor_is_refused_if_its_products_overflow() -> None:
    code = (
        "import torch; from hypermnesia.hypernet.int8 import check_int8\n"
        "x = torch.full((64, 64), 127, dtype=torch.int8)\n"
        "print((torch._int_mm(x, x) == 64 * 127**2).all().item(), flush=True)\n"
        "check_int8(torch.device('cpu'))"
    )
    older = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", code], env=older, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) in (("True", 0), ("False", 1)), done.stderr
    assert ("VNNI" in done.stderr) == (done.returncode == 1)
