"""Three polynomials, one after another: the toy problem of von Oswald et al. 2020.

Each is given by 100 noisy points of an interval of its own; arXiv 1906.00695, figure 2. Run it:
`python examples/regression.py`.
"""

import numpy as np
import torch
from torch import nn

from hypermnesia import ContinualLearner

CURVES = {
    "x + 3": (lambda x: x + 3, -4, -2),
    "2 x^2 - 1": (lambda x: 2 * x**2 - 1, -1, 1),
    "(x - 3)^3": (lambda x: (x - 3) ** 3, 2, 4),
}
NOISE = 0.05


def points(name, n=100, noise=NOISE, seed=0):
    """(n, 1) inputs in the interval of a curve, and (n,) values."""
    curve, low, high = CURVES[name]
    rng = np.random.default_rng(seed)
    x = rng.uniform(low, high, (n, 1))
    return x, curve(x[:, 0]) + noise * rng.standard_normal(n)


def network():
    """One number to one number; the same for both."""
    return nn.Sequential(
        nn.Linear(1, 10), nn.Sigmoid(), nn.Linear(10, 10), nn.Sigmoid(), nn.Linear(10, 1)
    )


def train_plain(model, updates=500):
    """What an ordinary network does: it goes on learning."""
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    for name in CURVES:
        x, y = (torch.as_tensor(each, dtype=torch.float32) for each in points(name))
        for _ in range(updates):
            loss = nn.functional.mse_loss(model(x)[:, 0], y)
            adam.zero_grad()
            loss.backward()
            adam.step()


def error(answers, y):
    """Mean squared."""
    return float(np.mean((answers - y) ** 2))


torch.manual_seed(0)
learner = ContinualLearner(network())
for name in CURVES:
    learner.fit(*points(name), task=name)
plain = network()
train_plain(plain)

print("mean squared error after the last task   task given   not given   ordinary network")
for name in CURVES:
    x, y = points(name, 500, noise=0, seed=1)
    given, inferred = error(learner.predict(x, task=name), y), error(learner.predict(x), y)
    with torch.no_grad():
        of_plain = error(plain(torch.as_tensor(x, dtype=torch.float32))[:, 0].numpy(), y)
    print(f"{name:38}   {given:10.4f}   {inferred:9.4f}   {of_plain:16.4f}")
