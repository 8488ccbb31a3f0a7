"""Removing a task: a customer leaves.

Five customers have each taught two digits. One of them leaves and wants to be forgotten. `remove`
takes out all that is the task's own, and the others answer as before, bit for bit; `erase` also
overwrites what the shared hypernetwork could still make of it. Run it:
`python examples/remove.py`.
"""

# %%
# Scikit-learn's digits, two for each customer.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner

CUSTOMERS = {"Ada": (0, 1), "Ben": (2, 3), "Cleo": (4, 5), "Dan": (6, 7), "Eve": (8, 9)}
x, y = load_digits(return_X_y=True)
x = (x / 16).astype(np.float32)
new = np.arange(len(y)) % 4 == 0  # not learned from


def of(name, which):
    """Images and labels of a customer."""
    rows = which & np.isin(y, CUSTOMERS[name])
    return x[rows], y[rows]


def probabilities(names):
    """What the learner answers for the images of each of these customers."""
    return {name: learner.predict_proba(of(name, new)[0], name) for name in names}


model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 2))
learner = ContinualLearner(model, "gaussian", iterations=300, lr=3e-3)
for name in CUSTOMERS:
    learner.fit(*of(name, ~new), task=name)
before = {name: learner.score(*of(name, new), task=name) for name in CUSTOMERS}

# %%
# Ben leaves. Nobody else notices.
others = [name for name in CUSTOMERS if name != "Ben"]
answers = probabilities(others)
learner.remove("Ben")
same = [np.array_equal(answers[n], now) for n, now in probabilities(others).items()]
print("tasks left:", learner.tasks)
print("all others answer as before, bit for bit:", all(same))

# %%
# Dan leaves too, and wants his traces in the shared hypernetwork overwritten. This trains a little,
# so that others change in the third digit, if at all.
learner.remove("Dan", erase=True)
print("customer   before   after both left")
after = {name: learner.score(*of(name, new), task=name) for name in learner.tasks}
for name in CUSTOMERS:
    print(
        f"{name:8} {before[name]:8.3f}   {after[name]:.3f}" if name in after else f"{name:8} gone"
    )

# %%
# Asked for any digit, the learner now answers with those of the three who stayed.
shown = learner.predict(x[new])
table = [[np.mean(shown[y[new] == true] == told) for told in range(10)] for true in range(10)]
plt.imshow(table, cmap="Blues", vmin=0, vmax=1)
plt.xticks(range(10))
plt.yticks(range(10))
plt.xlabel("answered, after Ben (2, 3) and Dan (6, 7) left")
plt.ylabel("digit in the image")
plt.show()
