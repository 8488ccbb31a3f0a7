"""Images: ten digits in three tasks.

A convolutional network learns the digits 0 to 3, then 4 to 6, then 7 to 9, and is asked for any of
the ten without being told which task an image is of. An ordinary network of the same layers knows
only the last three digits in the end. Run it: `python examples/convolutional.py`.
"""

# %%
# The images, 8x8, are in scikit-learn. Every fifth is kept for the test.
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner

TASKS = {"0 to 3": (0, 1, 2, 3), "4 to 6": (4, 5, 6), "7 to 9": (7, 8, 9)}
torch.manual_seed(0)
digits = load_digits()
images, labels = torch.tensor(digits.images / 16).float()[:, None], torch.tensor(digits.target)
new = torch.arange(len(labels)) % 5 == 0


def of(classes, which):
    """Images and labels of some digits."""
    rows = which & torch.isin(labels, torch.tensor(classes))
    return images[rows], labels[rows]


def network(outputs):
    """The same for both; the statistics of batch-norm are kept for each task."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(128, outputs),
    )  # fmt: skip


# %%
# The learner: one `fit` a task.
learner = ContinualLearner(network(4), iterations=400, lr=3e-3, compression=2)
for name, classes in TASKS.items():
    learner.fit(*of(classes, ~new), task=name)

# %%
# The ordinary network has an output for every digit, and goes on learning.
plain = network(10)
adam = torch.optim.Adam(plain.parameters(), lr=1e-3)
for classes in TASKS.values():
    x, y = of(classes, ~new)
    for rows in torch.randint(len(x), (100, 64)):
        adam.zero_grad()
        nn.functional.cross_entropy(plain(x[rows]), y[rows]).backward()
        adam.step()

# %%
# Images that neither has seen.
print("accuracy after the last task   task given   not given   ordinary network")
for name, classes in TASKS.items():
    x, y = of(classes, new)
    right = float((plain.eval()(x).argmax(1) == y).float().mean())
    given, inferred = learner.score(x, y, task=name), learner.score(x, y)
    print(f"{name:28} {given:12.3f} {inferred:11.3f} {right:18.3f}")

x, y = images[new][:40:2], labels[new][:40:2]
found, forgotten = learner.predict(x), plain(x).argmax(1)
figure, axes = plt.subplots(4, 5, figsize=(4.6, 4.4), layout="constrained")
for place, axis in enumerate(axes.flat):
    axis.imshow(x[place, 0].numpy(), cmap="Blues")
    axis.set_title(f"{found[place]}   (plain: {forgotten[place]})", fontsize=8)
    axis.set_axis_off()
plt.show()
