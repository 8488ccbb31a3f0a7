"""Unknown tasks, and inputs that are none of them.

After training nobody says which task an image is of: the learner infers it. Some images are of no
task at all, here of digits that were never shown; `reject` gives up 5 percent of the known ones to
find them. Run it: `python examples/unknown.py`.
"""

# %%
# Two tasks of scikit-learn's digits. 6 to 9 are kept out altogether.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner

TASKS = {"0 to 2": (0, 1, 2), "3 to 5": (3, 4, 5)}
x, y = load_digits(return_X_y=True)
x = (x / 16).astype(np.float32)
new = np.arange(len(y)) % 4 == 0  # not learned from
model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 3))
learner = ContinualLearner(model, iterations=400, lr=3e-3)
for name, classes in TASKS.items():
    rows = np.isin(y, classes) & ~new
    learner.fit(x[rows], y[rows], task=name)
print(learner.inference)

# %%
# The task, its probability, and None where an image is less like every task than nearly all that
# the fits held out.
print("digits    right task   rejected   mean probability of the task")
asked = {**TASKS, "6 to 9": (6, 7, 8, 9)}
for name, classes in asked.items():
    images = x[new & np.isin(y, classes)]
    told = learner.predict_task(images, reject=0.05)
    rejected = np.array([task is None for task in told.tasks])
    right = (learner.predict_task(images).tasks == name).mean()
    print(f"{name:8} {right:11.3f} {rejected.mean():10.3f} {told.confidence.mean():16.3f}")

# %%
# What it goes by: how likely an image is under all that was learned.
bins = [*range(-150, 151, 5)]
for name, classes in asked.items():
    found = learner.score_samples(x[new & np.isin(y, classes)])
    plt.hist(np.clip(found, -150, 150), bins, alpha=0.6, label=f"digits {name}")
plt.xlabel("log p(x), nats")
plt.ylabel("images")
plt.legend()
plt.show()
