"""Errors of other packages in one sentence."""

import pytest

from onnx_export.official.error_text import MAX_LENGTH, error_sentence


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("too small"), "too small"),
        (ValueError("  one \n\n two\nthree"), "one two"),
        (KeyError(), "KeyError"),
        (RuntimeError("\n \n"), "RuntimeError"),
        (KeyError("average"), "'average'"),
    ],
)
def test_two_lines_are_told_or_the_class(error, text):
    assert error_sentence(error) == text


def test_long_errors_are_cut():
    text = error_sentence(ValueError("x" * 400))
    assert text == "x" * MAX_LENGTH + "..."
    assert error_sentence(ValueError("x" * MAX_LENGTH)) == "x" * MAX_LENGTH
