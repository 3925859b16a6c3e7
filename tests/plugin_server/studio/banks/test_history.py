"""Steps of banks."""

import pytest

from plugin_server.errors import NothingToUndo
from plugin_server.studio.banks import history as history_module
from plugin_server.studio.banks.history import BankHistory
from plugin_server.studio.banks.text_folder import TextFolder


@pytest.fixture(params=[True, False], ids=["files", "memory"])
def history(request, tmp_path):
    places = {"own": TextFolder(tmp_path / "own" if request.param else None)}
    return BankHistory(places, tmp_path / "steps" if request.param else None), places["own"]


def test_steps_go_back_and_forth_in_order(history):
    steps, own = history
    for text in ("1", "2", None):
        steps.apply("set", "kit", {("own", "kit"): text})
    seen = []
    for _ in range(3):
        steps.undo()
        seen.append(own.read("kit"))
    assert seen == ["2", "1", None]
    with pytest.raises(NothingToUndo):
        steps.undo()
    seen = []
    for _ in range(3):
        steps.redo()
        seen.append(own.read("kit"))
    assert seen == ["1", "2", None]
    with pytest.raises(NothingToUndo):
        steps.redo()


def test_something_new_drops_what_was_undone(history):
    steps, own = history
    steps.apply("set", "kit", {("own", "kit"): "1"})
    steps.undo()
    steps.apply("set", "kit", {("own", "kit"): "2"})
    with pytest.raises(NothingToUndo):
        steps.redo()
    steps.undo()
    assert own.read("kit") is None


def test_what_changes_nothing_is_no_step(history):
    steps, _ = history
    steps.apply("set", "kit", {("own", "kit"): None})
    with pytest.raises(NothingToUndo):
        steps.undo()


def test_old_steps_are_dropped(history, monkeypatch):
    monkeypatch.setattr(history_module, "MAX_STEPS", 3)
    steps, own = history
    for number in range(9):
        steps.apply("set", "kit", {("own", "kit"): str(number)})
    for _ in range(3):
        steps.undo()
    assert own.read("kit") == "5"
    with pytest.raises(NothingToUndo):
        steps.undo()


@pytest.mark.parametrize("content", ["", "[" * 5000, "{}", '{"kind": 1, "bank": 2, "changes": [{"place": "x"}]}'])
def test_a_step_that_cannot_be_read_is_passed_over(tmp_path, content):
    own = TextFolder(tmp_path / "own")
    steps = BankHistory({"own": own}, tmp_path / "steps")
    steps.apply("set", "kit", {("own", "kit"): "ä 1"})
    (tmp_path / "steps" / "00000002.json").write_text(content)
    steps.undo()
    assert own.read("kit") is None
