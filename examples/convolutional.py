"""A convolutional network learns ten digits in three tasks, and is not told which one it is asked.

The images, 8x8, come with scikit-learn. Run it: `python examples/convolutional.py`.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner

TASKS = {"0 to 3": (0, 1, 2, 3), "4 to 6": (4, 5, 6), "7 to 9": (7, 8, 9)}


def network(outputs):
    """The same for both."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, outputs),
    )


def train_plain(model, tasks, updates=100):
    """What an ordinary network does: it goes on learning, with an output for every digit."""
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    for x, y in tasks:
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


learner = ContinualLearner(network(4), iterations=600, lr=3e-3, compression=2)
for name, classes in TASKS.items():
    learner.fit(*of(classes, ~new), task=name)
plain = train_plain(network(10), [of(classes, ~new) for classes in TASKS.values()])

print("accuracy after the last task   task given   not given   ordinary network, not given")
for name, classes in TASKS.items():
    x, y = of(classes, new)
    given, inferred = learner.score(x, y, task=name), learner.score(x, y)
    of_plain = float((plain(x).argmax(1) == y).float().mean())
    print(f"{name:28}   {given:10.3f}   {inferred:9.3f}   {of_plain:27.3f}")
