"""Networks that are drawn: what is promised of them, of their regulariser and their divergence."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.noise import (
    ImplicitMemory,
    NoiseSettings,
    NoisyEmbedding,
    RandomMemory,
    divergence,
)
from hypermnesia.methods import METHODS, HypernetWith, build_method
from hypermnesia.regularization.output import (
    ClosedFormRegularizer,
    DirectRegularizer,
    OutputRegularizer,
    OverDraws,
    RegularizerSettings,
    Snapshot,
)
from hypermnesia.regularization.sampled import SampledRegularizer
from hypermnesia.seeding import Generators
from hypermnesia.testing import check_condition, check_method
from problems import CPU, blobs, build, learn, small_net

PLANS = {
    "full": HypernetSettings((8,), 4, plan="full"),
    "even": HypernetSettings((8,), 4, 4, chunk=40),
    "layer": HypernetSettings((8,), 4, 4, plan="layer"),
    "shared": HypernetSettings((8,), 4, 4, plan="layer", chunk=20),
}
FORMS = {"gaussian": NoiseSettings(draws=3), "implicit": NoiseSettings("implicit", draws=3, size=2)}


def memory_of(
    form: str = "gaussian", plan: str = "even", heads: tuple[int, ...] = (2, 3, 2), draws: int = 3
) -> RandomMemory:
    make = RandomMemory if form == "gaussian" else ImplicitMemory
    sizes = PLANS[plan]
    if form == "implicit":
        sizes = replace(sizes, condition="noise", condition_options={"noise": 2})
    noise = replace(FORMS[form], draws=draws)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    memory = make(network, sizes, noise, Generators(0))
    for outputs in heads:
        memory.add_task(outputs, memory.generators)
    memory.hypernet.double()
    embeddings = memory.condition.embeddings
    memory.condition.embeddings = [nn.Parameter(e.detach().double()) for e in embeddings]
    return memory


def test_the_condition_with_noise_keeps_the_contract() -> None:
    settings = HypernetSettings(task_embedding=5)
    check_condition(lambda: NoisyEmbedding(settings, CPU, noise=3))
    condition = NoisyEmbedding(settings, CPU, noise=3)
    condition.add_task(Generators(0))
    z = torch.randn(2, 3)
    assert torch.equal(condition([0, 0], z)[:, 5:], z)
    assert not condition([0])[:, 5:].any()


@pytest.mark.parametrize("plan", [*PLANS])
@pytest.mark.parametrize("form", [*FORMS])
def test_the_method_keeps_the_contract_in_every_plan(form: str, plan: str) -> None:
    own = {"hypernet": PLANS[plan], "noise": FORMS[form]}
    check_method(lambda generators: build("hnet-bayes", generators=generators, **own))


@pytest.mark.parametrize("change", [{"prior": "before"}, {"evidence": "agreement"}, {"kl": 0.0}])
def test_it_keeps_it_with_other_settings(change: dict[str, object]) -> None:
    noise = replace(FORMS["gaussian"], **change)
    check_method(lambda generators: build("hnet-bayes", generators=generators, noise=noise))


def moved(memory: RandomMemory, held: int = 2) -> tuple[Snapshot, dict[str, Tensor]]:
    then = {name: p.detach().clone() for name, p in memory.hypernet.named_parameters()}
    generator = torch.Generator().manual_seed(1)
    point = {
        name: p + 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
        for name, p in then.items()
    }
    conditions = memory.condition(range(held)).detach().double()
    return Snapshot(then, conditions, memory.plans[:held]), point


@pytest.mark.parametrize("plan", [*PLANS])
def test_the_regulariser_holds_means_and_log_variances_exactly(plan: str) -> None:
    memory = memory_of(plan=plan)
    snapshot, point = moved(memory)
    unused = {name: torch.zeros_like(p) for name, p in point.items()}
    found = ClosedFormRegularizer(memory.hypernet, snapshot)(point, unused, 0.0)
    then = [memory.moments([task]) for task in range(2)]
    memory.hypernet.load_state_dict(point)
    now = [memory.moments([task]) for task in range(2)]
    squares = [
        (a - b).square().sum()
        for pairs in zip(now, then, strict=True)
        for a, b in zip(*pairs, strict=True)
    ]
    torch.testing.assert_close(found, torch.stack(squares).sum() / 2, rtol=1e-10, atol=0)


def regularizer_of(kind: str, memory: RandomMemory, snapshot: Snapshot) -> OutputRegularizer:
    if kind == "sampled":
        settings = RegularizerSettings(0.1, "sampled", subset=2)  # all there are
        return SampledRegularizer(memory.hypernet, snapshot, settings, Generators(0))
    make = ClosedFormRegularizer if kind == "closed" else DirectRegularizer
    return make(memory.hypernet, snapshot)


@pytest.mark.parametrize("plan", [*PLANS])
@pytest.mark.parametrize("kind", ["closed", "direct", "sampled"])
def test_the_regulariser_over_draws_is_the_mean_of_the_direct_sums(kind: str, plan: str) -> None:
    memory = memory_of("implicit", plan)
    snapshot, point = moved(memory)
    drawn: list[Tensor] = []
    generator = torch.Generator().manual_seed(3)

    def draw() -> Tensor:
        drawn.append(memory.condition.redrawn(snapshot.conditions, generator))
        return drawn[-1]

    over_draws = OverDraws(regularizer_of(kind, memory, snapshot), draw)
    pull = {name: torch.zeros_like(p) for name, p in point.items()}
    value = torch.stack([over_draws(point, pull, 1.0) for _ in range(4)]).sum()
    # The same rows, of all draws, as that many tasks, regenerated one by one.
    rows = torch.cat(drawn)
    every = Snapshot(snapshot.parameters, rows, [*snapshot.plans] * 4)
    wanted = {name: torch.zeros_like(p) for name, p in point.items()}
    direct = DirectRegularizer(memory.hypernet, every)(point, wanted, 4.0)
    torch.testing.assert_close(value, 4 * direct, rtol=1e-10, atol=0)
    for name in point:
        torch.testing.assert_close(pull[name], wanted[name], rtol=1e-10, atol=1e-10)
    assert (drawn[0] != drawn[1])[:, 4:].all()
    assert torch.equal(drawn[0][:, :4], drawn[1][:, :4])


def test_a_regulariser_that_cannot_change_its_conditions_is_refused() -> None:
    with pytest.raises(ConfigError, match="with the method protect"):
        OverDraws(lambda point, gradients, beta: torch.zeros(()), lambda: torch.zeros(1, 1))


@pytest.mark.parametrize("form", [*FORMS])
def test_gradients_of_a_drawn_network_reach_every_parameter(form: str) -> None:
    memory = memory_of(form)
    weights, moments = memory._sample(2)
    loss = weights.square().sum() + divergence(moments, memory.standard(2))
    learned = [*memory.hypernet.parameters(), *memory.condition.parameters(2)]
    assert all(bool(g.any()) for g in torch.autograd.grad(loss, learned))


def test_drawn_weights_have_the_moments_that_are_made() -> None:
    memory = memory_of(heads=(2, 2), draws=4000)
    mean, log_variance = memory.moments([0, 1])
    drawn = memory.networks([0, 1]).view(2, 4000, -1)
    deviation = (log_variance / 2).exp()
    assert ((drawn.mean(1) - mean) / deviation).abs().max() < 5 / 4000**0.5
    assert (drawn.std(1) / deviation - 1).abs().max() < 5 / 8000**0.5
    assert torch.equal(memory.weights(1), mean[1])


def test_the_divergence_is_that_of_normal_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    (m, r), (c, s) = torch.randn(2, 2, 50, generator=generator, dtype=torch.float64)
    normals = Normal(m, (r / 2).exp()), Normal(c, (s / 2).exp())
    torch.testing.assert_close(divergence((m, r), (c, s)), kl_divergence(*normals).sum())


def test_the_prior_is_the_task_before_where_shapes_agree() -> None:
    memory = memory_of(heads=(2, 2, 3))
    memory.noise = replace(memory.noise, prior="before")
    memory.take_prior(1)
    assert divergence(memory._sample(0)[1], memory.prior) == 0
    memory.take_prior(2)
    body = 6 * 8 + 8
    for found, before, standard in zip(
        memory.prior, memory._sample(1)[1], memory.standard(2), strict=True
    ):
        assert torch.equal(found[:body], before[:body])
        assert torch.equal(found[body:], standard[body:].to(found))


@pytest.mark.parametrize("form", [*FORMS])
def test_answers_are_mean_probabilities_of_networks_that_stay(form: str) -> None:
    method, x = build("hnet-bayes", noise=FORMS[form]), blobs(0).x
    for task in range(2):
        learn(method, blobs(task), 30)
    memory = method.memory
    memory.generators["noise"].manual_seed(7)
    every = [memory.target.plain(w, layout=memory.layouts[1], buffers=memory.buffers[1])
             for w in memory.networks([1])]  # fmt: skip
    wanted = torch.stack([network(x).softmax(1) for network in every]).mean(0)
    found = method.predict(x, 1, "task").logits
    torch.testing.assert_close(found.exp(), wanted, rtol=1e-4, atol=1e-6)
    assert torch.equal(method.predict(x, 1, "task").logits, found)
    torch.testing.assert_close(method.all_tasks(x)[1], found, rtol=1e-4, atol=1e-5)
    again = copy.deepcopy(method.export(1))
    torch.testing.assert_close(again(x), found, rtol=1e-4, atol=1e-5)
    assert len(again.networks) == 3


def test_values_are_averaged() -> None:
    entry = replace(METHODS["hnet"], builder=HypernetWith(None, "bayes:RandomHypernet"))
    settings = {"criterion": nn.functional.mse_loss, "noise": FORMS["gaussian"]}
    settings["hypernet"] = PLANS["even"]
    given = {"generators": Generators(0), "device": CPU, "sample_shape": (6,)}
    method = build_method(entry, small_net(), "task", {}, **settings, **given)
    part = blobs(0)
    learn(method, replace(part, y=part.x[:, :2]), 5)
    network = method.export(0)
    wanted = torch.stack([each(part.x) for each in network.networks]).mean(0)
    torch.testing.assert_close(method.predict(part.x, 0, "task").logits, wanted)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"size": 3}, "no use in the gaussian form"),
        ({"form": "implicit", "log_variance": -2.0}, "no use in the implicit form"),
        ({"form": "implicit", "gain": 2.0}, "no use in the implicit form"),
    ],
)
def test_settings_that_do_nothing_are_refused(settings: dict[str, object], rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        NoiseSettings(**settings)
