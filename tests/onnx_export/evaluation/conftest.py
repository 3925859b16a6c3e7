"""The toy corpus that judges are tested on, and a judge that was trained on it."""

from pathlib import Path

import pytest

from tests.support.corpus import EVALUATED_LABELS, embed_labels, write_corpus
from tests.support.toys import MEL, write_toy


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Ninety recordings of three labels."""
    return write_corpus(tmp_path_factory.mktemp("corpus"), 90, MEL.sample_rate)


@pytest.fixture(scope="session")
def cache(corpus, tmp_path_factory):
    from onnx_export.data.sounds import open_sound_dataset, read_catalog

    return open_sound_dataset(read_catalog(corpus), tmp_path_factory.mktemp("cache"), MEL)


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> Path:
    """The folder of a toy bundle without pictures."""
    folder = tmp_path_factory.mktemp("toy")
    write_toy(folder)
    return folder / "toy"


@pytest.fixture(scope="session")
def toy_model(toy):
    from onnx_export.commands.arguments import load_model

    return load_model(toy)


@pytest.fixture(scope="session")
def judge(cache):
    """A judge by mel statistics, with sentences of the labels."""
    from onnx_export.evaluation.features import MelStatistics
    from onnx_export.evaluation.judges import Judge

    return Judge.train(MelStatistics(MEL), cache, EVALUATED_LABELS, embed_labels)
