"""The loaded bank with banks in a folder and clips that a dictionary holds."""

from pathlib import Path

import pytest

from plugin_server.errors import BadArgument, UnknownBank, UnknownModel
from plugin_server.studio.banks.files import BankRegistry
from plugin_server.studio.banks.loaded import LoadedBank
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.requests import Generate

BANK = """
name = "{name}"
description = "The bank {name}"

[[slots]]
prompt = "rain"
seed = 1

[[slots]]
name = "Big Bell"
prompt = "bell"
seed = 2
"""


class Clips:
    """The clips that were made so far, by prompt; counts what is asked for."""

    def __init__(self) -> None:
        self.by_prompt: dict[str, ClipMade] = {}
        self.asked: list[str] = []

    def add(self, prompt: str) -> ClipMade:
        self.by_prompt[prompt] = ClipMade(prompt, Path(f"{prompt}.wav"), 0.5, 1, 1)
        return self.by_prompt[prompt]

    def find(self, request: Generate) -> ClipMade | None:
        self.asked.append(request.prompt)
        if request.prompt == "no model":
            raise UnknownModel("model: got 'none'")
        return self.by_prompt.get(request.prompt)


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("alpha", "beta", "gamma"):
        (tmp_path / f"{name}.toml").write_text(BANK.format(name=name))
    return tmp_path


@pytest.fixture
def clips() -> Clips:
    return Clips()


@pytest.fixture
def loaded(folder, clips) -> LoadedBank:
    return LoadedBank(BankRegistry([folder]), clips.find, "beta")


def test_nothing_is_read_before_a_bank_is_needed(loaded, clips):
    assert loaded.bank is None
    assert loaded.clip(0) is None
    loaded.invalidate(0)
    assert clips.asked == []
    assert loaded.require_bank().name == "beta"
    assert loaded.bank is loaded.require_bank()
    assert clips.asked == ["rain", "bell"]


def test_a_bank_that_is_loaded_has_the_clips_that_exist(loaded, clips):
    rain = clips.add("rain")
    loaded.load("alpha")
    assert (loaded.clip(0), loaded.clip(1)) == (rain, None)


def test_a_refresh_searches_only_the_slots_without_a_clip(loaded, clips):
    clips.add("rain")
    loaded.require_bank()
    bell = clips.add("bell")
    clips.asked.clear()
    assert loaded.refresh_clips() == [1]
    assert clips.asked == ["bell"]
    assert loaded.clip(1) is bell
    assert loaded.refresh_clips() == []


def test_a_clip_that_was_invalidated_is_searched_again(loaded, clips):
    clips.add("rain")
    loaded.require_bank()
    loaded.invalidate(0)
    assert loaded.clip(0) is None
    assert loaded.refresh_clips() == [0]
    loaded.invalidate(99)


def test_a_slot_whose_model_is_missing_leaves_the_others_usable(loaded, clips):
    bell = clips.add("bell")
    loaded.require_bank()
    loaded.set(0, Generate("no model", seed=1))
    assert (loaded.clip(0), loaded.clip(1)) == (None, bell)


@pytest.mark.parametrize(("steps", "name"), [([1], "gamma"), ([1, 1], "alpha"), ([-1], "alpha"), ([-1, -1], "gamma")])
def test_stepping_goes_round_the_list(loaded, steps, name):
    for step in steps:
        bank = loaded.step(step)
    assert bank.name == loaded.bank.name == name


def test_stepping_from_a_bank_whose_file_was_removed_begins_at_the_first(loaded, folder):
    loaded.require_bank()
    (folder / "beta.toml").unlink()
    assert loaded.step(1).name == "alpha"


def test_without_any_bank_there_is_no_step(tmp_path, clips):
    with pytest.raises(UnknownBank, match="there are no banks"):
        LoadedBank(BankRegistry([tmp_path]), clips.find, "beta").step(1)


def test_a_bank_is_loaded_by_its_number(loaded):
    assert [loaded.load_number(number).name for number in range(3)] == ["alpha", "beta", "gamma"]
    for number in (-1, 3):
        with pytest.raises(BadArgument, match=f"bank: got number {number}, expected 0 to 2"):
            loaded.load_number(number)


def test_a_bank_that_cannot_be_loaded_leaves_the_old_one(loaded):
    loaded.load("alpha")
    with pytest.raises(UnknownBank, match="'delta'"):
        loaded.load("delta")
    assert loaded.bank.name == "alpha"


@pytest.mark.parametrize(("slot", "number"), [(0, 0), (1, 1), ("rain", 0), ("BIG bell", 1)])
def test_a_slot_is_known_by_number_or_name(loaded, slot, number):
    assert loaded.number_of(slot) == number
    assert loaded.slot(number) == loaded.bank.slots[number]


@pytest.mark.parametrize(
    ("slot", "sentence"), [(2, "slot: got 2, expected 0 to 1 in beta"), ("sea", "slot: got 'sea'")]
)
def test_an_unknown_slot_is_refused(loaded, slot, sentence):
    with pytest.raises(BadArgument, match=sentence):
        loaded.number_of(slot)


def test_an_edited_slot_loses_its_clip_and_the_others_keep_theirs(loaded, clips):
    clips.add("rain")
    bell = clips.add("bell")
    loaded.require_bank()
    slot = loaded.set(0, Generate("thunder", seed=1))
    assert (slot.name, loaded.bank.slots[0].request.prompt) == ("thunder", "thunder")
    assert (loaded.clip(0), loaded.clip(1)) == (None, bell)
    # A slot behind the last is added, with the clip that it has already.
    loaded.set(2, Generate("rain", seed=1))
    assert len(loaded.bank.slots) == 3
    assert loaded.clip(2).id == "rain"


def test_edits_outlast_another_bank_but_not_the_process(loaded, folder, clips):
    loaded.require_bank()
    loaded.set(0, Generate("thunder", seed=1))
    loaded.load("alpha")
    assert loaded.load("beta").slots[0].request.prompt == "thunder"
    again = LoadedBank(BankRegistry([folder]), clips.find, "beta")
    assert again.require_bank().slots[0].request.prompt == "rain"


def test_a_bank_that_is_saved_is_edited_no_longer(loaded, folder):
    loaded.require_bank()
    loaded.set(0, Generate("thunder", seed=1))
    assert [row.is_edited for row in loaded.summaries()] == [False, True, False]
    bank, path = loaded.save()
    assert (bank.name, path) == ("beta", folder / "beta.toml")
    assert not any(row.is_edited for row in loaded.summaries())
    assert BankRegistry([folder]).find("beta").slots[0].request.prompt == "thunder"


def test_a_bank_saved_under_another_name_is_the_loaded_one_then(loaded, folder, clips):
    rain = clips.add("rain")
    loaded.require_bank()
    bank, path = loaded.save("delta")
    assert (bank.name, path.name, loaded.bank.name) == ("delta", "delta.toml", "delta")
    assert loaded.clip(0) is rain
    assert BankRegistry([folder]).find("beta").name == "beta"
    with pytest.raises(BadArgument, match="name: got"):
        loaded.save("No Name!")


def test_summaries_list_what_cannot_be_used_too(loaded, folder):
    (folder / "broken.toml").write_text("name = ")
    loaded.require_bank()
    rows = {row.name: row for row in loaded.summaries()}
    assert list(rows) == ["alpha", "beta", "broken", "gamma"]
    assert (rows["alpha"].description, rows["alpha"].n_slots) == ("The bank alpha", 2)
    assert [name for name, row in rows.items() if row.is_loaded] == ["beta"]
    assert rows["broken"].n_slots == 0
    assert "broken.toml cannot be read" in rows["broken"].description


@pytest.mark.parametrize(
    "name", ["Big Bell", "big bell", '"Big Bell"', "Big\u00a0 Bell", "“Big Bell”", "Big Be\u00adll"]
)
def test_a_slot_is_found_by_its_name_however_that_is_written(loaded, name):
    assert loaded.number_of(name) == 1


@pytest.mark.parametrize("name", ["alpha", '"alpha"', " alpha ", "\uff41lpha"])
def test_a_bank_is_found_by_its_name_however_that_is_written(loaded, name):
    assert loaded.load(name).name == "alpha"
