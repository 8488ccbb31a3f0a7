"""Task data as an input of a hypernetwork: what encodings of support sets promise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hypermnesia.errors import ConfigError, DataError, TargetError
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.task_data import (
    DataCondition,
    Support,
    SupportEncoder,
    SupportSettings,
)
from hypermnesia.seeding import Generators
from hypermnesia.testing import check_condition
from problems import CPU

SIZES = HypernetSettings(task_embedding=7)
POOLINGS = ["ridge", "attention"]


def support(n: int = 11, *, values: bool = False, shift: float = 0.0) -> Support:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, 2, 3, generator=generator, dtype=torch.float64) + shift
    if values:
        return Support(x, torch.randn(n, 2, generator=generator, dtype=torch.float64))
    return Support(x, torch.arange(n) % 3)


def settled(pooling: str = "ridge", module: nn.Module | None = None, **changes) -> SupportEncoder:
    made = SupportEncoder(7, SupportSettings(features=9, pooling=pooling), module)  # type: ignore[arg-type]
    made.settle(support(40, **changes))
    return made


def slowly(encoder: SupportEncoder, given: Support) -> Tensor:
    """e(S) as it is defined, sum by sum."""
    f, n, encoded = encoder.features(given.x), len(given.y), torch.zeros(7, dtype=torch.float64)
    values = given.y.is_floating_point()
    labels = range(given.y.shape[1]) if values else sorted(set(given.y.tolist()))
    for label in labels:
        y = given.y[:, label] if values else (given.y == label).double()
        z = torch.zeros(9, dtype=torch.float64)
        if encoder.settings.pooling == "ridge":  # min_z Σ (z·f_i - y_i)² + λ n |z|²
            matrix = sum(torch.outer(each, each) for each in f) + 0.05 * n * torch.eye(
                9, dtype=torch.float64
            )
            z = torch.linalg.inv(matrix) @ sum(a * b for a, b in zip(y, f, strict=True))
        else:
            for i in range(n):
                share = n if values else int(y.sum()) * len(labels) ** 0.5
                z = z + y[i] / share * f[i]
        (projection,) = encoder._projections([label], f)
        encoded = encoded + z @ projection
    return encoder.moments["gain"] * encoded


@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_encodings_are_those_of_the_definition(pooling: str, values: bool) -> None:
    encoder = settled(pooling, values=values)
    for n in (1, 5, 30):
        given = support(n, values=values)
        torch.testing.assert_close(encoder(given), slowly(encoder, given), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_order_of_samples_does_not_matter_but_their_labels_do(pooling: str) -> None:
    encoder, given = settled(pooling), support()
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    turned = Support(given.x[order], given.y[order])
    torch.testing.assert_close(encoder(turned), encoder(given))
    assert not torch.allclose(encoder(Support(given.x, (given.y + 1) % 3)), encoder(given))


def test_the_first_samples_get_entries_of_about_one() -> None:
    first = settled()(support(40))
    assert float(first.square().mean()) == pytest.approx(1.0)


def test_a_condition_keeps_the_contract_and_nothing_of_it_is_trained() -> None:
    check_condition(lambda: DataCondition(SIZES, CPU))
    condition = DataCondition(SIZES, CPU, features=9)
    condition.add_task(Generators(0))
    assert condition.parameters(0) == []


def test_what_is_kept_is_the_mean_encoding_of_the_mini_batches() -> None:
    condition = DataCondition(SIZES, CPU, features=9)
    for _ in range(2):
        condition.add_task(Generators(0))
    condition.encoder.settle(support(40))
    batches = [support(n) for n in (10, 20, 30)]
    for each in batches:
        condition.see(1, each)
    wanted = condition([1, 1, 1], batches).mean(dim=0)
    torch.testing.assert_close(condition([1])[0].double(), wanted, rtol=1e-5, atol=1e-5)
    loaded = DataCondition(SIZES, CPU, features=9)
    loaded.load_state_dict(condition.state_dict())
    assert torch.equal(loaded([0], [batches[0]]), condition([0], [batches[0]]))
    with pytest.raises(ValueError, match="an encoder with"):
        DataCondition(SIZES, CPU, features=8).load_state_dict(condition.state_dict())


class Pair(nn.Module):
    """Features of a dict: mean of an embedding of ids, and numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4, dtype=torch.float64)

    def forward(self, ids: Tensor, numbers: Tensor) -> Tensor:
        return torch.cat([self.table(ids).mean(dim=1), numbers], dim=1)


def pair(n: int) -> Support:
    generator = torch.Generator().manual_seed(n)
    ids = torch.randint(5, (n, 6), generator=generator)
    numbers = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    return Support({"ids": ids, "numbers": numbers}, torch.arange(n) % 2)


def test_a_module_of_the_users_own_gives_features_of_a_pytree() -> None:
    encoder = SupportEncoder(7, SupportSettings(), Pair())
    encoder.settle(pair(40))
    torch.testing.assert_close(encoder(pair(12)), slowly(encoder, pair(12)))


def test_what_has_no_features_is_refused() -> None:
    encoder = SupportEncoder(7, SupportSettings())
    with pytest.raises(DataError, match=r"real numbers; got ids or masks; give a feature module"):
        encoder.settle(pair(4))
    encoder = SupportEncoder(7, SupportSettings(), nn.Flatten(0))
    with pytest.raises(TargetError, match="a row for each sample"):
        encoder.settle(support(4))
    with pytest.raises(ConfigError, match=r"largest must be .* got 9 to 8"):
        SupportSettings(smallest=9, largest=8)
