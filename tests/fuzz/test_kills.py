"""Some kills at random moments, as `python -m tests.fuzz.kills` does hundreds of."""

import sys

import pytest

from tests.fuzz.kills import TARGETS, Loss

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")

TIMES = {"engine": 4, "daemon": 3}
SEED = 20_261_127


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_was_told_is_lost(tmp_path, name):
    loss = TARGETS[name](tmp_path, TIMES[name], SEED)
    assert not loss.faults, str(loss)
    assert loss.clips and loss.stars and loss.tags and loss.saves, str(loss)


def test_a_loss_is_told():
    loss = Loss(kills=1, faults=["kill 1: rain.wav was announced and is not there"])
    assert "FAULT        kill 1: rain.wav was announced and is not there" in str(loss)
