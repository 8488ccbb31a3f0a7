"""Sensors of people: a person a task.

Ten people did seven exercises of the shoulder with a watch on their wrist. Each moves in a way of
their own, and their recordings arrive one person after another and may not be kept. The learner
makes a network for each person; one network trained on them in turn gets worse at the earlier ones.
Run it: `python examples/sensors.py`, after `pip install --no-deps seglearn`, which has the data.
"""

# %%
# 140 recordings of acceleration and rotation, 50 a second (Burns et al. 2018); cut into windows of
# two seconds. The last third of each recording is kept for the test.
import sys
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from hypermnesia import ContinualLearner

if (place := find_spec("seglearn")) is None:
    print("skipped: the package seglearn, which has the recordings, is not installed")
    sys.exit()
path = Path(place.submodule_search_locations[0]) / "data" / "watch_dataset.npy"
watch = np.load(path, allow_pickle=True).item()  # pickled by the package's authors
parts = {person: ([], [], [], []) for person in range(1, 11)}
for series, exercise, person in zip(watch["X"], watch["y"], watch["subject"], strict=True):
    windows = series[: len(series) // 100 * 100].reshape(-1, 100, 6).transpose(0, 2, 1)
    learned = len(windows) * 2 // 3
    for into, some in ((0, windows[:learned]), (2, windows[learned:])):
        parts[person][into].extend(some)
        parts[person][into + 1].extend([exercise] * len(some))
people = {person: [*map(np.array, part)] for person, part in parts.items()}
scale = np.concatenate([x for x, *_ in people.values()]).std((0, 2))[:, None]
for part in people.values():
    part[0], part[2] = (part[0] / scale).astype(np.float32), (part[2] / scale).astype(np.float32)

# %%
# A convolutional network over time; one `fit` a person. The same network goes on learning.
torch.manual_seed(0)
plain = nn.Sequential(
    nn.Conv1d(6, 16, 7, stride=3), nn.ReLU(), nn.Conv1d(16, 32, 5, stride=2), nn.ReLU(),
    nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(128, 7),
)  # fmt: skip
learner = ContinualLearner(plain, None, iterations=200, lr=3e-3)
adam = torch.optim.Adam(plain.parameters(), lr=3e-3)
for person, (x, y, *_) in people.items():
    learner.fit(x, y, task=person)
    for rows in torch.randint(len(x), (200, 64)):
        adam.zero_grad()
        logits, numbers = plain(torch.tensor(x)[rows]), torch.tensor(y)[rows]
        nn.functional.cross_entropy(logits, numbers).backward()
        adam.step()

# %%
# What is left of each person after the last one.
print("accuracy after the last person   learner   network trained in turn")
scores = []
for person, (_, _, x, y) in people.items():
    right = float((plain(torch.tensor(x)).argmax(1).numpy() == y).mean())
    scores.append((learner.score(x, y, task=person), right))
    print(f"person {person:<23} {scores[-1][0]:9.3f} {scores[-1][1]:25.3f}")
print(f"mean {np.mean(scores, 0)[0]:35.3f} {np.mean(scores, 0)[1]:25.3f}")
plt.plot([*people], [own for own, _ in scores], "o-", label="learner")
plt.plot([*people], [other for _, other in scores], "s--", label="network trained in turn")
plt.xlabel("person, in the order of learning")
plt.ylabel("accuracy after the last person")
plt.legend()
plt.show()
