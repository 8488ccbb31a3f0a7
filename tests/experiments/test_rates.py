import math
import time

import pytest
import torch

from hypermnesia.experiments.doctor import one_thread, product_rate, seconds_of


def test_the_shortest_time_counts_and_the_first_does_not():
    waits = iter([0.0, 0.03, 0.01, 0.02])
    taken = seconds_of(lambda: time.sleep(next(waits)), 3)
    assert 0.01 <= taken < 0.02


def test_nothing_begins_once_the_budget_is_spent():
    calls = []
    seconds_of(lambda: calls.append(time.sleep(0.01)), 100, budget=0.02)
    assert 2 <= len(calls) <= 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_of_any_format_has_a_rate(dtype):
    rate = product_rate(32, 16, 8, dtype, repeats=2)
    assert 0 < rate < math.inf


def test_a_product_that_cannot_be_done_is_an_error():
    with pytest.raises(RuntimeError):
        product_rate(8, 8, 8, torch.bool)


def test_the_number_of_threads_comes_back_whatever_happens(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert asked == [1, 7]
