"""From a request to what the engine is asked for: check it against a model's card, then make every choice.

`check` costs nothing and draws nothing, so that a request is refused before it is queued; `plan` is for the thread that
makes the clip.
"""

from plugin_server.engine.bundles.card import Card
from plugin_server.engine.messages import GenerationParams
from plugin_server.errors import BadArgument
from plugin_server.studio.requests import Generate


def check(request: Generate, card: Card) -> None:
    """Check that a model can make what is asked for. Raises BadArgument when it cannot."""
    if request.images and card.image is None:
        raise BadArgument(f"image: got {len(request.images)}, but {card.name} takes words only")
    _check_length(request, card)
    if request.conditioning and request.conditioning not in card.conditionings:
        raise BadArgument(
            f"via: got {request.conditioning}, expected one of {', '.join(card.conditionings)} for {card.name}"
        )


def plan(request: Generate, card: Card, seed: int) -> GenerationParams:
    """Return what the engine is asked for in the first take, every choice made. Raises what `check` raises.

    The seed is given: it is the request's, or one that was drawn for it.
    """
    check(request, card)
    sampling = card.sampling
    return GenerationParams(
        prompt=request.prompt,
        negative=request.negative,
        seconds=clip_seconds(request, card),
        seed=seed,
        steps=sampling.steps if request.steps is None else request.steps,
        guidance=sampling.guidance if request.guidance is None else float(request.guidance),
        loop=request.loop,
        stereo=float(request.stereo),
        images=request.images,
        frames=request.frames,
        blend=request.image_share,
        conditioning=request.conditioning or card.default_conditioning,
    )


def clip_seconds(request: Generate, card: Card) -> float:
    """Return the length of a request's clips in seconds: its own, or the model's default."""
    return card.lengths.default if request.length_s is None else float(request.length_s)


def _check_length(request: Generate, card: Card) -> None:
    lengths, seconds = card.lengths, clip_seconds(request, card)
    if lengths.minimum <= seconds <= lengths.maximum:
        return
    expected = f"{lengths.minimum:g} to {lengths.maximum:g} s for {card.name}"
    if request.bars is None:
        raise BadArgument(f"seconds: got {seconds:g}, expected {expected}")
    raise BadArgument(f"bars: got {request.bars:g} at {request.bpm:g} bpm, which is {seconds:g} s, expected {expected}")
