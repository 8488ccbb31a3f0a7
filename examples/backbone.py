"""A network trained before, of which each task gets only norm layers and a head of its own.

The backbone learns the digits 0 to 3 in the usual way and is frozen; the others come two at a time.
Beside it, the whole network is trained on in the usual way. Run it: `python examples/backbone.py`.
"""

import copy

import torch
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner

TASKS = {"4 or 5": (4, 5), "6 or 7": (6, 7), "8 or 9": (8, 9)}
OWN = ["norm*", "head.*"]  # what each task has for itself


class Network(nn.Module):
    """Convolutions with batch-norm, and a linear head."""

    def __init__(self, outputs):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.conv2, self.norm2 = nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.head = nn.Linear(32 * 4, outputs)

    def forward(self, x):
        """(batch, 1, 8, 8) images to (batch, outputs) scores."""
        x = nn.functional.max_pool2d(self.norm1(self.conv1(x)).relu(), 2)
        x = nn.functional.max_pool2d(self.norm2(self.conv2(x)).relu(), 2)
        return self.head(x.flatten(1))


def train(model, x, y, updates=200):
    """In the usual way: all of the model, on one task."""
    adam = torch.optim.Adam(model.train().parameters(), lr=1e-3)
    for _ in range(updates):
        rows = torch.randint(len(x), (64,))
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        adam.zero_grad()
        loss.backward()
        adam.step()
    return model.eval()


torch.manual_seed(0)
digits = load_digits()
images, labels = torch.tensor(digits.images / 16).float()[:, None], torch.tensor(digits.target)
new = torch.arange(len(labels)) % 5 == 0  # not learned from


def of(classes, which):
    """Images and labels of some digits."""
    rows = which & torch.isin(labels, torch.tensor(classes))
    return images[rows], labels[rows]


backbone = train(Network(4), *of(range(4), ~new))
learner = ContinualLearner(
    backbone.requires_grad_(False), None, generated=OWN, iterations=200, lr=3e-3
)
tuned = copy.deepcopy(backbone).requires_grad_(True)
tuned.head = nn.Linear(128, 2)
for name, classes in TASKS.items():
    x, y = of(classes, ~new)
    learner.fit(x, y, task=name)
    train(tuned, x, y - classes[0])

print("accuracy after the last task   learner   network trained on")
for name, classes in TASKS.items():
    x, y = of(classes, new)
    right = float((tuned(x).argmax(1) + classes[0] == y).float().mean())
    print(f"{name:28}   {learner.score(x, y, task=name):7.3f}   {right:18.3f}")
