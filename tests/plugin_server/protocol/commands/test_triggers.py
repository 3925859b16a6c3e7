"""How hard a pad was hit, as programs send it."""

import pytest

from plugin_server.errors import BadArgument
from plugin_server.protocol.commands.triggers import as_velocity


@pytest.mark.parametrize(
    ("sent", "velocity"),
    [
        (1, 1),
        (100, 100),
        (100.0, 100),
        (127, 127),
        (128, 127),
        (1000.5, 127),
        (1.0, 127),
        (1.0000001, 127),
        (0.5, 63.5),
        (0.25, 31.75),
        (True, 127),
        (None, 127),
        (False, 0),
        (0, 0),
        (0.0, 0),
        ("100", 100),
        ("1", 1),
        ("1.0", 127),
        ("0.5", 63.5),
        ("0", 0),
    ],
    ids=repr,
)
def test_velocities_are_midi_s_or_a_share_of_full(sent, velocity):
    assert as_velocity(sent) == pytest.approx(velocity)


@pytest.mark.parametrize("sent", [-1, -0.5, float("nan"), float("inf"), "loud", b"x", [1]], ids=repr)
def test_what_is_no_velocity_is_refused(sent):
    with pytest.raises(BadArgument, match="velocity: got"):
        as_velocity(sent)
