"""A folder of adapters that PEFT trained and wrote, compressed into one hypernetwork and served.

A small vision transformer knows the digits 0 to 3. For sixteen customers, each with two digits,
PEFT trains an adapter in the usual way. One learner takes the folder in, without any data, and then
answers for all of them. Run it: `python examples/folder.py` (extra `peft`).
"""

import tempfile
import warnings
from itertools import combinations
from pathlib import Path

import torch
import transformers
from sklearn.datasets import load_digits

from hypermnesia import ContinualLearner, lora

SIZES = {"image_size": 8, "patch_size": 2, "num_channels": 1, "hidden_size": 32}
LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
CUSTOMERS = {f"customer {n}": two for n, two in enumerate([*combinations(range(3, 10), 2)][:16])}

torch.manual_seed(0)
warnings.simplefilter("ignore", FutureWarning)  # of PEFT about Transformers
digits = load_digits()
images, labels = torch.tensor(digits.images / 16).float()[:, None], torch.tensor(digits.target)
new = torch.arange(len(labels)) % 5 == 0  # not learned from


def of(classes, which):
    """Images of some digits, by the name of the model's argument, and their classes from 0."""
    rows = which & torch.isin(labels, torch.tensor(classes))
    return {"pixel_values": images[rows]}, torch.searchsorted(torch.tensor(classes), labels[rows])


def train(model, x, y, updates, lr):
    """In the usual way, what is not frozen."""
    adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr)
    for _ in range(updates):
        rows = torch.randint(len(y), (32,))
        loss = torch.nn.functional.cross_entropy(model(x["pixel_values"][rows]).logits, y[rows])
        adam.zero_grad()
        loss.backward()
        adam.step()
    return model


def accuracy(model, x, y):
    """The share of right answers."""
    return float((model(**x).logits.argmax(1) == y).float().mean())


config = transformers.ViTConfig.from_dict({**SIZES, **LAYERS, "num_labels": 4})
base = transformers.ViTForImageClassification(config).eval()
x, y = of(range(4), ~new)
train(base, x, y, 200, 2e-3)
base.classifier = torch.nn.Linear(32, 2)

with tempfile.TemporaryDirectory() as place:
    folders, before = {name: Path(place) / name for name in CUSTOMERS}, {}
    for name, classes in CUSTOMERS.items():
        x, y = of(classes, ~new)
        adapter = train(lora(base, 4, ["q_proj", "v_proj"]), x, y, 40, 5e-3)
        adapter.save_pretrained(folders[name])
        before[name] = accuracy(adapter, *of(classes, new))
    learner = ContinualLearner(lora(base, 4, ["q_proj", "v_proj"]), None, compression=8)
    errors = learner.import_adapters(folders)

serving = learner.freeze()  # only answers, from any number of threads
print("accuracy        its adapter in PEFT   in the hypernetwork   error of its weights")
for name, classes in CUSTOMERS.items():
    x, y = of(classes, new)
    told = serving.score(x, y.numpy(), task=name)
    print(f"{name:14} {before[name]:21.3f} {told:21.3f} {errors[name]:22.3f}")
print(learner.summary())
