"""Leaves out, with the reason, the modules whose libraries are not installed: so they import plainly."""

from importlib.util import find_spec
from pathlib import Path

import pytest

NOT_INSTALLED = {"torch": "the train extra is not installed", "av": "PyAV is not installed"}
"""Library to why modules that need it are left out."""
NEEDS = {"test_embedding_space.py": (), "test_reader.py": ("av",), "test_video_training.py": ("torch", "av")}
"""Module to its libraries; the others need torch alone."""


class _Skipped(pytest.Module):
    """A module that is not imported."""

    reason = ""

    def collect(self):
        pytest.skip(self.reason, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Take the place of a module that could not be imported."""
    for library in NEEDS.get(module_path.name, ("torch",)):
        if find_spec(library) is None:
            module = _Skipped.from_parent(parent, path=module_path)
            module.reason = NOT_INSTALLED[library]
            return module
    return None
