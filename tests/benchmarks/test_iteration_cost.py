"""The benchmark's bookkeeping, and the peer held against our own direct sum."""

import json
from dataclasses import replace

import pytest
import torch
from benchmarks.counts import Sizes, count
from benchmarks.gradient_error import Errors, error_lines
from benchmarks.iteration_cost import main, run
from benchmarks.measure import VARIANTS, measure
from benchmarks.ours import add_untrained, build_method
from benchmarks.peer import build_networks
from benchmarks.report import Row, ratio_lines, table_lines
from benchmarks.spec import CannotMeasure, Spec

from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.regularization.output import DirectRegularizer, Snapshot

TINY = (
    *("target.hidden=[12, 8]", "train.batch_size=4", "hypernet.hidden=[6, 5]"),
    *("hypernet.chunk=900", "hypernet.task_embedding=3", "hypernet.chunk_embedding=4"),
)


def tiny(variant: str, old_tasks: int) -> Spec:
    return Spec(variant, old_tasks, outputs=5, warmup=1, iterations=3, assignments=TINY)


def tiny_memory(tasks: int) -> WeightMemory:
    spec = tiny("closed", tasks)
    method = build_method(spec, "closed")
    add_untrained(method, tasks, spec.outputs)
    return method.memory


def test_rows_of_our_variants() -> None:
    specs = [tiny(v, t) for t in (0, 2) for v in ("direct", "closed", "rows", "sampled")]
    rows = run(specs, rounds=2, measure=measure)
    assert [(r["variant"], r["old_tasks"]) for r in rows] == [
        (s.variant, s.old_tasks) for s in specs
    ]
    for row in rows:
        assert set(row) == set(Row.__annotations__)
        assert row["iterations"] == 6
        assert 0 < row["ms_q25"] <= row["ms"] <= row["ms_q75"]
        assert row["peak_mb"] > 0
    assert len(list(table_lines(rows))) == 2 + len(rows)


def test_errors_of_what_is_drawn() -> None:
    few = [replace(tiny(name, 3), rows=6, subset=2) for name in ("closed", "rows", "sampled")]
    errors = Errors(few[1])
    assert errors.of(replace(few[2], subset=3), 1) == (0, 0)
    assert 0.01 < min(errors.of(few[1], 3)) < 2
    lines = list(error_lines([tiny("rows", 0), *few], 2))
    assert [line[:20] for line in lines] == [
        "rows, 3 old tasks: e",
        "sampled, 3 old tasks",
    ]


def test_ratios_are_within_the_run() -> None:
    def row(variant: str, old_tasks: int, ms: float) -> Row:
        times = {"ms": ms, "ms_q25": ms, "ms_q75": ms, "user_ms": ms, "system_ms": 0.0}
        return Row(variant=variant, old_tasks=old_tasks, peak_mb=1.0, iterations=1, **times)

    lines = list(ratio_lines([row("closed", 0, 2.0), row("closed", 9, 3.0), row("peer", 9, 12.0)]))
    assert lines[0].startswith("closed, 9 over 0 old tasks: time 1.50")
    assert lines[1].startswith("peer over closed, 9 old tasks: time 4.00")


def test_command_leaves_out_what_cannot_run(tmp_path, capsys, monkeypatch) -> None:
    def refuse(spec: Spec) -> None:
        raise CannotMeasure("not here")

    monkeypatch.setitem(VARIANTS, "peer", refuse)
    monkeypatch.setattr("benchmarks.iteration_cost.measure_apart", measure)
    file = tmp_path / "rows.json"
    settings = [word for text in TINY for word in ("--set", text)]
    few = ["--old-tasks", "0,1", "--iterations", "3", "--rounds", "1", "--outputs", "5"]
    main([*few, *settings, "--variants", "closed,peer", "--json", str(file)])
    rows = json.loads(file.read_text())
    assert [(r["variant"], r["old_tasks"]) for r in rows] == [("closed", 0), ("closed", 1)]
    shown = capsys.readouterr()
    assert "| closed | 1 |" in shown.out
    assert "peer, 0 old tasks: left out, not here" in shown.err


def test_closed_form_is_counted_once_there_are_old_tasks() -> None:
    none, some, more = (count(Sizes.of(tiny_memory(tasks), batch=4)) for tasks in (1, 2, 9))
    work = [{line.name: line.operations for line in lines} for lines in (none, some, more)]
    grown = {name for name in work[2] if work[2][name] != work[1].get(name)}
    assert set(work[1]) - set(work[0]) >= {"lookahead", "head: gradient"}
    assert grown == {"features of old tasks"}


@pytest.mark.filterwarnings("ignore")
def test_the_peers_regulariser_is_our_direct_sum(double: None) -> None:
    pytest.importorskip("hypnettorch.hnets", reason="the extra 'bench' is not installed")
    from hypnettorch.utils.hnet_regularizer import calc_fix_target_reg, get_current_targets

    old, memory = 2, tiny_memory(3)
    spec = tiny("peer", old)
    inputs = torch.Size(spec.shape()).numel()
    _, peer = build_networks(spec.config(), inputs, spec.outputs, old + 1)
    theta = dict(memory.hypernet.named_parameters())
    chunks = theta.pop("chunk_embeddings")
    change = {name: 1e-3 * torch.randn_like(p) for name, p in theta.items()}
    change["chunk_embeddings"] = 1e-3 * torch.randn_like(chunks)

    def as_peer(named: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        # The peer's input is chunk embedding, then task embedding; its chunk embeddings come last.
        first, *rest = (p for name, p in named.items() if name != "chunk_embeddings")
        return [torch.cat([first[:, 3:], first[:, :3]], 1), *rest, named["chunk_embeddings"]]

    theta["chunk_embeddings"] = chunks
    with torch.no_grad():
        for theirs, ours in zip(peer.unconditional_params, as_peer(theta), strict=True):
            theirs.copy_(ours)
        for theirs, ours in zip(peer.conditional_params, memory.condition.embeddings, strict=True):
            theirs.copy_(ours)
    value = calc_fix_target_reg(
        peer, old, targets=get_current_targets(old, peer), dTheta=as_peer(change)
    )
    value.backward()

    snapshot = Snapshot(
        {name: p.detach().clone() for name, p in theta.items()},
        memory.condition(range(old)).detach(),
        memory.plans[:old],
    )
    point = {name: p.detach() + change[name] for name, p in theta.items()}
    gradients = {name: torch.zeros_like(p) for name, p in point.items()}
    ours = DirectRegularizer(memory.hypernet, snapshot)(point, gradients, 1.0)
    torch.testing.assert_close(value.detach(), ours)
    for theirs, mine in zip(peer.unconditional_params, as_peer(gradients), strict=True):
        torch.testing.assert_close(theirs.grad, mine)
