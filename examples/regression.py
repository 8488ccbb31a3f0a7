"""Regression: three curves, one after another.

The toy problem of the paper behind this library (von Oswald et al. 2020, arXiv 1906.00695, figure
2): each polynomial is given by 100 noisy points of an interval of its own. An ordinary network is
left with the last one; the learner keeps all three, here with no setting but the number of
updates. Run it: `python examples/regression.py`.
"""

# %%
# Points of a curve: inputs are (n, 1), targets are (n,) floats, which makes it a regression.
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from hypermnesia import ContinualLearner

CURVES = {
    "x + 3": (lambda x: x + 3, -4, -2),
    "2 x^2 - 1": (lambda x: 2 * x**2 - 1, -1, 1),
    "(x - 3)^3": (lambda x: (x - 3) ** 3, 2, 4),
}


def points(name, n=100, noise=0.05, seed=0):
    """(n, 1) inputs in the interval of a curve, and (n,) values."""
    curve, low, high = CURVES[name]
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(low, high, (n, 1)), axis=0).astype(np.float32)
    return x, (curve(x[:, 0]) + noise * rng.standard_normal(n)).astype(np.float32)


def network():
    """One number to one number; the same for both."""
    return nn.Sequential(
        nn.Linear(1, 10), nn.Sigmoid(), nn.Linear(10, 10), nn.Sigmoid(), nn.Linear(10, 1)
    )


# %%
# The learner, and an ordinary network that goes on learning.
torch.manual_seed(0)
learner, plain = ContinualLearner(network(), iterations=2000), network()
adam = torch.optim.Adam(plain.parameters(), lr=1e-2)
for name in CURVES:
    learner.fit(*points(name), task=name)
    x, y = map(torch.tensor, points(name))
    for _ in range(500):
        adam.zero_grad()
        nn.functional.mse_loss(plain(x)[:, 0], y).backward()
        adam.step()

# %%
# New points without noise. Published errors, with the curve given: 0.0042, 0.0024 and 0.0061.
print("mean squared error after the last   curve given   not given   ordinary network")
figure, axes = plt.subplots(layout="constrained")
for name in CURVES:
    x, y = points(name, 300, noise=0, seed=1)
    with torch.no_grad():
        left = plain(torch.tensor(x))[:, 0].numpy()
    given, inferred = learner.predict(x, task=name), learner.predict(x)
    errors = [float(np.mean((answer - y) ** 2)) for answer in (given, inferred, left)]
    print(f"{name:35} {errors[0]:11.4f} {errors[1]:11.4f} {errors[2]:18.4f}")
    axes.plot(x, y, color="gray", linewidth=5, alpha=0.5, label="the curves")
    axes.plot(x, inferred, color="C0", label="learner, curve not given")
    axes.plot(x, left, "--", color="C1", label="ordinary network")
axes.set(xlabel="x", ylabel="value", ylim=(-2, 2))
figure.legend(*(each[:3] for each in axes.get_legend_handles_labels()), loc="outside lower center")
plt.show()
