import pytest
import torch

from hypermnesia.data.benchmarks import Rotation
from hypermnesia.data.stream import AUGMENTATIONS, flip_and_crop, rotate, shift

PADDING = 2


def images() -> torch.Tensor:
    """(40, 3, 6, 5) images without a zero, every pixel of an image another value."""
    values = torch.arange(1, 40 * 3 * 6 * 5 + 1, dtype=torch.float32)
    return values.reshape(40, 3, 6, 5)


def by_definition(
    x: torch.Tensor, generator: torch.Generator, padding: int, mirrors: bool
) -> torch.Tensor:
    """One image at a time, from the same random numbers."""
    batch, channels, height, width = x.shape
    tops = torch.randint(2 * padding + 1, (batch,), generator=generator).tolist()
    lefts = torch.randint(2 * padding + 1, (batch,), generator=generator).tolist()
    flips = torch.randint(2, (batch,), generator=generator).tolist() if mirrors else [0] * batch
    results = []
    for image, top, left, flip in zip(x, tops, lefts, flips, strict=True):
        canvas = torch.zeros(channels, height + 2 * padding, width + 2 * padding)
        canvas[:, padding : padding + height, padding : padding + width] = image
        crop = canvas[:, top : top + height, left : left + width]
        results.append(crop.flip(2) if flip else crop)
    return torch.stack(results)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("padding", [0, PADDING])
@pytest.mark.parametrize("augment", [shift, flip_and_crop])
def test_agrees_with_the_definition(augment, seed: int, padding: int) -> None:
    fast = augment(images(), torch.Generator().manual_seed(seed), padding)
    mirrors = augment is flip_and_crop
    slow = by_definition(images(), torch.Generator().manual_seed(seed), padding, mirrors)
    assert torch.equal(fast, slow)


def test_each_image_turns_by_an_angle_of_its_own() -> None:
    x, degrees = images(), 30.0
    drawn = torch.rand(len(x), generator=torch.Generator().manual_seed(1)).tolist()
    slow = [Rotation(degrees * (2 * u - 1))(x[i : i + 1]) for i, u in enumerate(drawn)]
    fast = rotate(x, torch.Generator().manual_seed(1), degrees)
    torch.testing.assert_close(fast, torch.cat(slow), rtol=1e-4, atol=1e-2)


def test_every_offset_and_both_orientations_occur() -> None:
    x = torch.arange(1, 10, dtype=torch.float32).reshape(1, 1, 3, 3).expand(2000, 1, 3, 3)
    results = flip_and_crop(x, torch.Generator().manual_seed(0), padding=1)
    distinct, counts = results.flatten(1).unique(dim=0, return_counts=True)
    assert len(distinct) == 3 * 3 * 2
    expected = 2000 / 18
    assert (counts - expected).abs().max() < 5 * expected**0.5


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
def test_registry_and_global_state(name: str) -> None:
    before = torch.get_rng_state()
    generator = torch.Generator().manual_seed(0)
    result = AUGMENTATIONS[name](images(), generator)
    assert result.shape == images().shape
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(result, AUGMENTATIONS[name](images(), generator))
