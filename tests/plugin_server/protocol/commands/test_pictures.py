"""Pictures over OSC: how their paths are read, whom they are read for, and what comes back."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from plugin_server.audio.formats.files import read_recipe
from plugin_server.errors import BadArgument
from plugin_server.protocol.access import check_images
from plugin_server.protocol.arguments import as_paths


@pytest.mark.parametrize(
    ("atoms", "paths"),
    [
        (["/a/b.jpg"], ("/a/b.jpg",)),
        (["/a/my", "summer", 2024, "b.jpg"], ("/a/my summer 2024 b.jpg",)),
        (["/a.jpg", "/b", "c.jpg", "/d.jpg"], ("/a.jpg", "/b c.jpg", "/d.jpg")),
        (["C:\\Users\\me\\my", "cat.jpg"], ("C:\\Users\\me\\my cat.jpg",)),
        (["C:/a.jpg", "D:/b.jpg"], ("C:/a.jpg", "D:/b.jpg")),
        # Max on macOS names the volume; the one that the system started from is the root.
        (["Macintosh HD:/Users/me/cat.jpg"], ("/Users/me/cat.jpg",)),
        (["Macintosh", "HD:/Users/me/cat.jpg"], ("/Users/me/cat.jpg",)),
        ([b"/a/\xc3\xa4.jpg"], ("/a/ä.jpg",)),
        (["~/a.jpg", "~/b", "~c.jpg"], (f"{Path.home()}/a.jpg", f"{Path.home()}/b ~c.jpg")),
        (["~nobody-of-this-name/a.jpg"], ("~nobody-of-this-name/a.jpg",)),
        (['"/a/my', 'summer.jpg"', "/b.jpg"], ("/a/my summer.jpg", "/b.jpg")),
        (['"/a.jpg"', "'/b c.jpg'"], ("/a.jpg", "/b c.jpg")),
        (["file:///a/my%20cat.jpg", "/b", "c.jpg"], ("/a/my cat.jpg", "/b c.jpg")),
        (["file:///a.jpg\r\nfile:///b%20c.jpg\r\n"], ("/a.jpg", "/b c.jpg")),
        (["file://server/a.jpg"], ("file://server/a.jpg",)),
        (["http://example.com/a.jpg"], ("http://example.com/a.jpg",)),
    ],
)
def test_paths_are_read_with_and_without_quotes(atoms, paths):
    assert as_paths(atoms) == paths


@dataclass
class From:
    host: str


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_have_its_files_looked_at(host):
    check_images(["rain", "@image", "/a.jpg"], From(host))


@pytest.mark.parametrize("host", ["192.168.1.20", "10.0.0.3", "::ffff:192.168.1.20", "fe80::1", "somewhere", ""])
def test_other_machines_may_not(host):
    check_images(["rain", 5, "@seed", 3], From(host))
    with pytest.raises(BadArgument, match="image: came from"):
        check_images(["rain", "@image", "/a.jpg"], From(host))


@pytest.fixture
def red(tmp_path):
    path = tmp_path / "my red.png"
    Image.new("RGB", (30, 20), "red").save(path)
    return path


def test_a_picture_becomes_a_clip_that_is_found_by_its_name(daemon, red):
    with daemon.client() as client:
        heard = list(client.generate("", 0.5, seed=6, image=str(red)))
        path = next(m for m in heard if m.address == "/clip").arguments[2]
        assert path == str(daemon.folder / "my-red_0.5s_s6_t1.wav")
        stages = dict.fromkeys(m.arguments[2] for m in heard if m.address == "/progress")
        assert [stage for stage in stages if stage in ("condition", "sampling")] == ["condition", "sampling"]
        info = client.ask("/clip/info", "last", reply="/clip.info")
        assert info[9] == "my red"
        assert client.ask("/clip/search", "red", reply="/clip.list")[1] >= 1
    recipe = read_recipe(daemon.folder / "my-red_0.5s_s6_t1.wav")
    assert recipe["images"] == [str(red)] and len(recipe["fingerprints"][0]) == 16
    assert recipe["blend"] == 1.0 and "via" not in recipe


def test_several_pictures_from_python(daemon, red, tmp_path):
    blue = tmp_path / "blue.png"
    Image.new("RGB", (30, 20), "blue").save(blue)
    with daemon.client() as client:
        heard = list(client.generate(seconds=0.5, seed=6, image=[str(red), str(blue)]))
    path = next(m for m in heard if m.address == "/clip").arguments[2]
    assert read_recipe(Path(path))["images"] == [str(red), str(blue)]


def test_the_same_picture_again_with_another_seed_until_it_was_changed(daemon, red):
    with daemon.client() as client:
        list(client.generate("", 0.5, seed=7, image=str(red)))
        client.send("/clip/again", "last", 8)
        while (message := client.receive(30)).address not in ("/done", "/fail"):
            if message.address == "/clip":
                assert message.arguments[2].endswith("my-red_0.5s_s8_t1.wav")
        assert message.address == "/done"
        Image.new("RGB", (30, 20), "blue").save(red)
        client.send("/clip/again", "last")
        while (message := client.receive(30)).address not in ("/done", "/fail"):
            pass
        assert message.arguments[1] == "bad_file" and "was changed since" in message.arguments[2]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["@image"], "bad_argument", "image: got nothing, expected a value after @image"),
        (["@image", "cat.png"], "bad_argument", "image: got 'cat.png', expected an absolute path"),
        (
            ["@image", "~no-one-here/a.png"],
            "bad_argument",
            "image: got '~no-one-here/a.png', expected an absolute path",
        ),
        (["@image", "http://example.com/cat.png"], "bad_argument", "expected an absolute path of a picture"),
        (["@image", *["/a.png"] * 17], "bad_argument", "image: got 17 of them, expected at most 16"),
        (["rain", "@blend", 0.5], "bad_argument", "blend: got 0.5, expected it beside both words and an image"),
        (["rain", "@image", "/a.png", "@blend", 2], "bad_argument", "blend: got 2, expected 0 to 1"),
        (["rain", "@via", "sd"], "bad_argument", "via: got sd, expected one of text, pd for toy"),
        (["rain", "@via", "sea"], "bad_argument", "via: got 'sea', expected one of text, zs, pd, sd"),
        (["@image", "/a.png", "@via", "pd"], "bad_argument", "via: got pd, expected it beside words"),
        (["@image", "/a.png", "@frames", 99], "bad_argument", "frames: got 99, expected 1 to 32"),
        (["@image", "/a.png", "@model", "slow-toy"], "bad_argument", "image: got 1, but slow-toy takes words only"),
        (["@image", "/none/a.png"], "bad_file", "image: /none/a.png is not there"),
        (["@image", "/dev/zero"], "bad_file", "image: /dev/zero is no file"),
        (["@image", "/"], "bad_file", "image: / is no file"),
    ],
)
def test_what_cannot_be_asked_for_is_told(daemon, arguments, code, told):
    with daemon.client() as client:
        client.send("/generate", *arguments)
        while (message := client.receive(20)).address != "/fail":
            assert message.address in ("/queued", "/progress")
        assert message.arguments[1] == code
        assert told in message.arguments[2]


def test_a_slot_gets_a_picture(daemon, red):
    with daemon.client() as client:
        client.ask("/bank/load", "mixed", reply="/done")
        client.send("/bank/set", 0, 0.5, "@image", *str(red).split(" "))
        while (message := client.receive(20)).address != "/done" or message.arguments[0] != "/bank/set":
            assert message.address != "/fail", message
        assert message.arguments[2] == "my red"
        client.send("/bank/render", 0)
        paths = []
        while (message := client.receive(30)).address not in ("/done", "/fail") or message.arguments[
            0
        ] != "/bank/render":
            paths += [message.arguments[2]] if message.address == "/clip" else []
        assert message.address == "/done", message
        assert "my-red_0.5s" in paths[0]
