"""Merging two learners that never shared data.

Two sites have learned apart: one the digits 0 to 3, the other 4 to 7, two a task. Data may not
leave a site, but learners may. `merge` takes the tasks of one into the other: no data, only the
weights that its hypernetwork makes, fitted by the other's. Run it: `python examples/merge.py`.
"""

# %%
# Scikit-learn's digits. Both sites use the same model and settings, with seeds of their own.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner

SITES = {
    "north": {"0 or 1": (0, 1), "2 or 3": (2, 3)},
    "south": {"4 or 5": (4, 5), "6 or 7": (6, 7)},
}
x, y = load_digits(return_X_y=True)
x = (x / 16).astype(np.float32)
new = np.arange(len(y)) % 4 == 0  # not learned from


def of(classes, which):
    """Images and labels of some digits."""
    rows = which & np.isin(y, classes)
    return x[rows], y[rows]


learners, alone = {}, {}
for seed, (site, tasks) in enumerate(SITES.items()):
    model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 2))
    learners[site] = ContinualLearner(model, "gaussian", iterations=400, lr=3e-3, seed=seed)
    for name, classes in tasks.items():
        learners[site].fit(*of(classes, ~new), task=name)
        alone[name] = classes, learners[site]

# %%
# A site's file travels, not its data (`save` and `load`); here both are at hand. The error is how
# far the new weights are from the other's, as a share of their norm.
before = {name: owner.score(*of(c, new), task=name) for name, (c, owner) in alone.items()}
learner = learners["north"]
errors = learner.merge(learners["south"])
print("task      apart   merged   error of weights")
after = {}
for name, (classes, _) in alone.items():
    after[name] = learner.score(*of(classes, new), task=name)
    print(f"{name} {before[name]:8.3f} {after[name]:8.3f} {errors.get(name, 0):18.3f}")
unasked = learner.score(*of(range(8), new))
print(f"any of the eight digits, task not given: {unasked:.3f}")

# %%
# Accuracy of all four tasks, apart and in one.
places = np.arange(4)
plt.bar(places - 0.2, [*before.values()], 0.38, label="in the site's own learner")
plt.bar(places + 0.2, [*after.values()], 0.38, label="merged into one")
plt.xticks(places, [*alone])
plt.ylim(0.5, 1.2)
plt.ylabel("accuracy")
plt.legend(loc="upper center", ncols=2)
plt.show()
