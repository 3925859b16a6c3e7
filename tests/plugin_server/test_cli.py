"""The parser of all commands."""

import argparse

import pytest

from plugin_server import cli


def actions(parser):
    """Return all command lines that name a command, or an action of one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield [name], below
                yield from (([name, *rest], last) for rest, last in actions(below))


ALL = list(actions(cli.build_parser()))


@pytest.mark.parametrize(("words", "parser"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_verbose_is_a_flag_of_every_command(words, parser):
    assert {"-v", "--verbose"} <= parser._option_string_actions.keys()


def parse(*words):
    return cli.build_parser().parse_args(words)


def test_verbose_means_the_same_before_and_after_a_command():
    assert parse("serve", "-v").verbose and parse("-v", "serve").verbose
    assert parse("clips", "-v", "undo").verbose and parse("clips", "undo", "--verbose").verbose
    assert not parse("serve").verbose and not parse("clips", "undo").verbose


def test_what_is_missing_is_named(capsys):
    with pytest.raises(SystemExit):
        parse("clients", "install")
    assert "required: DIR\n" in capsys.readouterr().err
