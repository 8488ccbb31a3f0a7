"""Tables with different columns.

Wine, breast cancer and digits come one after another, with 13, 30 and 64 columns and 3, 2 and 10
classes. One learner takes them all and is then asked for any of them, also where nobody says which
table a row is from. Beside it an ordinary network goes on learning, and forgets. Run it:
`python examples/tabular.py`.
"""

# %%
# The tables are in scikit-learn. Each is standardised, and filled up with columns of zeros so that
# one model fits all; its labels are words or digits, as they are.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn

from hypermnesia import ContinualLearner

WIDTH = 64
tasks = {}
for name, load in {"wine": load_wine, "cancer": load_breast_cancer, "digits": load_digits}.items():
    table = load()
    x = StandardScaler().fit_transform(table.data)
    x = np.pad(x, ((0, 0), (0, WIDTH - x.shape[1]))).astype(np.float32)
    y = table.target_names[table.target].astype(str)
    tasks[name] = train_test_split(x, y, test_size=0.3, stratify=y, random_state=0)

# %%
# The learner gets any module and one `fit` a table. It keeps no row of the tables before.
model = nn.Sequential(nn.Linear(WIDTH, 100), nn.ReLU(), nn.Linear(100, 2))
learner = ContinualLearner(model, iterations=400, lr=3e-3, compression=2)
for name, (x, _, y, _) in tasks.items():
    learner.fit(x, y, task=name)

# %%
# An ordinary network of the same size learns the same tables in the same order.
plain = MLPClassifier((100,), random_state=0)
for x, _, y, _ in tasks.values():
    for _ in range(40):
        plain.partial_fit(x, y, classes=learner.classes())

# %%
# Rows that neither has seen, of all three tables, after the last one was learned.
columns = ("table given", "table not given", "ordinary network")
print("accuracy after the last table  " + "   ".join(columns))
scores = []
for name, (_, x, _, y) in tasks.items():
    scores.append((learner.score(x, y, task=name), learner.score(x, y), plain.score(x, y)))
    print(f"{name:28} {scores[-1][0]:13.3f} {scores[-1][1]:17.3f} {scores[-1][2]:18.3f}")
print(learner.summary())

figure, axes = plt.subplots(layout="constrained")
for place, (label, heights) in enumerate(zip(columns, np.transpose(scores), strict=True)):
    axes.bar(np.arange(3) + 0.27 * (place - 1), heights, 0.25, label=label)
axes.set_xticks(range(3), [*tasks])
axes.set_ylabel("accuracy after the last table")
figure.legend(loc="outside lower center", ncols=3)
plt.show()
