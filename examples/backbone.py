"""A network trained before: norm layers and a head a task.

Often a good network is there already. Here one has learned the digits 0 to 3 and is frozen; three
tasks follow, and each gets only norm layers and a head of its own, which the hypernetwork makes.
Beside it, the whole network is trained on. Run it: `python examples/backbone.py`.
"""

# %%
# Any module will do; `generated` finds parts of it by their names.
from copy import deepcopy

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner

TASKS = {"4 or 5": (4, 5), "6 or 7": (6, 7), "8 or 9": (8, 9)}
torch.manual_seed(0)
digits = load_digits()
images, labels = torch.tensor(digits.images / 16).float()[:, None], torch.tensor(digits.target)
new = torch.arange(len(labels)) % 5 == 0


class Network(nn.Module):
    """(batch, 1, 8, 8) images to (batch, outputs) logits."""

    def __init__(self, outputs):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.conv2, self.norm2 = nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(128, outputs)

    def forward(self, x):
        """Logits."""
        x = self.pool(self.norm(self.conv(x)).relu())
        return self.head(self.pool(self.norm2(self.conv2(x)).relu()).flatten(1))


def train(model, x, y):
    """In the usual way: all of the model, on one task."""
    adam = torch.optim.Adam(model.train().parameters())
    for rows in torch.randint(len(x), (200, 64)):
        adam.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        adam.step()
    return model.eval()


def of(classes, which):
    """Images and labels of some digits."""
    rows = which & torch.isin(labels, torch.tensor(classes))
    return images[rows], labels[rows]


backbone = train(Network(4), *of(range(4), ~new)).requires_grad_(False)

# %%
# What is frozen is shared by all tasks; no task can damage another one's part.
learner = ContinualLearner(backbone, None, generated=["norm*", "head.*"], iterations=200, lr=3e-3)
tuned = deepcopy(backbone).requires_grad_(True)
tuned.head = nn.Linear(128, 2)
for name, classes in TASKS.items():
    x, y = of(classes, ~new)
    train(tuned, x, y - classes[0])
    learner.fit(x, y, task=name)

print("accuracy after the last task   learner   network trained on")
for place, (name, classes) in enumerate(TASKS.items()):
    x, y = of(classes, new)
    right = float((tuned(x).argmax(1) + classes[0] == y).float().mean())
    own = learner.score(x, y, task=name)
    print(f"{name:28}   {own:7.3f}   {right:18.3f}")
    plt.bar([place - 0.2, place + 0.2], [own, right], 0.38, color=["C0", "C1"])
plt.xticks(range(3), [*TASKS])
plt.ylabel("accuracy: learner (left), network trained on")
plt.show()
