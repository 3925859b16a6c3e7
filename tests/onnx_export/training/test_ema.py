"""The moving average of weights, against arithmetic."""

import pytest
import torch

from onnx_export.training.ema import EMA


class Counter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))


def test_the_first_updates_forget_the_start():
    module = Counter()
    ema = EMA(module, decay=0.9)
    module.weight.data.fill_(1.0)
    ema.update(module)
    # (1 + 1) / (10 + 1) of the old, and the rest of the new.
    assert float(ema.state["weight"]) == pytest.approx(1 - 2 / 11)
    ema.update(module)
    assert float(ema.state["weight"]) == pytest.approx(1 - 2 / 11 * 3 / 12)


def test_later_updates_use_the_decay():
    module = Counter()
    ema = EMA(module, decay=0.9)
    ema.count = 1000
    module.weight.data.fill_(1.0)
    ema.update(module)
    assert float(ema.state["weight"]) == pytest.approx(0.1)


def test_whole_numbers_are_copied():
    module = Counter()
    ema = EMA(module)
    module.steps.fill_(7)
    ema.update(module)
    assert int(ema.state["steps"]) == 7


def test_a_saved_average_continues():
    module = Counter()
    first = EMA(module, decay=0.5)
    module.weight.data.fill_(3.0)
    first.update(module)
    second = EMA(Counter(), decay=0.5)
    second.load_state_dict(first.state_dict())
    assert second.count == 1
    for ema in (first, second):
        ema.update(module)
    assert torch.equal(first.state["weight"], second.state["weight"])


def test_the_average_is_a_copy():
    module = Counter()
    ema = EMA(module)
    module.weight.data.fill_(5.0)
    assert float(ema.state["weight"]) == 0
