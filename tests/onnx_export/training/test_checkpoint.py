"""Checkpoints: replaced whole, resumed from, and those of earlier versions."""

import pytest
import torch

from onnx_export.training.checkpoint import Checkpoint, CheckpointMetadata, load_ema, read_metadata, read_start
from onnx_export.training.ema import EMA


def linear(value):
    module = torch.nn.Linear(2, 1)
    torch.nn.init.constant_(module.weight, value)
    return module


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "net.pt"


def test_parts_and_step_come_back(path):
    module = linear(3.0)
    Checkpoint(path, {"model": module, "average": EMA(module)}).save(12)
    other = linear(0.0)
    checkpoint = Checkpoint(path, {"model": other, "average": EMA(other)})
    assert checkpoint.load() == checkpoint.start == 12
    assert torch.equal(other.weight, module.weight)
    assert not list(path.parent.glob("*.part"))


def test_without_a_file_a_run_begins_at_zero(path):
    module = linear(1.0)
    assert Checkpoint(path, {"model": module}).load() == 0 == read_start(path)
    assert float(module.weight[0, 0]) == 1


def test_a_part_that_the_file_lacks_stays_as_it_is(path):
    Checkpoint(path, {"model": linear(3.0)}).save(1)
    other = linear(5.0)
    Checkpoint(path, {"discriminators": other}).load()
    assert float(other.weight[0, 0]) == 5


def test_averaged_weights_are_loaded_for_evaluation(path):
    module = linear(1.0)
    ema = EMA(module)
    torch.nn.init.constant_(module.weight, 9.0)
    Checkpoint(path, {"model": module, "average": ema}).save(4)
    other = linear(0.0).train()
    assert load_ema(path, other) == 4
    assert float(other.weight[0, 0]) == 1 and not other.training


def test_metadata_is_typed(path):
    metadata = CheckpointMetadata("toy", ("text", "image"), heads=6, seed=0)
    Checkpoint(path, {"model": linear(1.0)}, metadata).save(1)
    assert read_metadata(path) == metadata
    assert read_start(path) == 1


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({}, CheckpointMetadata()),
        ({"embedding": "toy"}, CheckpointMetadata("toy")),
        (
            {"embedding": "toy", "conditions": "text,image", "heads": "6"},
            CheckpointMetadata("toy", ("text", "image"), heads=6),
        ),
        ({"conditions": "image"}, CheckpointMetadata(conditions=("image",))),
    ],
)
def test_checkpoints_of_earlier_versions_are_read(path, notes, expected):
    module = linear(2.0)
    path.parent.mkdir()
    torch.save({"step": 5, **notes, "model": module.state_dict(), "average": EMA(module).state_dict()}, path)
    assert read_metadata(path) == expected
    other = linear(0.0)
    assert load_ema(path, other) == 5 == Checkpoint(path, {"model": other}).load()
    assert torch.equal(other.weight, module.weight)
