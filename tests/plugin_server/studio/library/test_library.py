import unicodedata

import pytest

from plugin_server.errors import BadArgument, UnknownClip
from plugin_server.studio.library.tags_and_terms import MAX_TAG_LENGTH, MAX_TAGS, MAX_WORDS
from tests.plugin_server.studio.library.conftest import names
from tests.support.recipes import sound, write_made


def test_the_newest_come_first_and_page_by_page(shelf, library):
    shelf.make(library, *(f"clip{i}.wav" for i in range(5)))
    assert names(library.newest(2)) == ["clip4.wav", "clip3.wav"]
    assert names(library.newest(9, 3)) == ["clip1.wav", "clip0.wav"]
    assert library.newest(2).total == 5


def test_an_record_is_what_the_file_says(shelf, library):
    path = write_made(shelf.folder, "sea.wav", "sea waves", seed=7, take=3)
    library.add(path, "r")
    record = library.find("last")
    assert (record.id, record.path, record.file.prompt) == (sound(7).fingerprint(), path, "sea waves")
    assert (record.file.seconds, record.file.seed, record.file.take, record.file.model) == (0.5, 7, 3, "toy")
    assert (record.is_starred, record.tags, record.state) == (False, "", "here")
    assert library.find("LAST") == library.find("Last") == record


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("sea", ["b.wav", "a.wav"]),
        ("SEA wav", ["b.wav", "a.wav"]),
        ("sea night", ["b.wav"]),
        ("mowe", ["c.wav"]),
        ("Möwe", ["c.wav"]),
        ("雨", ["d.wav"]),
        ('"sea" OR rain*', []),
        ("prompt:sea", []),
        ("tiger", []),
    ],
)
def test_words_are_found_by_their_beginnings(shelf, library, words, found):
    prompts = {"a": "sea waves", "b": "sea waves at night", "c": "Möwe am Hafen", "d": "雨の音"}
    for name, prompt in prompts.items():
        shelf.make(library, f"{name}.wav", prompt=prompt)
    page = library.search(words, 10)
    assert (names(page), page.total) == (found, len(found))


def test_names_tags_and_stars_are_found_too(shelf, library):
    shelf.make(library, "kick-808_1s_s5_t1.wav", "other.wav")
    library.tag("other", "Dark night")
    library.star("other")
    assert names(library.search("kick 808", 5)) == ["kick-808_1s_s5_t1.wav"]
    assert names(library.search("dar", 5)) == names(library.search("starred", 5)) == ["other.wav"]
    library.star("other", starred=False)
    library.tag("other", "-dark")
    assert library.search("dark", 5).total == library.search("starred", 5).total == 0


@pytest.mark.parametrize("words", ["", "  ", "!?", "a " * (MAX_WORDS + 1)])
def test_nothing_to_look_for_is_an_error(library, words):
    with pytest.raises(BadArgument, match="words: got"):
        library.search(words, 5)


def test_a_clip_is_named_in_many_ways(shelf, library):
    (path,) = shelf.make(library, "sub/rain_0.5s_s1_t1.wav")
    wanted = library.find("last")
    for name in (wanted.id, wanted.id.upper(), "rain_0.5s_s1_t1", "rain_0.5s_s1_t1.wav", str(path)):
        assert library.find(name) == wanted
    assert library.find("sub/rain_0.5s_s1_t1.wav") == library.find(f"{shelf.folder}/x/../sub/{path.name}") == wanted


@pytest.mark.parametrize("name", ["", "none", "/etc/passwd", "../clips/rain.wav", "sub/none.wav", "a" * 5000, "\0"])
def test_what_is_no_clip_is_an_error(shelf, library, name):
    shelf.make(library, "rain.wav")
    with pytest.raises(UnknownClip, match="clip: got"):
        library.find(name)


def test_last_of_nothing_is_an_error(library):
    with pytest.raises(UnknownClip, match="'last'"):
        library.find("last")


def test_a_name_is_found_however_its_accents_are_written(shelf, library):
    shelf.make(library, "möwe.wav")
    assert library.find(unicodedata.normalize("NFD", "möwe")).path.name == "möwe.wav"


def test_of_copies_the_newest_whose_file_is_there_is_meant(shelf, library):
    first, second = (write_made(shelf.folder, name, seed=1) for name in ("a.wav", "b.wav"))
    library.add(first, "1")
    library.add(second, "2")
    clip_id = library.find("last").id
    assert library.find(clip_id).path == second
    library.undo()
    assert library.find(clip_id).path == first


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "tags: got nothing"),
        ("x" * (MAX_TAG_LENGTH + 1), f"expected at most {MAX_TAG_LENGTH} characters"),
        (" ".join(map(str, range(MAX_TAGS + 1))), f"tags: got {MAX_TAGS + 1}, expected at most {MAX_TAGS}"),
    ],
)
def test_tags_have_limits(shelf, library, words, sentence):
    shelf.make(library, "a.wav")
    with pytest.raises(BadArgument, match=sentence):
        library.tag("a", words)


def test_tags_are_added_once_and_taken_away(shelf, library):
    shelf.make(library, "a.wav")
    assert library.tag("a", "Dark night").tags == "Dark night"
    assert library.tag("a", "dark loop").tags == "Dark night loop"
    assert library.tag("a", "-DARK -none").tags == "night loop"


def test_tags_that_look_alike_are_one(shelf, library):
    shelf.make(library, "a.wav")
    for word in ("Köln", "Ko\u0308ln", "“Köln”", "Köl\u00adn", '"köln"'):
        assert library.tag("a", word).tags == "Köln"
    assert library.search("Ko\u0308ln", 5).total == 1
    assert library.tag("a", "-ko\u0308ln").tags == ""
    # As an earlier version may have left them.
    library._index.write(lambda connection: connection.execute("UPDATE clips SET tags = 'Köln Ko\u0308ln'"))
    assert library.tag("a", "night").tags == "Köln night"
    assert library.tag("a", '"-köln"').tags == "night"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("-rain", ["sea.wav"]),
        ("sea -rain", ["sea.wav"]),
        ('"-rain"', ["sea.wav"]),
        ("\u2212rain", ["sea.wav"]),
        ("-ra", ["sea.wav"]),
        ("-sea -rain", []),
        ("night -starred", ["sea.wav"]),
        ("-starred", ["both.wav", "sea.wav"]),
        ("night -", ["sea.wav", "rain.wav"]),
        ("night & -sea", ["rain.wav"]),
    ],
)
def test_a_word_with_a_minus_is_not_to_be_found(shelf, library, words, found):
    shelf.make(library, "rain.wav", prompt="rain at night")
    shelf.make(library, "sea.wav", prompt="sea at night")
    shelf.make(library, "both.wav", prompt="rain at sea")
    library.star("rain")
    page = library.search(words, 5)
    assert (names(page), page.total) == (found, len(found))
    assert library.search(words, 1, 1).clips == page.clips[1:2]


def test_a_cancelled_clip_leaves_no_trace(shelf, library):
    shelf.make(library, "a.wav", request="a")
    (path,) = shelf.make(library, "b.wav", request="b")
    path.unlink()
    library.remove(path)
    assert names(library.newest(5)) == ["a.wav"]
    assert [record.path.name for record in library.undo().clips] == ["a.wav"]


def test_clips_are_found_by_the_request_that_made_them(shelf, library):
    for name, values in {
        "a.wav": {},
        "b.wav": {},
        "other-seed.wav": {"seed": 2},
        "other-prompt.wav": {"prompt": "sea"},
        "other-model.wav": {"model": "slow-toy"},
    }.items():
        library.add(write_made(shelf.folder, name, **values), name)
    found = library.find_by_request("sea waves", 1, "toy")
    assert [clip.path.name for clip in found] == ["b.wav", "a.wav"]
    assert library.find_by_request("sea waves", 3, "toy") == []


def test_a_request_finds_its_clip_wherever_it_was_moved(shelf, library):
    path = write_made(shelf.folder, "a.wav")
    library.add(path, "r")
    path.rename(shelf.folder / "moved.wav")
    (clip,) = library.find_by_request("sea waves", 1, "toy")
    assert clip.path.name == "moved.wav"
    clip.path.unlink()
    assert library.find_by_request("sea waves", 1, "toy") == []
