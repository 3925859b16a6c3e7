"""Pictures as prompts, as a person and a patch ask for them."""

import os
import wave

import numpy as np
import pytest
from PIL import Image

from plugin_server.audio.formats.files import read_recipe
from plugin_server.client import Client
from tests.journeys.conftest import serving
from tests.journeys.test_banks import write_bank
from tests.journeys.test_commands import run
from tests.support.media import write_video

QUICK = ["--seconds", "0.5", "--steps", "1", "--seed", "7"]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "my sea.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)).save(path)
    return path


def samples(path):
    with wave.open(str(path)) as file:
        return file.readframes(99999)


def test_a_picture_becomes_a_clip_and_the_same_again(tmp_path, picture):
    run(tmp_path, "generate", "--image", str(picture), *QUICK, "--folder", str(tmp_path / "one"))
    made = tmp_path / "one" / "my-sea_0.5s_s7_t1.wav"
    run(tmp_path, "generate", "--like", str(made), "--folder", str(tmp_path / "two"))
    assert samples(tmp_path / "two" / made.name) == samples(made)
    (picture.parent / "moved.png").write_bytes(picture.read_bytes())
    picture.write_bytes(b"")
    assert "is empty" in run(tmp_path, "generate", "--like", str(made), status=1).stderr
    moved = ["--image", str(picture.parent / "moved.png")]
    run(tmp_path, "generate", "--like", str(made), *moved, "--folder", str(tmp_path / "three"))
    (again,) = (tmp_path / "three").glob("*.wav")
    assert samples(again) == samples(made)


def test_words_and_pictures_blend(tmp_path, picture):
    """At the ends of the blend are the words alone and the picture alone."""
    asked = {
        "words": {"prompt": "thunder"},
        "0": {"prompt": "thunder", "image": str(picture), "blend": 0},
        "half": {"prompt": "thunder", "image": str(picture)},
        "1": {"prompt": "thunder", "image": str(picture), "blend": 1},
        "picture": {"prompt": "", "image": str(picture)},
    }
    made = {}
    with serving(tmp_path) as daemon, Client(daemon.port) as client:
        for name, arguments in asked.items():
            messages = client.generate(seconds=0.5, steps=1, seed=7, **arguments)
            made[name] = samples(next(m for m in messages if m.address == "/clip").arguments[2])
            # What is left of the messages is not the next clip's.
            list(messages)
    assert made["words"] == made["0"] and made["1"] == made["picture"]
    assert len({made["words"], made["half"], made["picture"]}) == 3


def test_several_pictures_may_lie_anywhere(tmp_path, picture):
    """Paths count from where the command was typed; the same request again finds the files from everywhere."""
    film = write_video(tmp_path / "film.mp4")
    images = [part for path in (picture, film) for part in ("--image", os.path.relpath(path))]
    folder = ["--folder", str(tmp_path / "one")]
    run(tmp_path, "generate", "rain", *images, "--frames", "3", "--via", "text", *QUICK, *folder)
    made = tmp_path / "one" / "rain_0.5s_s7_t1.wav"
    recipe = read_recipe(made)
    assert recipe["images"] == [str(picture), str(film)]
    assert (recipe["frames"], recipe["via"], recipe["blend"]) == (3, "text", 0.5)
    # A number beside a picture is its length.
    run(tmp_path, "generate", "0.75", "--image", str(picture), "--steps", "1", "--seed", "7", *folder)
    assert len(samples(tmp_path / "one" / "my-sea_0.75s_s7_t1.wav")) == 36000 * 3
    # Flags change what a clip was made of.
    run(tmp_path, "generate", "--like", str(made), "--blend", "0.9", "--folder", str(tmp_path / "two"))
    (changed,) = (tmp_path / "two").glob("*.wav")
    assert read_recipe(changed)["blend"] == 0.9 and read_recipe(changed)["images"] == recipe["images"]
    assert samples(changed) != samples(made)


def test_a_bank_of_pictures_is_checked_made_and_exported(tmp_path, picture):
    path = write_bank(tmp_path, "seen", '[defaults]\nseconds = 0.5\nsteps = 1\n[[slots]]\nimage = "my sea.png"\n')
    ended = run(tmp_path, "banks", "check", "seen", status=1)
    assert f"slot 0: image: {path.parent / 'my sea.png'} is not there, expected a picture or a video" in ended.stdout
    refused = run(tmp_path, "banks", "render", "seen", status=1).stderr
    assert f"seen: slot 0: image: {path.parent / 'my sea.png'} is not there" in refused
    picture.rename(path.parent / picture.name)
    assert "all is well" in run(tmp_path, "banks", "check", "seen").stdout
    folder = ["--folder", str(tmp_path / "clips")]
    assert "1 clips, 1 of them new" in run(tmp_path, "banks", "render", "seen", *folder).stdout
    assert "my sea" in run(tmp_path, "banks", "show", "seen", *folder).stdout
    run(tmp_path, "banks", "export", "seen", *folder, "--to", str(tmp_path / "kit"))
    assert sorted(p.name for p in (tmp_path / "kit").iterdir()) == ["01 my sea.wav", "seen.dspreset", "seen.sfz"]


def test_what_is_no_picture_is_told(tmp_path, picture):
    (tmp_path / "x.txt").write_text("not a picture")
    assert "x.txt is neither" in run(tmp_path, "generate", "--image", str(tmp_path / "x.txt"), status=1).stderr
    assert "not there" in run(tmp_path, "generate", "--image", str(tmp_path / "none.png"), status=1).stderr
    asked = ["generate", "--image", str(picture), "--blend", "0.5"]
    assert "blend: got 0.5" in run(tmp_path, *asked, status=1).stderr


def test_a_patch_sends_a_path_and_gets_a_clip(tmp_path, picture):
    """Also after a file that broke its job."""
    (tmp_path / "broken.png").write_bytes(picture.read_bytes()[:200])
    with serving(tmp_path) as daemon, Client(daemon.port) as client:
        *_, failed = client.generate("", 0.5, image=str(tmp_path / "broken.png"), steps=1)
        assert failed.address == "/fail" and failed.arguments[1] == "bad_file"
        messages = list(client.generate("rain", 0.5, image=str(picture), blend=0.3, steps=1, seed=3))
        assert messages[-1].address == "/done" and messages[-1].arguments[2] == 1
        clip = next(m for m in messages if m.address == "/clip")
        assert clip.arguments[2].endswith("rain_0.5s_s3_t1.wav")
        # A path with spaces as Max sends it without quotes.
        client.send("/generate", 0.5, "@steps", 1, "@id", "spaces", "@image", *str(picture).split(" "))
        while (message := client.receive(60)).address not in ("/done", "/fail"):
            pass
        assert message.address == "/done", message
        path = client.ask("/clip/info", "last", reply="/clip.info")
        assert "my sea" in path[9]
