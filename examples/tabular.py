"""Wine, breast cancer and digits, one after another, in one learner.

The tables have 13, 30 and 64 columns and 3, 2 and 10 classes. One model takes them all, as each is
standardised and filled up with columns of zeros. Run it: `python examples/tabular.py`.
"""

import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

from hypermnesia import ContinualLearner

WIDTH = 64


def wide(x):
    """(n, columns) standardised values -> (n, WIDTH) of them, and zeros."""
    x = torch.as_tensor(x, dtype=torch.float32)
    return nn.functional.pad(x, (0, WIDTH - x.shape[1]))


def split(table):
    """Samples to learn from and samples to test on, standardised by the first."""
    labels = table.target_names[table.target]
    x, new_x, y, new_y = train_test_split(
        table.data, labels, test_size=0.3, stratify=labels, random_state=0
    )
    scaler = StandardScaler().fit(x)
    return wide(scaler.transform(x)), y, wide(scaler.transform(new_x)), new_y


def train_plain(model, tasks, classes, updates=400):
    """What an ordinary network does: it goes on learning, with an output for every class."""
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    for x, y, _, _ in tasks.values():
        numbers = torch.tensor([classes.index(label) for label in y])
        for _ in range(updates):
            rows = torch.randint(len(x), (64,))
            loss = nn.functional.cross_entropy(model(x[rows]), numbers[rows])
            adam.zero_grad()
            loss.backward()
            adam.step()


def network(outputs):
    """The same for both."""
    return nn.Sequential(nn.Linear(WIDTH, 100), nn.ReLU(), nn.Linear(100, outputs))


torch.manual_seed(0)
tables = {"wine": load_wine(), "breast cancer": load_breast_cancer(), "digits": load_digits()}
tasks = {name: split(table) for name, table in tables.items()}

learner = ContinualLearner(network(2), iterations=600, lr=3e-3, compression=2)
for name, (x, y, _, _) in tasks.items():
    learner.fit(x, y, task=name)

classes = learner.classes().tolist()
plain = network(len(classes))
train_plain(plain, tasks, classes)

print("accuracy after the last task   task given   not given   ordinary network, not given")
for name, (_, _, x, y) in tasks.items():
    given, inferred = learner.score(x, y, task=name), learner.score(x, y)
    answers = [classes[number] for number in plain(x).argmax(1)]
    right = sum(a == b for a, b in zip(answers, y.tolist(), strict=True)) / len(y)
    print(f"{name:28}   {given:10.3f}   {inferred:9.3f}   {right:27.3f}")
print(learner.summary())
