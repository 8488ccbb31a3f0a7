"""A pretrained transformer of Transformers, and a low-rank adapter a task from one hypernetwork.

A small vision transformer learns the digits 0 to 3 in the usual way; the others come two at a time,
and each task gets adapters of rank 4 and a head. They are then written in PEFT's own format, and
PEFT itself loads them. Run it: `python examples/adapters.py` (extra `peft`).
"""

import tempfile
import warnings

import peft
import torch
import transformers
from sklearn.datasets import load_digits

from hypermnesia import ContinualLearner, lora

TASKS = {"four or five": (4, 5), "six or seven": (6, 7), "eight or nine": (8, 9)}
SIZES = {"image_size": 8, "patch_size": 2, "num_channels": 1, "hidden_size": 64}
LAYERS = {"num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}

torch.manual_seed(0)
digits = load_digits()
images, labels = torch.tensor(digits.images / 16).float()[:, None], torch.tensor(digits.target)
new = torch.arange(len(labels)) % 5 == 0  # not learned from


def of(classes, which):
    """Images of some digits, by the name of the model's argument, and their labels."""
    rows = which & torch.isin(labels, torch.tensor(classes))
    return {"pixel_values": images[rows]}, labels[rows]


def network(outputs, weights=None):
    """A vision transformer, with the weights of another but for its head."""
    config = transformers.ViTConfig.from_dict({**SIZES, **LAYERS, "num_labels": outputs})
    model = transformers.ViTForImageClassification(config)
    own = {n: w for n, w in (weights or {}).items() if not n.startswith("classifier")}
    model.load_state_dict(own, strict=False)
    return model.eval()


base = network(4)
x, y = of(range(4), ~new)
adam = torch.optim.Adam(base.parameters(), lr=1e-3)
for _ in range(300):
    rows = torch.randint(len(y), (64,))
    loss = torch.nn.functional.cross_entropy(base(x["pixel_values"][rows]).logits, y[rows])
    adam.zero_grad()
    loss.backward()
    adam.step()

adapted = lora(base, 4, ["q_proj", "v_proj"])
learner = ContinualLearner(adapted, None, iterations=200, lr=3e-3)
for name, classes in TASKS.items():
    learner.fit(*of(classes, ~new), task=name)

warnings.simplefilter("ignore", FutureWarning)  # of PEFT about Transformers
print("accuracy after the last task   learner   its adapter in PEFT")
with tempfile.TemporaryDirectory() as folder:
    paths = learner.export_adapters(folder)
    for name, classes in TASKS.items():
        x, y = of(classes, new)
        loaded = peft.PeftModel.from_pretrained(network(2, base.state_dict()), paths[name])
        right = float((loaded(**x).logits.argmax(1) + classes[0] == y).float().mean())
        print(f"{name:28}   {learner.score(x, y, task=name):7.3f}   {right:19.3f}")
print(learner.summary())
