"""Fixtures of the studio's tests: generators with and without a library."""

import pytest
from PIL import Image

from plugin_server.audio.finish import FinishSettings
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.studio.generator import ClipGenerator, GeneratorSettings
from plugin_server.studio.library.library import Library
from tests.conftest import trash_in


@pytest.fixture
def generator(engine, toys, tmp_path) -> ClipGenerator:
    return ClipGenerator(
        GeneratorSettings(tmp_path / "clips", "toy", 24, FinishSettings()), BundleRegistry((toys,)), engine
    )


@pytest.fixture
def library(tmp_path):
    library = Library(tmp_path / "clips", tmp_path / "index.sqlite3", trash_in(tmp_path))
    yield library
    library.close()


@pytest.fixture
def library_generator(engine, toys, tmp_path, library) -> ClipGenerator:
    """A generator whose clips go into a library."""
    return ClipGenerator(
        GeneratorSettings(tmp_path / "clips", "toy", 24, FinishSettings()), BundleRegistry((toys,)), engine, library
    )


@pytest.fixture
def red(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "my red.png")
    return tmp_path / "my red.png"
