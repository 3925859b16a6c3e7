"""Pictures and videos of all kinds, and files that are neither or mean harm."""

import os
import shutil
import sys
import threading
import time

import numpy as np
import pillow_heif
import pytest
from PIL import Image, features

from plugin_server.engine.bundles.card import ImageSpec
from plugin_server.engine.inputs import images as pictures
from plugin_server.engine.inputs.images import LARGEST_SIDE, fit, normalise, read_images
from plugin_server.errors import BadFile
from tests.support.media import (
    BLUE,
    COLOURS,
    GREEN,
    RED,
    colour_of,
    turn_video,
    write_corner,
    write_picture,
    write_sound,
    write_video,
)


def read_one(path):
    (pixels,) = read_images(path)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    return pixels


def refusal(path) -> str:
    """What is said of a file that cannot be used, and at once."""
    began = time.monotonic()
    with pytest.raises(BadFile) as caught:
        read_images(path)
    assert time.monotonic() - began < 3
    assert str(caught.value).startswith(f"image: {path} ")
    return str(caught.value)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "avif"])
def test_pictures_of_every_kind(tmp_path, ending):
    pixels = read_one(write_corner(tmp_path / f"a.{ending}"))
    assert pixels.shape == (40, 60, 3)
    assert colour_of(pixels[:16, :24]) == RED
    assert colour_of(pixels[24:]) == colour_of(pixels[:16, 36:]) == BLUE


def test_the_name_of_a_file_does_not_matter(tmp_path):
    shutil.copy(write_picture(tmp_path / "a.png"), tmp_path / "a.mp4")
    assert colour_of(read_one(tmp_path / "a.mp4")) == RED


@pytest.fixture
def heif_writer(monkeypatch):
    """Pillow writes HEIC, too, and forgets it again."""
    Image.init()
    for table in ("OPEN", "SAVE", "MIME", "EXTENSION"):
        monkeypatch.setattr(Image, table, dict(getattr(Image, table)))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    pillow_heif.register_heif_opener()


def test_heic_as_telephones_make_it(tmp_path, heif_writer):
    pixels = read_one(write_corner(tmp_path / "a.heic"))
    assert pixels.shape == (40, 60, 3)
    assert colour_of(pixels[:16, :24]) == RED


@pytest.mark.parametrize("ending", ["jpg", "webp", "png", "heic"])
def test_a_picture_that_was_taken_upright_is_upright(tmp_path, heif_writer, ending):
    # Orientation 6: the camera was turned, and the picture is to be turned clockwise.
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write_corner(tmp_path / f"a.{ending.replace('heic', 'jpg')}", exif=exif)
    if ending == "heic":
        # Has a note of its own, which is made of that one.
        with Image.open(path) as picture:
            path = tmp_path / "a.heic"
            picture.save(path)
    pixels = read_one(path)
    assert pixels.shape == (60, 40, 3)
    assert colour_of(pixels[:24, 24:]) == RED
    assert colour_of(pixels[:24, :16]) == colour_of(pixels[36:]) == BLUE


def test_transparency_becomes_white(tmp_path):
    write_picture(tmp_path / "clear.png", (*RED, 0))
    write_picture(tmp_path / "half.webp", (*RED, 128), lossless=True)
    assert read_one(tmp_path / "clear.png").min() == 255
    assert read_one(tmp_path / "half.webp")[0, 0] == pytest.approx((np.array(RED) + 255) / 2, abs=2)
    grey = Image.new("LA", (20, 20), (0, 0))
    grey.save(tmp_path / "grey.png")
    assert read_one(tmp_path / "grey.png").min() == 255
    few = Image.new("P", (20, 20), 1)
    few.putpalette([0, 0, 0, *RED])
    few.save(tmp_path / "few.png", transparency=1)
    assert read_one(tmp_path / "few.png").min() == 255


def test_sixteen_bits_are_read_as_eight(tmp_path):
    Image.fromarray(np.full((20, 30), 0x80FF, np.uint16)).save(tmp_path / "a.png")
    assert np.unique(read_one(tmp_path / "a.png")) == [0x80]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_modes_become_three_channels(tmp_path, mode):
    ending = "jpg" if mode == "CMYK" else "png"
    Image.new("RGB", (30, 20), "white").convert(mode).save(tmp_path / f"a.{ending}")
    assert read_one(tmp_path / f"a.{ending}").min() >= 254


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_of_a_moving_picture_the_first_one_counts(tmp_path, ending):
    first, *others = [Image.new("RGB", (30, 20), colour) for colour in COLOURS]
    first.save(tmp_path / f"a.{ending}", save_all=True, append_images=others, lossless=True)
    assert [colour_of(pixels) for pixels in read_images(tmp_path / f"a.{ending}", 3)] == [RED]


def test_large_pictures_are_made_smaller(tmp_path):
    write_picture(tmp_path / "wide.jpg", RED, (6000, 40))
    write_picture(tmp_path / "line.png", RED, (5000, 1))
    assert read_one(tmp_path / "wide.jpg").shape == (7, LARGEST_SIDE, 3)
    assert read_one(tmp_path / "line.png").shape == (1, LARGEST_SIDE, 3)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "avif", "heic"])
def test_a_picture_that_was_cut_short_is_reported(tmp_path, heif_writer, ending):
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / f"whole.{ending}")
    data = (tmp_path / f"whole.{ending}").read_bytes()
    for kept in (40, len(data) // 2):
        (tmp_path / f"cut.{ending}").write_bytes(data[:kept])
        assert "is no picture that can be read" in refusal(tmp_path / f"cut.{ending}")


def test_pictures_that_would_fill_the_memory_are_refused(tmp_path):
    Image.new("1", (9500, 9500)).save(tmp_path / "large.png")
    assert (tmp_path / "large.png").stat().st_size < 100_000
    assert "is 9500 x 9500 pixels, expected at most 80 million" in refusal(tmp_path / "large.png")
    data = bytearray((tmp_path / "large.png").read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    (tmp_path / "larger.png").write_bytes(data)
    # Not for its checksum, which is wrong now.
    assert "large" in refusal(tmp_path / "larger.png") or "no picture" in refusal(tmp_path / "larger.png")


@pytest.mark.parametrize("head", [b"\xff\xd8\xff\xe0", b"", b"\x00\x00\x00\x18ftypisom", b"\x1a\x45\xdf\xa3"])
def test_a_huge_file_is_refused_without_being_read(tmp_path, head):
    with open(tmp_path / "huge", "wb") as file:
        file.write(head)
        file.truncate(50_000_000_000)
    said = refusal(tmp_path / "huge")
    assert ("has 50000 MB, expected at most 200" if head[:1] == b"\xff" else "neither a picture nor a video") in said


def test_a_file_that_is_no_picture_is_reported(tmp_path):
    (tmp_path / "words.txt").write_text("root:x:0:0:root:/root:/bin/bash\n" * 50)
    (tmp_path / "noise").write_bytes(np.random.default_rng(1).bytes(100_000))
    (tmp_path / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    for name in ("words.txt", "noise", "drawing.svg"):
        assert "is neither a picture nor a video that can be read" in refusal(tmp_path / name)
    (tmp_path / "nothing.png").touch()
    assert "is empty" in refusal(tmp_path / "nothing.png")
    assert "is not there" in refusal(tmp_path / "gone.png")
    assert "is no file" in refusal(tmp_path)
    assert "cannot be read" in refusal(tmp_path / "words.txt" / "below.png")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of Unix")
def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "is no file" in refusal(tmp_path / "pipe")
    (tmp_path / "link.png").symlink_to("/dev/zero")
    assert "is no file" in refusal(tmp_path / "link.png")
    # Another file may take its place just then.
    (tmp_path / "late.png").symlink_to(write_picture(tmp_path / "a.png"))
    stat = type(tmp_path).stat

    def swap(self, **more):
        found = stat(self, **more)
        if self.name == "late.png" and not more:
            self.unlink()
            self.symlink_to(tmp_path / "pipe")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(tmp_path), "stat", swap)
        assert "is no file" in refusal(tmp_path / "late.png")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="has /proc")
def test_what_the_kernel_makes_up_is_not_read(tmp_path):
    (tmp_path / "link").symlink_to("/proc/self/environ")
    assert "is empty" in refusal(tmp_path / "link")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("a.mp4", {}),
        ("a.mov", {"sound": True}),
        ("a.mkv", {"codec": "libx264", "gap": 250}),
        ("a.avi", {}),
        ("a.webm", {"codec": "libvpx"}),
        ("a.gif", {"codec": "gif"}),
        ("a.ts", {"codec": "mpeg2video", "rate": 25, "start_s": 40.0}),
    ],
)
def test_frames_are_spread_over_a_video(tmp_path, name, more):
    path = write_video(tmp_path / name, **more)
    assert [colour_of(pixels) for pixels in read_images(path)] == [RED]
    frames = read_images(path, 6)
    assert [colour_of(pixels) for pixels in frames] == [RED, RED, GREEN, GREEN, BLUE, BLUE]
    assert frames[0].shape == (48, 64, 3)


@pytest.mark.parametrize("ending", ["mp4", "ts"])
def test_a_long_video_is_read_by_seeking(tmp_path, ending):
    path = write_video(tmp_path / f"a.{ending}", COLOURS * 8, codec="mpeg2video", rate=25)
    # Seconds 4, 12 and 20 of red, green and blue in turn.
    assert [colour_of(pixels) for pixels in read_images(path, 3)] == [GREEN, RED, BLUE]


def test_more_frames_than_there_are(tmp_path):
    path = write_video(tmp_path / "a.mp4", [RED], rate=2)
    assert {colour_of(pixels) for pixels in read_images(path, 32)} == {RED}


def test_a_video_that_was_taken_upright_is_upright(tmp_path):
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("ffmpeg is not installed (Debian package ffmpeg)")
    path = write_video(tmp_path / "a.mp4")
    assert read_one(turn_video(program, path, tmp_path / "turned.mp4", 90)).shape == (64, 48, 3)


def test_a_broken_video_is_reported_and_a_damaged_one_is_read_around(tmp_path):
    path = write_video(tmp_path / "a.mkv", size=(320, 240), gap=5)
    data = bytearray(path.read_bytes())
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    assert colour_of(read_one(tmp_path / "cut.mkv")) == RED
    path = write_video(tmp_path / "a.mp4")
    (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "has no picture in it" in refusal(tmp_path / "cut.mp4")
    rng = np.random.default_rng(2)
    for place in rng.integers(1000, len(data) - 1000, 40):
        data[place] = rng.integers(256)
    (tmp_path / "damaged.mkv").write_bytes(data)
    assert len(read_images(tmp_path / "damaged.mkv", 3)) >= 1


def test_a_sound_alone_has_no_picture(tmp_path):
    assert "has no picture in it" in refusal(write_sound(tmp_path / "a.mp4"))


LISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.ts\n#EXT-X-ENDLIST\n",
    "a.ffconcat": "ffconcat version 1.0\nfile secret.ts\n",
    "a.sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "a.mpd": '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>secret.ts</BaseURL></Period></MPD>',
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_that_name_other_files_are_refused(tmp_path, name):
    write_video(tmp_path / "secret.ts", codec="mpeg2video", rate=25)
    (tmp_path / name).write_text(LISTS[name])
    assert "is neither a picture nor a video that can be read" in refusal(tmp_path / name)


def test_a_video_that_names_another_file_does_not_get_it(tmp_path, monkeypatch):
    """QuickTime's data references, if FFmpeg followed them."""
    opened = []
    monkeypatch.setattr(pictures, "_open_nothing", lambda url, *more: opened.append(url) or 1 / 0)
    data = write_video(tmp_path / "a.mov").read_bytes()
    itself = b"\x00\x00\x00\x0curl \x00\x00\x00\x01"
    assert data.count(itself) == 1
    other = b"file:///etc/passwd\x00"
    grown = len(other)
    data = data.replace(itself, (12 + grown).to_bytes(4, "big") + b"url \x00\x00\x00\x00" + other)
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = data.index(box) - 4
        size = int.from_bytes(data[place : place + 4], "big") + grown
        data = data[:place] + size.to_bytes(4, "big") + data[place + 4 :]
    (tmp_path / "other.mov").write_bytes(data)
    try:
        read_images(tmp_path / "other.mov")
    except BadFile as error:
        assert "root:" not in str(error)
    assert [url for url in opened if "passwd" in url] == opened


def test_a_video_with_frames_that_would_fill_the_memory_is_refused(tmp_path):
    path = write_video(tmp_path / "a.mkv", [RED], (5000, 2400), rate=1, codec="mjpeg")
    assert "too large a one, expected at most 4096 x 2304" in refusal(path)
    # One that says that it is small.
    width, height = b"\xb0\x82\x13\x88", b"\xba\x82\x09\x60"
    data = path.read_bytes()
    assert data.count(width) == data.count(height) == 1
    path.write_bytes(data.replace(width, b"\xb0\x82\x00\x40").replace(height, b"\xba\x82\x00\x40"))
    assert "image: " in refusal(path)


def test_a_video_takes_no_longer_than_it_may(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", COLOURS * 8)
    monkeypatch.setattr(pictures, "MAX_VIDEO_S", -1.0)
    assert "has no frame that can be read within -1 s" in refusal(path)
    monkeypatch.undo()
    # Time is up after the first frame: the frames that are reached first are taken.
    monkeypatch.setattr(pictures.time, "monotonic", _Clock(step=0.2))
    assert 1 <= len(read_images(path, 8)) <= 8


class _Clock:
    """Goes on by a step whenever it is looked at."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_a_missing_package_is_reported(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(100))
    video = write_video(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "av", None)
    for path in (tmp_path / "a.heic", video):
        assert 'pip install "clipsonic-live[pictures]"' in refusal(path)
    assert ("JPEG, PNG, WebP, AVIF or HEIC" in refusal(video)) == features.check("avif")
    assert colour_of(read_one(write_picture(tmp_path / "a.png"))) == RED


def test_pictures_are_cut_or_squashed_to_the_towers_size():
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = RED
    spec = ImageSpec(10, (0.5, 0.5, 0.5), (0.25, 0.5, 0.5))
    middle, whole = fit(pixels, spec), fit(pixels, ImageSpec(10, spec.mean, spec.std, "squash"))
    assert middle.shape == whole.shape == (10, 10, 3)
    assert np.abs(middle[5, 5].astype(int) - RED).max() <= 1
    assert whole[5, 0].max() == 0 and np.abs(whole[5, 5].astype(int) - RED).max() <= 8
    numbers = normalise([pixels, pixels], spec)
    assert numbers.shape == (2, 3, 10, 10) and numbers.dtype == np.float32
    wanted = (np.array(RED) / 255 - 0.5) / [0.25, 0.5, 0.5]
    assert numbers[0, :, 5, 5] == pytest.approx(wanted, abs=0.02)


def test_pictures_can_be_read_in_any_thread(tmp_path):
    path, found = write_video(tmp_path / "a.mp4"), []
    thread = threading.Thread(target=lambda: found.extend(read_images(path, 3)))
    thread.start()
    thread.join(10)
    assert len(found) == 3
