import logging
import os
from multiprocessing import Pipe

import pytest

from plugin_server.engine.messages import EngineOptions, GenerationParams, Run
from plugin_server.engine.process.worker import EngineWorker


class Ended(BaseException):
    """In place of the end of the process."""


def test_an_engine_whose_daemon_was_killed_ends_without_a_word(toys, monkeypatch, caplog):
    def end(status):
        raise Ended(status)

    theirs, ours = Pipe()
    worker = EngineWorker(theirs, EngineOptions((toys,), device="cpu", threads=1))
    worker._load("toy")
    monkeypatch.setattr(os, "_exit", end)
    ours.close()
    params = GenerationParams("rain", "", 0.5, seed=1, steps=2, guidance=1.0)
    with caplog.at_level(logging.WARNING), pytest.raises(Ended, match="0"):
        worker._answer_run(Run(1, (params,)))
    assert not caplog.records
