"""A new task from a few samples.

Eight cameras, each mounted at an angle of its own, have been learned. A ninth comes with only a
few labelled images: `adapt` looks for its embedding and leaves the hypernetwork as it is, so what
was learned of cameras serves the new one. A network trained on these images alone is far behind.
Run it: `python examples/few_shot.py`.
"""

# %%
# Scikit-learn's digits 0 to 4, turned. The known cameras see the first 700, the new one others.
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import rotate
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from torch import nn

from hypermnesia import ContinualLearner

digits = load_digits(n_class=5)
images, labels = digits.images / 16, digits.target


def camera(angle, rows):
    """(n, 64) images as a camera at this angle sees them, and their labels."""
    turned = rotate(images[rows], angle, axes=(2, 1), reshape=False, order=1)
    return turned.reshape(-1, 64).astype(np.float32), labels[rows]


# %%
# The known cameras, a task each.
old, new = np.arange(700), np.arange(700, len(labels))
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5))
learner = ContinualLearner(model, None, iterations=300, lr=3e-3)
for angle in range(0, 360, 45):
    learner.fit(*camera(angle, old), task=f"at {angle} degrees")

# %%
# The new camera, from 5 to 80 labelled images.
COUNTS = (5, 10, 20, 40, 80)
x, y = camera(110, new)
scores = []
print("labelled images   adapted   network of its own")
for count in COUNTS:
    learner.adapt(x[:count], y[:count], task="new camera")
    alone = MLPClassifier((64,), max_iter=200, random_state=0, tol=0.01)
    for _ in range(200):
        alone.partial_fit(x[:count], y[:count], classes=range(5))
    scores.append((learner.score(x[80:], y[80:], task="new camera"), alone.score(x[80:], y[80:])))
    print(f"{count:15} {scores[-1][0]:9.3f} {scores[-1][1]:20.3f}")
    learner.remove("new camera")
plt.semilogx(COUNTS, [adapted for adapted, _ in scores], "o-", label="adapted")
plt.semilogx(COUNTS, [own for _, own in scores], "s--", label="network of its own")
plt.xticks(COUNTS, [*map(str, COUNTS)])
plt.minorticks_off()
plt.xlabel("labelled images of the new camera")
plt.ylabel("accuracy on others")
plt.legend()
plt.show()
