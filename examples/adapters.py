"""LoRA adapters of a transformer, written for PEFT.

A small vision transformer of Transformers learns the digits 0 to 3 in the usual way; three tasks of
two digits follow. One hypernetwork makes an adapter of rank 4 and a head for each. They are then
written in PEFT's own format, and PEFT itself loads them. Run it: `python examples/adapters.py`
(extra `peft`).
"""

# %%
# Inputs of such models are dicts; `fit` takes them by the names of the model's arguments.
import tempfile
import warnings

import matplotlib.pyplot as plt
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
new = torch.arange(len(labels)) % 5 == 0


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
for rows in torch.randint(len(y), (300, 64)):
    adam.zero_grad()
    torch.nn.functional.cross_entropy(base(x["pixel_values"][rows]).logits, y[rows]).backward()
    adam.step()

# %%
# `lora` is PEFT's, with names of layers; the learner makes what is in the adapters, and the head.
adapted = lora(base, 4, ["q_proj", "v_proj"])
learner = ContinualLearner(adapted, None, iterations=150, lr=3e-3)
for name, classes in TASKS.items():
    learner.fit(*of(classes, ~new), task=name)

# %%
# Adapters as files, loaded by PEFT into a model that knows nothing of Hypermnesia.
warnings.simplefilter("ignore", FutureWarning)  # of PEFT about Transformers
print("accuracy after the last task   learner   its adapter in PEFT")
with tempfile.TemporaryDirectory() as folder:
    paths = learner.export_adapters(folder)
    for name, classes in TASKS.items():
        x, y = of(classes, new)
        loaded = peft.PeftModel.from_pretrained(network(2, base.state_dict()), paths[name])
        right = float((loaded(**x).logits.argmax(1) + classes[0] == y).float().mean())
        own = learner.score(x, y, task=name)
        print(f"{name:28}   {own:7.3f}   {right:19.3f}")
        place = [*TASKS].index(name)
        plt.bar([place - 0.2, place + 0.2], [own, right], 0.38, color=["C0", "C1"])
print(learner.summary())
plt.xticks(range(3), [*TASKS])
plt.ylabel("accuracy: learner (left), adapter in PEFT")
plt.show()
