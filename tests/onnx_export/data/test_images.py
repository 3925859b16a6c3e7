"""Pictures: which are trained on, and which are held out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnx_export.data.attributions import write_attributions
from onnx_export.data.images import (
    Picture,
    held_out,
    read_pictures,
    read_rgb,
    training_pictures,
    validation_pictures,
)


def picture(name, kind="photo", use="ok", group="dog"):
    return Picture(Path(name), "beagle", "a beagle", kind, group, "us", "CC0", "me", use)


PHOTOS = [picture(f"{i}.jpg", use=("ok", "attribution", "copyleft", "research")[i % 4]) for i in range(400)]


def test_a_share_of_the_photos_is_held_out():
    splits = [p.split for p in PHOTOS]
    assert 0.1 < splits.count("test") / 400 < 0.2
    assert {picture(f"{i}.jpg", kind="drawing").split for i in range(400)} == {"train"}


def test_training_and_validation_share_no_picture_but_all_licences():
    taught, valid = training_pictures(PHOTOS), validation_pictures(PHOTOS)
    assert not {p.path for p in taught} & {p.path for p in valid}
    assert {p.use for p in taught} == {p.use for p in valid} == {"ok", "attribution", "copyleft"}
    assert {p.use for p in validation_pictures(PHOTOS, "permissive")} == {"ok", "attribution"}
    for select in (training_pictures, validation_pictures):
        with pytest.raises(ValueError, match="not 'none'"):
            select(PHOTOS, "none")


def test_held_out_photos_are_of_sounding_things():
    silent = [picture(f"s{i}.jpg", group="") for i in range(50)]
    sets = held_out([*PHOTOS, *silent])
    assert sets["like those taught"] == validation_pictures(PHOTOS)
    assert {p.use for p in sets["other sources"]} == {"research"} and len(sets["other sources"]) == 100


def test_catalogue_and_pixels_are_read(tmp_path):
    Image.new("L", (3, 2), 128).save(tmp_path / "a.png")
    (tmp_path / "catalog.csv").write_text(
        "file,label,caption,kind,group,source,licence,attribution,use\na.png,x,an x,emoji,,us,CC0,me,check\n"
    )
    (row,) = read_pictures(tmp_path)
    assert (row.label, row.kind, row.group, row.use) == ("x", "emoji", "", "check")
    pixels = read_rgb(row.path)
    assert pixels.shape == (2, 3, 3) and pixels.dtype == np.uint8 and (pixels == 128).all()


def test_people_are_named_once(tmp_path):
    rows = [picture("a.jpg"), picture("b.jpg"), picture("c.jpg", use="copyleft")]
    write_attributions({"Pictures": rows, "Sounds": []}, tmp_path / "a.md")
    text = (tmp_path / "a.md").read_text()
    assert text.splitlines() == [
        "# Pictures",
        "",
        "| source | licence | number | by |",
        "|---|---|---|---|",
        "| us | CC0 | 3 | me |",
    ]
