"""Videos to clips: what is heard and seen in them, and what becomes of those that cannot be used."""

import csv
import json
import os
import pickle
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from onnx_export.data.sounds import split_of
from onnx_export.joint_embeddings import JointEmbedding
from onnx_export.video.cutting import Cutting
from onnx_export.video.features import FeatureSettings, VideoSet, features_folder, make_features
from onnx_export.video.lists import find_videos
from onnx_export.video.prefetch import prefetch
from onnx_export.video.reader import ReadResult, Video, read_video
from plugin_server.audio.spectral import MelSettings, log_mel

MEL = MelSettings(sample_rate=16000, n_fft=512, hop=128, n_mels=64, f_max_hz=8000.0)
CUTTING = Cutting(clip_s=2.0, n_frames=4, least_s=0.5, longest_s=20.0)
RED, BLUE, GREEN = (220, 20, 20), (20, 20, 220), (20, 220, 20)


def film(path, parts, rate=16000, fps=10, size=(64, 48), sound="aac", video="mpeg4", display_turn=0, options=None):
    """Write a video of parts (seconds, colour or None for no picture, Hz or 0 for silence, -1 for noise, None for no
    sound)."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options=options or {}) as container:
        pictures = None
        if any(colour for _, colour, _ in parts):
            pictures = container.add_stream(video, rate=fps, width=size[0], height=size[1])
            pictures.pix_fmt = "yuvj420p" if video == "mjpeg" else "yuv420p"
            if display_turn:
                pictures.set_display_rotation(display_turn)
        heard = None
        if any(pitch is not None for _, _, pitch in parts):
            heard = container.add_stream(sound, rate=rate, layout="stereo")
        n_samples = 0
        for seconds, colour, pitch in parts:
            for _ in range(round(seconds * float(fps)) if colour else 0):
                pixels = np.full((size[1], size[0], 3), colour, np.uint8)
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            if heard:
                n = round(seconds * rate)
                wave = np.sin(2 * np.pi * max(pitch, 0) * np.arange(n) / rate) if pitch >= 0 else rng.uniform(-1, 1, n)
                # A channel each way apart in level: both are heard.
                both = np.stack([0.2 * wave, 0.1 * wave]).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(both, "fltp", "stereo")
                frame.sample_rate, frame.pts, n_samples = rate, n_samples, n_samples + n
                container.mux(heard.encode(frame))
        for stream in (pictures, heard):
            if stream:
                container.mux(stream.encode(None))


def colour_of(picture):
    return tuple(np.median(picture.reshape(-1, 3), axis=0))


def toy_embedding(name="toy", calls=None):
    """The mean colour and a constant, of unit length."""

    def embed(pictures):
        if calls is not None:
            calls.append(len(pictures))
        colours = np.stack([[*p.reshape(-1, 3).mean(axis=0), 50.0] for p in pictures])
        return (colours / np.linalg.norm(colours, axis=1, keepdims=True)).astype(np.float32)

    return JointEmbedding(name, 4, 32, embed, lambda texts: np.zeros((len(texts), 4), np.float32))


SETTINGS = FeatureSettings("toy", MEL, CUTTING)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good videos and bad ones."""
    folder = tmp_path_factory.mktemp("videos")
    film(folder / "red-tone.mp4", [(2, RED, 440)])
    film(folder / "blue-noise.webm", [(2, BLUE, -1)], rate=48000, sound="libopus", video="libvpx-vp9")
    (folder / "deeper").mkdir()
    film(folder / "deeper" / "long.mp4", [(2, RED, 440), (2, BLUE, 880), (2, GREEN, 0), (1, RED, 1760), (0.2, RED, 0)])
    film(folder / "mute.mp4", [(2, RED, None)])
    film(folder / "radio.mp4", [(2, None, 440)])
    film(folder / "silent.mp4", [(2, RED, 0)])
    film(folder / "short.mp4", [(0.3, RED, 440)])
    film(folder / "whole.mp4", [(2, RED, -1)] * 4, options={"movflags": "faststart"})
    data = (folder / "whole.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    (folder / "whole.mp4").unlink()
    film(folder / "tail.mp4", [(2, RED, 440)])
    (folder / "headless.mp4").write_bytes((folder / "tail.mp4").read_bytes()[:-600])
    (folder / "tail.mp4").unlink()
    (folder / "text.mp4").write_text("#EXTM3U\n#EXTINF:10,\nred-tone.mp4\n")
    (folder / "notes.txt").write_text("no video")
    return folder


def loudest(mel):
    return int(mel.astype(np.float32).mean(axis=0).argmax())


def band_of(hz):
    return loudest(log_mel(np.sin(2 * np.pi * hz * np.arange(16000) / 16000), MEL).T)


def read(path, cutting=CUTTING, side=32, **of_video):
    return read_video(Video(path, "a", **of_video), MEL, cutting, side)


def test_a_tone_and_a_picture_are_heard_and_seen(folder):
    found = read(folder / "red-tone.mp4")
    (clip,) = found.clips
    assert not found.skipped and found.source_rate_hz == 16000
    assert clip.mel.dtype == np.float16 and clip.mel.shape == (250, 64)
    assert loudest(clip.mel) == band_of(440)
    assert len(clip.pictures) == 4
    for picture in clip.pictures:
        assert picture.shape == (32, 43, 3)
        np.testing.assert_allclose(colour_of(picture), RED, atol=12)


def test_noise_of_another_rate_and_codec(folder):
    found = read(folder / "blue-noise.webm")
    (clip,) = found.clips
    assert found.source_rate_hz == 48000 and clip.mel.shape == (250, 64)
    means = clip.mel[20:-20].astype(np.float32).mean(axis=0)
    assert means[8:60].min() > -4 and loudest(clip.mel) != band_of(440)
    np.testing.assert_allclose(colour_of(clip.pictures[0]), BLUE, atol=12)


def test_levels_are_evened_out(tmp_path):
    film(tmp_path / "loud.mp4", [(2, RED, 440)])
    with av.open(str(tmp_path / "loud.mp4")) as container:
        loudness = np.abs(np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)).max()
    assert loudness < 0.25
    mel = read(tmp_path / "loud.mp4").clips[0].mel.astype(np.float32)
    own = log_mel(0.08 * 2**0.5 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000), MEL).T
    assert abs(mel[50:200].max() - own[50:200].max()) < 0.1


def test_a_long_video_is_cut_and_its_silence_counted(folder):
    found = read(folder / "deeper" / "long.mp4")
    assert [clip.start_s for clip in found.clips] == [0, 2, 6]
    assert found.skipped == {"silent": 1}
    assert [loudest(clip.mel) for clip in found.clips] == [band_of(hz) for hz in (440, 880, 1760)]
    for clip, colour in zip(found.clips, (RED, BLUE, RED), strict=True):
        assert all(np.allclose(colour_of(p), colour, atol=12) for p in clip.pictures)
    # 1.2 seconds are left at the end: two of the four frames of two seconds.
    assert [len(clip.pictures) for clip in found.clips] == [4, 4, 2]


def test_the_ten_seconds_of_a_list_are_cut_from_a_whole_video(folder):
    (clip,) = read(folder / "deeper" / "long.mp4", start_s=2.0).clips
    assert clip.start_s == 2 and loudest(clip.mel) == band_of(880)
    assert all(np.allclose(colour_of(p), BLUE, atol=12) for p in clip.pictures)
    assert read(folder / "deeper" / "long.mp4", start_s=50.0).skipped == {"too short": 1}


def test_what_is_beyond_the_longest_is_left_out(folder):
    found = read(folder / "deeper" / "long.mp4", replace(CUTTING, longest_s=2.0))
    assert len(found.clips) == 1 and not found.skipped


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mute.mp4", "no sound"),
        ("radio.mp4", "no picture"),
        ("silent.mp4", "silent"),
        ("short.mp4", "too short"),
        ("cut.mp4", "damaged"),
        ("headless.mp4", "unreadable"),
        ("text.mp4", "unreadable"),
        ("not-there.mp4", "unreadable"),
    ],
)
def test_what_cannot_be_used_says_why(folder, name, reason):
    found = read(folder / name)
    assert found.skipped == {reason: 1} and not found.clips


@pytest.mark.parametrize("fps", [1, Fraction(30000, 1001), Fraction(7, 3)])
def test_frames_are_those_shown_at_their_time_whatever_the_rate(tmp_path, fps):
    film(tmp_path / "a.mp4", [(6, RED, 440), (6, BLUE, 440)], fps=fps)
    pictures = [p for clip in read(tmp_path / "a.mp4", Cutting(4.0, 2, 0.5, 60)).clips for p in clip.pictures]
    # Seen at 1, 3, 5, ... seconds.
    assert len(pictures) == 6
    for picture, colour in zip(pictures, [RED] * 3 + [BLUE] * 3, strict=True):
        np.testing.assert_allclose(colour_of(picture), colour, atol=12)


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9", "mjpeg"])
def test_codecs_that_skip_frames_show_the_same(tmp_path, codec):
    path = tmp_path / ("a.webm" if "vp9" in codec else "a.mkv")
    sound = "libopus" if "vp9" in codec else "aac"
    film(path, [(1, RED, 440), (1, BLUE, 440)], rate=48000, sound=sound, video=codec, fps=25)
    (clip,) = read(path).clips
    for picture, colour in zip(clip.pictures, (RED, RED, BLUE, BLUE), strict=True):
        np.testing.assert_allclose(colour_of(picture), colour, atol=25)


def test_a_video_of_a_phone_held_upright_is_seen_upright(tmp_path):
    film(tmp_path / "a.mp4", [(2, RED, 440)], display_turn=90)
    assert read(tmp_path / "a.mp4").clips[0].pictures[0].shape == (43, 32, 3)


def test_small_pictures_stay_small(folder):
    assert read(folder / "red-tone.mp4", side=224).clips[0].pictures[0].shape == (48, 64, 3)


def test_one_picture_for_a_whole_song_is_shown_all_along(tmp_path):
    film(tmp_path / "a.mkv", [(0.1, RED, 440), (1.9, None, 440)])
    (clip,) = read(tmp_path / "a.mkv").clips
    assert len(clip.pictures) == 4


def test_a_folder_is_searched_through(folder):
    listing = find_videos(folder)
    assert len(listing.videos) == 10 and not listing.n_missing
    assert {video.recording_id for video in listing.videos} >= {"long", "red-tone"}


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_vggsound_names_cut_clips_or_whole_videos(tmp_path):
    for name in ("--PJHxphWEs_000030.mp4", "whole_video.mp4", "deep/-x_y_z_000001.webm", "other.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    rows = [
        ("--PJHxphWEs", 30, "playing bongo", "train"),
        ("whole_video", 7, "dog, barking", "test"),
        ("-x_y_z", 1, "sea waves", "train"),
        ("gone", 5, "sea waves", "train"),
    ]
    listing = find_videos(tmp_path, [write_csv(tmp_path / "vggsound.csv", rows)])
    assert listing.n_missing == 1
    assert [(v.path.name, v.recording_id, v.label, v.split, v.start_s) for v in listing.videos] == [
        ("--PJHxphWEs_000030.mp4", "--PJHxphWEs", "playing bongo", "train", None),
        ("whole_video.mp4", "whole_video", "dog, barking", "test", 7.0),
        ("-x_y_z_000001.webm", "-x_y_z", "sea waves", "train", None),
    ]
    # Without a list, pieces of one recording still share its id.
    assert [v.recording_id for v in find_videos(tmp_path).videos] == ["--PJHxphWEs", "-x_y_z", "other", "whole_video"]


def test_music_names_videos_by_instrument(tmp_path):
    for name in ("accordion/a1.mp4", "accordion/a2.mp4", "d-1.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    solo, duet = tmp_path / "MUSIC_solo_videos.json", tmp_path / "MUSIC_duet_videos.json"
    solo.write_text(json.dumps({"videos": {"accordion": ["a1", "a2", "a3"], "acoustic_guitar": ["a2"]}}))
    duet.write_text(json.dumps({"videos": {"flute acoustic_guitar": ["d-1"]}}))
    listing = find_videos(tmp_path, [solo, duet])
    assert [(v.recording_id, v.label) for v in listing.videos] == [
        ("a1", "accordion"),
        ("a2", "accordion"),
        ("d-1", "flute acoustic guitar"),
    ]
    assert listing.n_missing == 1


def test_a_list_that_is_none_is_told(tmp_path):
    bad = write_csv(tmp_path / "a.csv", [("id", "0", "label", "train"), ("id", "start", "label", "split")])
    with pytest.raises(ValueError, match="line 2: 'id,start,label,split'"):
        find_videos(tmp_path, [bad])
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(ValueError, match="expected"):
        find_videos(tmp_path, [tmp_path / "a.json"])
    with pytest.raises(ValueError, match=r"a\.txt"):
        find_videos(tmp_path, [tmp_path / "a.txt"])
    with pytest.raises(ValueError, match="no videos"):
        find_videos(tmp_path)


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    return make_features(find_videos(folder), SETTINGS, toy_embedding, tmp_path_factory.mktemp("features"))


def test_features_are_what_the_videos_hold(made):
    names = [sound.path.name for sound in made.sounds]
    assert names == ["blue-noise.webm", "long.mp4", "long.mp4", "long.mp4", "red-tone.mp4"]
    assert [sound.recording_id for sound in made.sounds[1:4]] == ["long"] * 3
    assert made.embedding == "toy" and made.n_embedding == 4
    assert loudest(made.mel(4)) == band_of(440) and made.mel(4).shape == (250, 64)
    assert loudest(made.mel(2)) == band_of(880) and made.mel(2).dtype == np.float16
    assert [made.frames(i).shape for i in range(5)] == [(4, 4), (4, 4), (4, 4), (2, 4), (4, 4)]
    assert made.frames(0).dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(made.frames(2), axis=1), 1, atol=1e-3)
    assert [int(made.frames(i)[0].argmax()) for i in range(5)] == [2, 0, 2, 0, 0]


def test_what_was_left_out_is_counted(made):
    assert made.skipped == {
        "unreadable": 2,
        "silent": 2,
        "no sound": 1,
        "no picture": 1,
        "too short": 1,
        "damaged": 1,
    }


def test_the_recording_decides_the_split_where_the_dataset_does_not(made):
    for i, sound in enumerate(made.sounds):
        assert i in made.indices(split_of(sound.recording_id))
    assert sorted(made.indices("train") + made.indices("valid") + made.indices("test")) == [0, 1, 2, 3, 4]


def test_the_split_of_a_dataset_is_kept(folder, tmp_path):
    rows = [("red-tone", 0, "tone", "test"), ("long", 2, "a, b", "train"), ("blue-noise", 0, "noise", "train")]
    listing = find_videos(folder, [write_csv(tmp_path / "vggsound.csv", rows)])
    found = make_features(listing, SETTINGS, toy_embedding, tmp_path)
    assert [found.sounds[i].label for i in found.indices("train")] == ["a, b", "noise"]
    assert [found.sounds[i].label for i in found.indices("test")] == ["tone"]
    assert found.indices("valid") == []


def files_of(place):
    return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


def test_a_stopped_run_goes_on_and_workers_make_the_same(folder, made, tmp_path, monkeypatch):
    monkeypatch.setattr("onnx_export.video.features.SHARD_VIDEOS", 3)
    listing = find_videos(folder)
    calls = []

    class Stop(Exception):
        pass

    def stop_in_the_third(pictures):
        calls.append(len(pictures))
        if len(calls) == 2:
            raise Stop
        return toy_embedding().embed_pictures(pictures)

    with pytest.raises(Stop):
        make_features(
            listing, SETTINGS, lambda: replace(toy_embedding(), embed_pictures=stop_in_the_third), tmp_path / "a"
        )
    place = features_folder(listing, SETTINGS, tmp_path / "a")
    before = {name: data for name, data in files_of(place).items() if name.endswith((".json", ".f16"))}
    assert before and "index.json" not in before
    with pytest.raises(ValueError, match="features"):
        VideoSet(place)
    seen = []
    resumed = make_features(listing, SETTINGS, lambda: toy_embedding(calls=seen), tmp_path / "a")
    assert sum(seen) < 18
    workers = make_features(listing, SETTINGS, toy_embedding, tmp_path / "b", workers=2)
    assert files_of(resumed.folder) == files_of(workers.folder)
    assert before.items() <= files_of(resumed.folder).items()
    assert workers.skipped == made.skipped
    for i in range(len(made)):
        np.testing.assert_array_equal(made.mel(i), workers.mel(i))
        np.testing.assert_array_equal(made.frames(i), workers.frames(i))


def test_features_that_are_there_need_no_embedding(folder, made):
    def fail():
        raise AssertionError("opened")

    again = make_features(find_videos(folder), SETTINGS, fail, made.folder.parent)
    assert len(again) == len(made)


def test_another_process_can_be_given_the_features(made):
    copy = pickle.loads(pickle.dumps(made))
    assert len(copy) == len(made) and copy.splits == made.splits
    np.testing.assert_array_equal(copy.frames(2), made.frames(2))


def test_other_settings_and_other_files_have_features_of_their_own(folder, made, tmp_path):
    listing = find_videos(folder)
    others = [
        replace(SETTINGS, embedding="other"),
        replace(SETTINGS, mel=replace(MEL, hop=256)),
        replace(SETTINGS, cutting=replace(CUTTING, n_frames=2)),
    ]
    places = {features_folder(listing, settings, tmp_path) for settings in [SETTINGS, *others]}
    places.add(features_folder(replace(listing, videos=listing.videos[1:]), SETTINGS, tmp_path))
    assert len(places) == 5
    with pytest.raises(ValueError, match="'toy', expected 'other'"):
        make_features(listing, others[0], toy_embedding, tmp_path)


def test_no_usable_video_is_told_with_reasons(folder, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_text("no")
    with pytest.raises(ValueError, match="'unreadable': 1"):
        make_features(find_videos(tmp_path / "videos"), SETTINGS, toy_embedding, tmp_path)


def answer_or_die(video):
    if video.recording_id == "deadly":
        os._exit(3)
    return ReadResult(skipped={video.recording_id: 1})


def test_a_file_that_kills_its_process_costs_itself_alone(tmp_path):
    names = ["a", "b", "deadly", "c", "d", "e", "f", "g"]
    reads = list(prefetch((Video(tmp_path, name) for name in names), answer_or_die, workers=2))
    assert [next(iter(found.skipped)) for found in reads] == [n if n != "deadly" else "decoder crashed" for n in names]
