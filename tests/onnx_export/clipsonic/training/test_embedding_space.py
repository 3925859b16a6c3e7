"""The joint embedding, the wordings and the texts: plain numpy, no weights."""

import json

import numpy as np

from onnx_export.clipsonic.training.embedding_space import SoundSpace, caption_wordings, unit
from onnx_export.data.texts import read_captions, read_labels, read_ontology, read_wordnet


def test_a_paraphrase_is_drawn_towards_the_sound_it_is_most_like():
    anchors = np.eye(3, 8, dtype=np.float32)
    space = SoundSpace(anchors)
    said = unit(np.array([[0.5, 0.2, 0, 0.8, 0, 0, 0, 0]], np.float32))
    placed, homes = space.project(said), space.project(anchors)
    assert (placed @ homes.T)[0, 0] > (said @ anchors.T)[0, 0] + 0.2
    assert (placed @ homes.T).argmax() == 0
    np.testing.assert_allclose(np.linalg.norm(placed, axis=1), 1, rtol=1e-5)


def test_between_two_sounds_stays_between_them():
    space = SoundSpace(np.eye(3, 8, dtype=np.float32))
    both = space.project(unit(np.array([[1.0, 1.0, 0, 0, 0, 0, 0, 0]])))
    likeness = (both @ space.project(space.anchors).T)[0]
    assert abs(likeness[0] - likeness[1]) < 1e-6 and likeness[2] < likeness[0] - 0.3


def test_captions_go_to_their_nearest_label_when_near_enough():
    anchors = np.eye(2, 4, dtype=np.float32)
    embedded = unit(np.array([[1, 0.1, 0, 0], [0, 0, 1, 0], [0.2, 1, 0, 0]], np.float32))
    found = caption_wordings(["rain", "dog"], anchors, ["a shower", "nothing", "a bark"], embedded)
    assert found == {"rain": ["a shower"], "dog": ["a bark"]}


def test_texts_are_read_from_their_files(tmp_path):
    captions = tmp_path / "captions.txt"
    captions.write_text("A dog barks\n\na dog barks\nRain\n")
    assert read_captions(captions) == ["a dog barks", "rain"]
    ontology = tmp_path / "ontology.json"
    ontology.write_text(json.dumps([{"name": "Bark", "description": "A dog."}, {"name": "Hum", "description": ""}]))
    assert read_ontology(ontology) == ["bark", "hum", "a dog."]
    labels = tmp_path / "labels.csv"
    labels.write_text('sea waves,300,water\n"dog, big",2,animals\n')
    assert read_labels(labels) == ["sea waves", "dog, big"]


def test_wordnet_gives_words_and_glosses(tmp_path):
    line = "00001740 03 n 02 surf 0 breaking_wave 1 001 @ 0001 n 0000 | waves that break; a second sense\n"
    for part in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"data.{part}").write_text("  1 licence text\n" + (line if part == "noun" else ""))
    assert read_wordnet(tmp_path) == ["surf", "breaking wave", "surf: waves that break"]
