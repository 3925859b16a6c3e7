"""From a request to files: engine, finish, write."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from plugin_server import __version__
from plugin_server.audio.clip import Clip
from plugin_server.audio.finish import Finish, finish, finish_loop
from plugin_server.audio.formats.files import read_recipe, write_clip
from plugin_server.audio.formats.metadata import ClipMetadata, short_key
from plugin_server.audio.names import safe_stem, unique_path
from plugin_server.engine.bundles.card import Card
from plugin_server.engine.bundles.registry import BundleRegistry
from plugin_server.engine.messages import GenerationParams, ProgressCallback
from plugin_server.engine.process.client import Engine, GenerationResult
from plugin_server.errors import BadArgument, BadFile, Cancelled, FolderNotWritable
from plugin_server.studio.image_fingerprints import fingerprint
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.library.library import Library
from plugin_server.studio.requests import (
    FORMATS,
    SEED_LIMIT,
    Generate,
    LoadModel,
    RenderBank,
    RenderSlot,
    Request,
    UnloadModel,
)
from plugin_server.studio.reuse import find_rendered

TOLD = ("name", "bars", "bpm", "key", "format")
"""Of a request, what does not change how the model is asked, but is told in the file."""
SOFTWARE = f"Clipsonic Live {__version__}"


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """What the studio needs to know of the daemon's settings."""

    folder: Path
    """Sample folder, absolute."""
    model: str
    bits: int
    finish: Finish


class ClipGenerator:
    """Makes clips and keeps models ready, one request at a time."""

    def __init__(
        self, settings: GeneratorSettings, bundles: BundleRegistry, engine: Engine, library: Library | None = None
    ) -> None:
        self.settings = settings
        self._bundles = bundles
        self._engine = engine
        self._library = library
        self.n_clips = 0
        """Clips made since the start."""
        self.model_seconds = 0.0
        """Time that models took for them."""

    def resolve(self, request: Generate) -> tuple[Card, GenerationParams]:
        """The model's card, and the first take with every choice made.

        Raises UnknownModel, BundleDamaged, or BadArgument when the model cannot make that length.
        """
        card = self.card(request.model)
        if request.images and card.picture is None:
            raise BadArgument(f"image: got {len(request.images)}, but {card.name} takes words only")
        lengths, sampling = card.lengths, card.sampling
        seconds = lengths.usual if request.length_s is None else float(request.length_s)
        if not lengths.least <= seconds <= lengths.most:
            wanted = f"{lengths.least:g} to {lengths.most:g} s for {card.name}"
            if request.bars is None:
                raise BadArgument(f"seconds: got {seconds:g}, expected {wanted}")
            raise BadArgument(
                f"bars: got {request.bars:g} at {request.bpm:g} bpm, which is {seconds:g} s, expected {wanted}"
            )
        return card, GenerationParams(
            prompt=request.prompt,
            negative=request.negative,
            seconds=seconds,
            seed=secrets.randbelow(SEED_LIMIT - 15) if request.seed is None else request.seed,
            steps=sampling.steps if request.steps is None else request.steps,
            guidance=sampling.guidance if request.guidance is None else float(request.guidance),
            loop=request.loop,
            stereo=float(request.stereo),
            images=request.images,
            frames=request.frames,
            blend=request.image_share,
            via=_way(card, request),
        )

    def card(self, model: str) -> Card:
        """The card of a model, the daemon's own when the name is empty. Raises UnknownModel or BundleDamaged."""
        return self._bundles.find(model or self.settings.model).card

    def make(self, request: Request, report: ProgressCallback, on_clip: Callable[[ClipMade], None]) -> Request | None:
        """Do what is asked for; of a bank one clip, and what is left. Raises what `make_clips` and the engine raise."""
        match request:
            case LoadModel(name):
                self._engine.load(name, report)
            case UnloadModel(name):
                self._engine.unload(name)
            case Generate():
                self.make_clips(request, report, on_clip)
            case RenderSlot():
                self._render_slot(request, report, on_clip)
            case RenderBank():
                return self._render_next(request, report, on_clip)
        return None

    def find_made(self, request: Generate) -> ClipMade | None:
        """The clip that lies in the library already and is the one that a request with a seed would make.

        Raises what `resolve` and the library raise.
        """
        if self._library is None or request.seed is None:
            return None
        card, order = self.resolve(request)
        checksum = self._bundles.find(card.name).checksum()
        try:
            asked = order_recipe(order)
        except BadFile:
            # Its picture was taken away: who asks for the clip is told when it is made.
            return None
        wanted = {**asked, "model": card.name, "checksum": checksum, "take": 1}
        wanted |= _told(request)
        return find_rendered(self._library, wanted, self.settings.finish.sample_rate)

    def make_clips(self, request: Generate, report: ProgressCallback, on_clip: Callable[[ClipMade], None]) -> None:
        """Every take of a request, each announced as soon as it lies in the folder.

        Raises what `resolve` and the engine raise, BadFile for an image that is not there, FolderNotWritable, and
        Cancelled when `report` or `on_clip` does. Takes announced before that stay.
        """
        card, first = self.resolve(request)
        check_folder(self.settings.folder)
        # Of images as they are now: all takes are of the same, and one that is not there is told before a model is
        # loaded.
        asked = order_recipe(first)
        n = request.variations
        # Takes of one request are undone together.
        step = secrets.token_hex(8)
        for i in range(n):
            order = replace(first, seed=(first.seed + i) % (SEED_LIMIT + 1))

            def report_take(fraction: float, stage: str, before: int = i) -> None:
                report((before + fraction) / n, stage)

            take = self._engine.run(card.name, order, report_take)
            report_take(1.0, "writing")
            recipe = asked | {"seed": order.seed, "take": i + 1}
            self._announce(self._keep(request, order, take, recipe, i + 1), take, step, on_clip)

    def cancel(self) -> None:
        """Let the running `make` raise Cancelled soon."""
        self._engine.cancel()

    def _render_slot(self, slot: RenderSlot, report: ProgressCallback, on_clip: Callable[[ClipMade], None]) -> None:
        found = self.find_made(slot.request)
        if found:
            on_clip(found)
        else:
            self.make_clips(slot.request, report, on_clip)

    def _render_next(
        self, bank: RenderBank, report: ProgressCallback, on_clip: Callable[[ClipMade], None]
    ) -> RenderBank | None:
        """Make the first clip that is missing; what is left of the bank."""
        n_slots = len(bank.slots)
        for number in range(bank.n_done, n_slots):
            request = bank.slots[number]
            if self.find_made(request) is None:
                self.make_clips(request, _report_slot(report, request, number, n_slots), on_clip)
                return replace(bank, n_done=number + 1)
            _report_slot(report, request, number, n_slots)(1.0, "is there")
        return None

    def _announce(self, clip: ClipMade, take: GenerationResult, step: str, on_clip: Callable[[ClipMade], None]) -> None:
        # Before it is announced, so that who hears of it can ask for it.
        if self._library:
            self._library.add(clip.path, step)
        try:
            on_clip(clip)
        except Cancelled:
            # Cancelled while it was being written: nobody was told of the file, so nobody shall find it.
            clip.path.unlink(missing_ok=True)
            if self._library:
                self._library.remove(clip.path)
            raise
        self.n_clips += 1
        self.model_seconds += take.seconds_spent

    def _keep(
        self, request: Generate, order: GenerationParams, take: GenerationResult, recipe: dict[str, object], number: int
    ) -> ClipMade:
        to_clip = finish_loop if order.loop else finish
        clip = to_clip(Clip(take.made.samples, take.sample_rate), order.seconds, self.settings.finish)
        # The id too: a file of 16 bits holds other samples than those that it is the fingerprint of.
        clip_id = clip.fingerprint()
        recipe |= {"model": take.model, "checksum": take.checksum, "id": clip_id}
        recipe |= _told(request)
        path = self._write(
            clip,
            file_stem(request, order, number),
            f".{request.format or FORMATS[0]}",
            _about(request, order, take, clip_id),
            recipe,
        )
        made = take.made
        return ClipMade(clip_id, path, clip.seconds, number, order.seed, made.confidence, made.nearest)

    def _write(self, clip: Clip, stem: str, suffix: str, about: ClipMetadata, recipe: dict[str, object]) -> Path:
        """Write under the first free name. Another program may take a name between the look and the write."""
        for _ in range(100):
            path = unique_path(self.settings.folder, stem, suffix)
            try:
                write_clip(path, clip, about, recipe, self.settings.bits)
                return path
            except FileExistsError:
                continue
        raise FolderNotWritable(f"{self.settings.folder}: no free name for {stem}{suffix}")


def _report_slot(report: ProgressCallback, request: Generate, number: int, n_slots: int) -> ProgressCallback:
    """The progress of one slot as a part of its bank's."""
    title = request.title
    return lambda fraction, stage: report((number + fraction) / n_slots, f"{title[:60]}: {stage}")


def _way(card: Card, request: Generate) -> str:
    if request.via and request.via not in card.ways:
        raise BadArgument(f"via: got {request.via}, expected one of {', '.join(card.ways)} for {card.name}")
    return request.via or card.usual_way


def order_recipe(order: GenerationParams) -> dict[str, object]:
    """What was asked of the model, as a file's recipe has it. Images are known by what is in them, too.

    Raises BadFile for an image that is not there.
    """
    recipe = asdict(order)
    if not order.prompt:
        del recipe["via"]
    if not order.images:
        for name in ("images", "frames", "blend"):
            del recipe[name]
        return recipe
    return recipe | {"images": list(order.images), "fingerprints": [fingerprint(Path(path)) for path in order.images]}


def _told(request: Generate) -> dict[str, object]:
    """What was asked for of TOLD, as recipes have it."""
    return {name: getattr(request, name) for name in TOLD if getattr(request, name)}


def file_stem(request: Generate, order: GenerationParams, take: int) -> str:
    """'sea-waves_8s_s42_t1': what it is, how long, from which seed, which take; 'kit_128bpm_F#min_2bars_s42_t1' where
    tempo and key are known, as hosts and samplers look for them."""
    parts = [safe_stem(request.title)]
    if request.bpm is not None:
        parts.append(f"{request.bpm:g}bpm")
    if request.key:
        parts.append(short_key(request.key))
    length = f"{order.seconds:g}s" if request.bars is None else f"{request.bars:g}bar{'s' * (request.bars != 1)}"
    return "_".join([*parts, length, f"s{order.seed}", f"t{take}"])


def _about(request: Generate, order: GenerationParams, take: GenerationResult, clip_id: str) -> ClipMetadata:
    now = datetime.now()
    made = f"seed {order.seed}, {order.steps} steps, guidance {order.guidance:g}, {take.model}"
    tempo = f"{request.bpm:g} bpm" if request.bpm is not None else ""
    return ClipMetadata(
        title=request.title,
        artist=SOFTWARE,
        comment=", ".join(part for part in (tempo, request.key, made) if part),
        software=SOFTWARE,
        date=now.date().isoformat(),
        time=now.time().isoformat("seconds"),
        reference=clip_id,
        history=f"{made}: {order.prompt or request.title}",
        loop=order.loop,
        bpm=request.bpm,
        bars=request.bars,
        key=request.key,
    )


def _same_images(path: Path, recipe: Mapping[str, object]) -> tuple[str, ...]:
    """A recipe's images, when they still are what they were. Raises BadFile, TypeError, ValueError or KeyError."""
    named, fingerprints = recipe["images"], recipe["fingerprints"]
    if not isinstance(named, Iterable) or not isinstance(fingerprints, Iterable):
        raise TypeError(f"got {named!r} and {fingerprints!r}, expected images and their fingerprints")
    images = tuple(named)
    for image, known in zip(images, fingerprints, strict=True):
        if fingerprint(Path(image)) != known:
            raise BadFile(f"{path}: its image {image} was changed since")
    return images


def check_folder(folder: Path) -> None:
    """Make the folder where it is missing. Raises FolderNotWritable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".clipsonic-{secrets.token_hex(4)}.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FolderNotWritable(f"the sample folder {folder} cannot be written: {error.strerror}") from error


def request_like(path: Path, images: tuple[str, ...] = ()) -> tuple[Generate, str]:
    """The request that makes the clip in a file again, and the checksum of the model that made it. `images` take the
    place of those that it was made from, which need not be there any more.

    Raises BadFile when the file holds no recipe, or not one that can be asked for again.
    """
    recipe = read_recipe(path)
    names = ("prompt", "negative", "seconds", "seed", "steps", "guidance", "model")
    # Recipes of the first version know nothing of these, and later ones have them where they were asked for.
    # Of any type, as the file has them: the request checks them.
    values: dict[str, Any] = {
        name: recipe[name] for name in ("loop", "stereo", "frames", "via", *TOLD) if name in recipe
    }
    if "bars" in values:
        recipe = recipe | {"seconds": None}
    try:
        if images or "images" in recipe:
            values["images"] = images or _same_images(path, recipe)
            values["blend"] = recipe.get("blend") if recipe["prompt"] else None
        values |= {name: recipe[name] for name in names}
        return Generate(**values), str(recipe["checksum"])
    except (KeyError, TypeError, ValueError, BadArgument) as error:
        raise BadFile(f"{path}: its recipe cannot be used: {error}") from error
