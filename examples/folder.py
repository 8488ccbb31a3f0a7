"""LoRA for many tasks: sixteen adapters become one file.

A service has an adapter for each customer, trained and written by PEFT. One learner takes the
folder in, without any data, and answers for all sixteen from less room than eight of them take.
A small vision transformer that knows the digits 0 to 3 stands for the large model. Run it:
`python examples/folder.py` (extra `peft`).
"""

# %%
# Each customer has two digits of scikit-learn's.
import tempfile
import warnings
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
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
new = torch.arange(len(labels)) % 5 == 0


def of(classes, which):
    """Images of some digits, by the name of the model's argument, and their classes from 0."""
    rows = which & torch.isin(labels, torch.tensor(classes))
    return {"pixel_values": images[rows]}, torch.searchsorted(torch.tensor(classes), labels[rows])


def train(model, data, updates, lr):
    """In the usual way, what is not frozen."""
    x, y = data
    adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr)
    for rows in torch.randint(len(y), (updates, 32)):
        adam.zero_grad()
        torch.nn.functional.cross_entropy(model(x["pixel_values"][rows]).logits, y[rows]).backward()
        adam.step()
    return model


config = transformers.ViTConfig.from_dict({**SIZES, **LAYERS, "num_labels": 4})
base = transformers.ViTForImageClassification(config).eval()
train(base, of(range(4), ~new), updates=200, lr=2e-3)
base.classifier = torch.nn.Linear(32, 2)

# %%
# PEFT trains and writes an adapter a customer; the learner then takes all of them in.
with tempfile.TemporaryDirectory() as place:
    folders, before = {name: Path(place) / name for name in CUSTOMERS}, {}
    for name, classes in CUSTOMERS.items():
        adapter = train(lora(base, 4, ["q_proj", "v_proj"]), of(classes, ~new), 40, 5e-3)
        adapter.save_pretrained(folders[name])
        x, y = of(classes, new)
        before[name] = float((adapter(**x).logits.argmax(1) == y).float().mean())
    learner = ContinualLearner(lora(base, 4, ["q_proj", "v_proj"]), None, compression=8)
    errors = learner.import_adapters(folders)

# %%
# Frozen, it only answers, from any number of threads.
serving, after = learner.freeze(), {}
print("accuracy        its adapter in PEFT   in the hypernetwork   error of its weights")
for name, classes in CUSTOMERS.items():
    x, y = of(classes, new)
    after[name] = serving.score(x, y.numpy(), task=name)
    print(f"{name:14} {before[name]:21.3f} {after[name]:21.3f} {errors[name]:22.3f}")
plt.plot([0.5, 1], [0.5, 1], color="tab:gray")
plt.plot([*before.values()], [*after.values()], "o")
plt.xlabel("accuracy of a customer's own adapter")
plt.ylabel("made by the hypernetwork")
plt.show()
