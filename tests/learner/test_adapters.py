"""Pretrained models of Transformers, several inputs, and adapters of PEFT, in both directions."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch as safetensors
import torch
from torch import Tensor, nn

from hypermnesia import ConfigError, ContinualLearner, DataError, RunError, TargetError, lora

transformers = pytest.importorskip("transformers", reason="the extra peft is not installed")
peft = pytest.importorskip("peft", reason="the extra peft is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of PEFT about Transformers

SIZES = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2}
STILL = {"iterations": 1, "lr": 1e-12, "validation": 0.0}


def bert(outputs: int = 2) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        own = {"vocab_size": 50, "intermediate_size": 32, "max_position_embeddings": 16}
        config = transformers.BertConfig(**SIZES, **own, num_labels=outputs)
        return transformers.BertForSequenceClassification(config).eval()


def gpt(outputs: int = 2) -> nn.Module:
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
    config = transformers.GPT2Config(
        vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=16, num_labels=outputs, **ids
    )
    return transformers.GPT2ForSequenceClassification(config).eval()


def vit(outputs: int = 2) -> nn.Module:
    own = {"intermediate_size": 32, "image_size": 8, "patch_size": 4, "num_labels": outputs}
    return transformers.ViTForImageClassification(transformers.ViTConfig(**SIZES, **own)).eval()


def tokens(n: int = 60) -> tuple[dict[str, Tensor], Tensor]:
    """Padded, and told apart by their first."""
    ids = torch.randint(2, 50, (n, 8), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[: n // 2, 6:] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}, (ids[:, 0] > 25).long()


def pixels() -> tuple[dict[str, Tensor], Tensor]:
    return {"pixel_values": torch.rand(20, 3, 8, 8)}, torch.arange(20) % 2


MODELS = {
    "bert": (bert, tokens, None),
    "gpt": (gpt, tokens, None),
    "vit": (vit, pixels, ["v_proj", "value"]),
}


@torch.no_grad()
def logits(model: nn.Module, x: dict[str, Tensor]) -> Tensor:
    return model.eval()(**x).logits


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("adapted", [False, True], ids=["whole", "lora"])
def test_equal_logits_before_the_first_update(name: str, adapted: bool) -> None:
    make, data, layers = MODELS[name]
    model, (x, y) = make(), data()
    given = lora(model, 2, layers) if adapted else model
    learner = ContinualLearner(given, None, **STILL)
    for task in "ab":
        learner.fit(x, y, task=task)
        assert torch.allclose(logits(learner.export(task), x), logits(model, x), atol=1e-6)
    assert learner.start.startswith("pretrained: the model is one of ")


def learned(**settings: object) -> ContinualLearner:
    x, y = tokens()
    made = ContinualLearner(lora(bert(), 4), None, validation=0, lr=1e-2, **settings)
    made.fit(x, y, task="a")
    return made.fit(x, (x["input_ids"][:, 1] % 3).numpy(), task="b")


def test_an_exported_adapter_gives_peft_the_same_logits(tmp_path: Path) -> None:
    learner, (x, _) = learned(iterations=40), tokens()
    paths = learner.export_adapters(tmp_path)
    assert paths == {"a": tmp_path / "a", "b": tmp_path / "b"}
    for task, outputs in (("a", 2), ("b", 3)):
        loaded = peft.PeftModel.from_pretrained(bert(outputs), str(paths[task]))
        assert (logits(loaded, x) - logits(learner.export(task), x)).abs().max() <= 1e-6
    with pytest.raises(RunError, match="new folder"):
        learner.export_adapter("a", paths["a"])
    learner.freeze().export_adapter("b", paths["a"], overwrite=True)
    assert "classifier" in (paths["a"] / "adapter_config.json").read_text()


def test_adapters_of_peft_become_tasks_without_data(tmp_path: Path) -> None:
    x, _ = tokens()
    for number in range(3):
        config = peft.LoraConfig(r=4 - number, lora_alpha=8, modules_to_save=["classifier"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            adapted = peft.get_peft_model(bert(2 + number), config)
        generator = torch.Generator().manual_seed(number)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
        adapted.save_pretrained(str(tmp_path / str(number)), save_embedding_layers=False)
    learner = ContinualLearner(lora(bert(), 4), None, iterations=500, compression=6.0)
    folders = {name: tmp_path / str(number) for number, name in enumerate("ab")}
    errors = learner.import_adapters(folders, classes={"b": ["x", "y", "z"]})
    assert errors.keys() == {"a", "b"}
    assert max(errors.values()) < 0.15
    errors["c"] = learner.import_adapter(tmp_path / "2", "c")
    assert errors["c"] < 0.3
    assert set(learner.predict(x, task="b")) <= {"x", "y", "z"}
    for number, task in enumerate("ab"):
        own = peft.PeftModel.from_pretrained(bert(2 + number), str(folders[task]))
        wanted = logits(own, x)
        assert (logits(learner.export(task), x) - wanted).std() < 0.5 * wanted.std(dim=0).mean()
    with pytest.raises(ConfigError, match="different names"):
        learner.import_adapter(tmp_path / "0", "a")
    with pytest.raises(RunError, match="no adapter_config"):
        learner.import_adapter(tmp_path, "d")
    with pytest.raises(RunError, match="rank 4 for 2"):
        ContinualLearner(lora(bert(), 2), None).import_adapter(tmp_path / "0", "a")
    with pytest.raises(ConfigError, match="without data"):
        ContinualLearner(lora(bert(), 4), "gaussian").import_adapter(tmp_path / "0", "a")
    with pytest.raises(TargetError, match="of a model of PEFT"):
        ContinualLearner(bert(), None).import_adapter(tmp_path / "0", "a")


def test_a_saved_learner_of_adapters_holds_no_base(tmp_path: Path) -> None:
    learner, (x, _) = learned(iterations=5, compression=8), tokens()
    learner.save(tmp_path / "learner")
    loaded = ContinualLearner.load(tmp_path / "learner", lora(bert(), 4))
    assert np.array_equal(loaded.predict_proba(x, "b"), learner.predict_proba(x, "b"))
    base = sum(p.numel() for p in bert().parameters())
    assert learner._knowledge.method.kept < base
    with torch.random.fork_rng():
        torch.manual_seed(1)
        other = transformers.BertForSequenceClassification(bert().config)
    with pytest.raises(RunError, match=r"other values of '.*embeddings.weight'"):
        ContinualLearner.load(tmp_path / "learner", lora(other, 4))


def test_no_layer_for_an_adapter_is_refused() -> None:
    with pytest.raises(ConfigError, match="that PEFT finds"):
        lora(bert(), 2, ["nowhere"])


class Texts(torch.utils.data.Dataset):
    """Token ids of several lengths, with their labels."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, row: int) -> dict[str, object]:
        return {"input_ids": [5 + row % 2] * (3 + row % 4), "label": row % 2}


def padded(items: list[dict[str, object]]) -> dict[str, Tensor]:
    """What `DataCollatorWithPadding` does."""
    width = max(len(item["input_ids"]) for item in items)
    ids = torch.tensor([[*i["input_ids"], *[0] * (width - len(i["input_ids"]))] for i in items])
    labels = torch.tensor([item["label"] for item in items])
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": labels}


def test_a_loader_that_pads() -> None:
    loader = torch.utils.data.DataLoader(Texts(), 8, shuffle=True, collate_fn=padded)
    learner = ContinualLearner(bert(), None, iterations=60, lr=3e-3, validation=0.2)
    learner.fit(loader, task="a")
    assert learner.score(loader, task="a") == 1.0
    assert len(learner.predict(loader, task="a")) == 24
    with pytest.raises(DataError, match="one shape"):
        learner.fit(Texts(), task="b")


def test_the_parts_of_inputs_stay_the_same() -> None:
    x, y = tokens()
    learner = ContinualLearner(bert(), None, **STILL).fit({**x, "labels": y}, task="a")
    encoding = transformers.BatchEncoding(dict(x))
    assert np.array_equal(learner.predict(encoding, "a"), learner.predict(x, "a"))
    with pytest.raises(DataError, match="got input_ids; give attention_mask, input_ids"):
        learner.predict({"input_ids": x["input_ids"]}, "a")
    with pytest.raises(DataError, match="along their first axis"):
        learner.predict({**x, "attention_mask": x["attention_mask"][:3]}, "a")


def test_gaussians_of_a_frozen_layer_tell_tasks_apart() -> None:
    x, y = tokens(120)
    own, mask = x["input_ids"].clamp(max=20), x["attention_mask"]
    x, other = ({"input_ids": ids * mask, "attention_mask": mask} for ids in (own, own + 25))
    learner = ContinualLearner(
        lora(bert(), 2, ["value"]), features="base_model.model.bert.embeddings", **STILL
    )
    learner.fit(x, y, task="a").fit(other, y, task="b")
    assert learner.inference.startswith("gaussian")
    assert (learner.predict_task(other).tasks == "b").mean() > 0.95
    with pytest.raises(DataError, match="needs inputs that are one tensor"):
        ContinualLearner(bert(), "gaussian", **STILL).fit(x, y, task="a")


def test_rows_of_several_tasks_in_one_pass_of_the_base() -> None:
    learner, (x, _) = learned(iterations=5), tokens()
    tasks = np.array(["a", "b", "b"])[np.arange(60) % 3]
    found = learner.predict_proba(x, tasks)
    assert learner._learned.method.memory.target.in_rows
    for task, columns in (("a", slice(2)), ("b", slice(3))):
        own = {name: value[torch.from_numpy(tasks == task)] for name, value in x.items()}
        assert np.allclose(
            found[tasks == task, columns], learner.predict_proba(own, task), atol=1e-6
        )


class Blocks(nn.Module):
    """As a block of EfficientNet, of which a convolution has a filter a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.norm = nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.each, self.narrow = nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 6, 1)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.relu(self.norm(self.wide(x)))
        return self.head(torch.relu(self.narrow(self.each(wide))).mean((2, 3)))


def test_adapters_of_convolutions_and_whole_norms_go_to_peft_and_back(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        base, x = Blocks().eval(), torch.rand(60, 3, 6, 6)
    base.norm.running_mean += 0.3
    adapted = lora(base, 2, ["wide", "narrow"], learned=["norm"])
    learner = ContinualLearner(adapted, None, iterations=30, lr=1e-2, validation=0)
    for task, channel in (("a", 0), ("b", 1)):
        y = (x[:, channel].mean((1, 2)) > x[:, 2].mean((1, 2))).long()
        learner.fit(x, y, task=task)
    paths, other = (
        learner.export_adapters(tmp_path),
        ContinualLearner(adapted, None, iterations=200),
    )
    for task, path in paths.items():
        loaded = peft.PeftModel.from_pretrained(copy.deepcopy(base), str(path)).eval()
        norm = loaded.base_model.model.norm.modules_to_save["default"]
        assert not torch.equal(norm.weight, base.norm.weight)
        assert torch.equal(norm.running_mean, base.norm.running_mean)
        assert (loaded(x) - learner.export(task)(x)).abs().max() <= 1e-6
    assert other.import_adapter(paths["b"], "b") < 0.1
    assert (other.export("b")(x) - learner.export("b")(x)).abs().max() < 0.1
    stored = peft.load_peft_weights(str(paths["a"]))
    stored["base_model.model.norm.running_mean"] += 1
    safetensors.save_file(stored, paths["a"] / "adapter_model.safetensors")
    with pytest.raises(RunError, match=r"other values of '.*norm.*running_mean'"):
        other.import_adapter(paths["a"], "a")
    with pytest.raises(ConfigError, match="groups=8"):
        lora(base, 2, ["wide", "each"])


def test_layers_to_learn_must_be_there() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3))
    with pytest.raises(ConfigError, match="learned must name layers of the model; got nrom"):
        lora(model, 2, ["0"], learned=["nrom"])
    alone, listed = (lora(model, 2, ["0"], learned=given) for given in ("1", ["1"]))
    assert alone.state_dict().keys() == listed.state_dict().keys()
    assert any(p.requires_grad for n, p in alone.named_parameters() if ".1." in n)
