"""From a request to files: ask the engine for samples, finish them, and write them with their recipe."""

import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from plugin_server import __version__
from plugin_server.audio.clip import CLIP_ID_BITS, Clip
from plugin_server.audio.finish import FinishSettings, finish, finish_loop
from plugin_server.audio.formats.files import write_clip
from plugin_server.audio.formats.metadata import ClipMetadata, short_key
from plugin_server.audio.names import safe_stem, unique_path
from plugin_server.engine.bundles.card import Card
from plugin_server.engine.bundles.registry import Bundle, BundleRegistry
from plugin_server.engine.interface import Engine
from plugin_server.engine.messages import GenerationParams, GenerationResult, ModelOutput, ProgressCallback
from plugin_server.errors import BadFile, Cancelled, FolderNotWritable, LibraryFailed
from plugin_server.studio.jobs import ClipMade
from plugin_server.studio.library.library import Library
from plugin_server.studio.library.records import STORED_ID
from plugin_server.studio.planning import check, plan
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
from plugin_server.studio.reuse import (
    CONFIDENCE,
    HEARD,
    LOUDNESS,
    NEAREST,
    FileSettings,
    find_existing,
    metadata_of,
    recipe_of,
)
from plugin_server.studio.seeds import draw_seed

log = logging.getLogger(__name__)

SOFTWARE = f"Clipsonic Live {__version__}"


NAME_ATTEMPTS = 100
"""Free names that are tried where another program takes one at the same moment."""

ClipCallback = Callable[[ClipMade], None]
"""Called with each clip as soon as its file is in the folder."""


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """The settings of the daemon that decide what clips are made and where they go."""

    folder: Path
    """Sample folder, absolute."""
    model: str
    """Name of the bundle where a request names none."""
    bits: int
    """Bits of a sample in a clip's file."""
    finish: FinishSettings


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

    def check(self, request: Generate) -> None:
        """Check that the request's model can make what is asked for. Raises UnknownModel, BundleDamaged or BadArgument.

        Quick enough for the event loop, and draws no seed.
        """
        check(request, self.card(request.model))

    def card(self, model: str) -> Card:
        """Return the card of a model, the daemon's own when the name is empty. Raises UnknownModel or BundleDamaged."""
        return self._bundle(model).card

    def run(self, request: Request, report: ProgressCallback, on_clip: ClipCallback) -> Request | None:
        """Do what is asked for; of a bank make one clip, and return what remains.

        Raises what the engine and the library raise, UnknownModel, BundleDamaged, BadArgument where the model cannot
        make it, BadFile for an image that is not there, FolderNotWritable, and Cancelled when `report` or `on_clip`
        does.
        """
        match request:
            case LoadModel(name):
                self._engine.load(name, report)
            case UnloadModel(name):
                self._engine.unload(name)
            case Generate():
                self._generate(request, report, on_clip)
            case RenderSlot():
                self._render_slot(request, report, on_clip)
            case RenderBank():
                return self._render_next(request, report, on_clip)
        return None

    def cancel(self) -> None:
        """Let the running `run` raise Cancelled soon."""
        self._engine.cancel()

    def find_existing(self, request: Generate) -> ClipMade | None:
        """Return the clip in the library that a request with a seed would make again as its first take, or None.

        Raises what `check` and the library raise.
        """
        return self._find_takes(request, FileSettings(self.settings.finish.sample_rate), 1).get(1)

    def _find_takes(self, request: Generate, settings: FileSettings, n_takes: int) -> dict[int, ClipMade]:
        """Return those of the first takes of a request with a seed that were made before, by their numbers from 1.

        Raises what `check` and the library raise.
        """
        if self._library is None or request.seed is None:
            return {}
        bundle = self._bundle(request.model)
        try:
            recipe = recipe_of(plan(request, bundle.card, request.seed))
        except BadFile:
            # Its picture was taken away: who asks for the clip gets the error when it is made.
            return {}
        recipe |= {"model": bundle.card.name, "checksum": bundle.checksum(), **metadata_of(request)}
        takes = {take: {"seed": _seed_of(request.seed, take), "take": take} for take in range(1, n_takes + 1)}
        clips = {take: find_existing(self._library, recipe | values, settings) for take, values in takes.items()}
        return {take: clip for take, clip in clips.items() if clip}

    def _bundle(self, model: str) -> Bundle:
        return self._bundles.find(model or self.settings.model)

    def _generate(self, request: Generate, report: ProgressCallback, on_clip: ClipCallback) -> None:
        """Announce the takes of a request that the same request has made before, then make the others.

        Raises what `_make_takes` raises, and Cancelled when `on_clip` does.
        """
        existing = {} if request.again else self._find_made(request)
        for clip in existing.values():
            self._announce_again(clip, on_clip)
        takes = [take for take in range(1, request.variations + 1) if take not in existing]
        if takes:
            self._make_takes(request, takes, report, on_clip)

    def _find_made(self, request: Generate) -> dict[int, ClipMade]:
        finish = self.settings.finish
        settings = FileSettings(finish.sample_rate, self.settings.bits, finish.loudness_lufs)
        try:
            return self._find_takes(request, settings, request.variations)
        except LibraryFailed as error:
            # Then they are made: a clip is there without the library, too.
            log.warning("clips that were made before cannot be looked for: %s", error)
            return {}

    def _make_takes(
        self, request: Generate, takes: Sequence[int], report: ProgressCallback, on_clip: ClipCallback
    ) -> None:
        """Make takes of a request, by their numbers from 1, each published as soon as it lies in the folder.

        Raises what `check` and the engine raise, BadFile for an image that is not there, FolderNotWritable, and
        Cancelled when `report` or `on_clip` does. Takes published before that stay.
        """
        card = self.card(request.model)
        first = plan(request, card, draw_seed() if request.seed is None else request.seed)
        check_folder(self.settings.folder)
        # Of images as they are now: all takes are of the same, and one that is not there is refused before a model
        # is loaded.
        recipe = recipe_of(first)
        # Takes of one request are undone together.
        step = secrets.token_hex(8)
        items = [replace(first, seed=_seed_of(first.seed, take)) for take in takes]
        # Closed, so that an error here cancels the takes that the engine would go on with.
        with closing(self._engine.run(card.name, items, report)) as results:
            for i, (take, params, result) in enumerate(zip(takes, items, results, strict=True)):
                report((i + 1.0) / len(takes), "writing")
                clip = self._finish(request, params, result, recipe | {"seed": params.seed, "take": take}, take)
                self._publish(clip, result, step, on_clip)

    def _announce_again(self, clip: ClipMade, on_clip: ClipCallback) -> None:
        if self._library:
            self._library.announce(clip.path)
        on_clip(clip)

    def _render_slot(self, slot: RenderSlot, report: ProgressCallback, on_clip: ClipCallback) -> None:
        existing = self.find_existing(slot.request)
        if existing:
            self._announce_again(existing, on_clip)
        else:
            self._make_takes(slot.request, [1], report, on_clip)

    def _render_next(self, bank: RenderBank, report: ProgressCallback, on_clip: ClipCallback) -> RenderBank | None:
        """Make the first clip that is missing; return what remains of the bank."""
        n_slots = len(bank.slots)
        for number in range(bank.n_done, n_slots):
            request = bank.slots[number]
            if self.find_existing(request) is None:
                self._make_takes(request, [1], _report_slot(report, request, number, n_slots), on_clip)
                return replace(bank, n_done=number + 1)
            _report_slot(report, request, number, n_slots)(1.0, "is there")
        return None

    def _publish(self, clip: ClipMade, result: GenerationResult, step: str, on_clip: ClipCallback) -> None:
        # In the library before it is announced, so that who hears of it can ask for it.
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
        self.model_seconds += result.seconds_spent

    def _finish(
        self,
        request: Generate,
        params: GenerationParams,
        result: GenerationResult,
        recipe: dict[str, object],
        take: int,
    ) -> ClipMade:
        """Finish the samples of a take and write its file."""
        to_clip = finish_loop if params.loop else finish
        clip = to_clip(Clip(result.output.samples, result.sample_rate), params.seconds, self.settings.finish)
        # The id too: a file of 16 bits holds other samples than those that it is the fingerprint of.
        clip_id = clip.fingerprint()
        recipe |= {"model": result.model, "checksum": result.checksum, "id": clip_id, **metadata_of(request)}
        if self.settings.bits != CLIP_ID_BITS:
            recipe[STORED_ID] = clip.fingerprint(self.settings.bits)
        recipe |= self._facts(result.output)
        metadata = clip_metadata(request, params, result.model, clip_id)
        path = self._write(clip, file_stem(request, params, take), request.format or FORMATS[0], metadata, recipe)
        output = result.output
        # Of a prompt that was heard as a whole nothing is said.
        heard = (output.n_heard, output.n_words) if output.n_heard < output.n_words else ()
        about = (output.confidence, output.nearest, *heard)
        return ClipMade(clip_id, path, clip.seconds, take, params.seed, *about)

    def _facts(self, output: ModelOutput) -> dict[str, object]:
        """Return what is said of a clip beside its sound, so that its file can say it again."""
        facts: dict[str, object] = {LOUDNESS: self.settings.finish.loudness_lufs}
        if output.nearest:
            facts |= {CONFIDENCE: float(output.confidence), NEAREST: output.nearest}
        if output.n_heard < output.n_words:
            facts[HEARD] = [output.n_heard, output.n_words]
        return facts

    def _write(self, clip: Clip, stem: str, form: str, metadata: ClipMetadata, recipe: dict[str, object]) -> Path:
        """Write under the first free name. Another program may take a name between the look and the write."""
        for _ in range(NAME_ATTEMPTS):
            path = unique_path(self.settings.folder, stem, f".{form}")
            try:
                write_clip(path, clip, metadata, recipe, self.settings.bits)
                return path
            except FileExistsError:
                continue
        raise FolderNotWritable(f"{self.settings.folder}: no free name for {stem}.{form}")


def _seed_of(first: int, take: int) -> int:
    """Return the seed of a take, counted from 1."""
    return (first + take - 1) % (SEED_LIMIT + 1)


def _report_slot(report: ProgressCallback, request: Generate, number: int, n_slots: int) -> ProgressCallback:
    """Return a callback that reports the progress of one slot as a part of its bank's."""
    title = request.title
    return lambda fraction, stage: report((number + fraction) / n_slots, f"{title[:60]}: {stage}")


def file_stem(request: Generate, params: GenerationParams, take: int) -> str:
    """Return a file's name without its ending: the title, the length, the seed, the take.

    'sea-waves_8s_s42_t1', or 'kit_128bpm_F#min_2bars_s42_t1' where tempo and key are known, as hosts and samplers look
    for them.
    """
    parts = [safe_stem(request.title)]
    if request.bpm is not None:
        parts.append(f"{request.bpm:g}bpm")
    if request.key:
        parts.append(short_key(request.key))
    length = f"{params.seconds:g}s" if request.bars is None else f"{request.bars:g}bar{'s' * (request.bars != 1)}"
    return "_".join([*parts, length, f"s{params.seed}", f"t{take}"])


def clip_metadata(request: Generate, params: GenerationParams, model: str, clip_id: str) -> ClipMetadata:
    """Return what a clip's file says of itself to hosts and people."""
    now = datetime.now()
    origin = f"seed {params.seed}, {params.steps} steps, guidance {params.guidance:g}, {model}"
    tempo = f"{request.bpm:g} bpm" if request.bpm is not None else ""
    return ClipMetadata(
        title=request.title,
        artist=SOFTWARE,
        comment=", ".join(part for part in (tempo, request.key, origin) if part),
        software=SOFTWARE,
        date=now.date().isoformat(),
        time=now.time().isoformat("seconds"),
        reference=clip_id,
        history=f"{origin}: {params.prompt or request.title}",
        loop=params.loop,
        bpm=request.bpm,
        bars=request.bars,
        key=request.key,
    )


def check_folder(folder: Path) -> None:
    """Make the folder where it is missing, and write into it. Raises FolderNotWritable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".clipsonic-{secrets.token_hex(4)}.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FolderNotWritable(f"the sample folder {folder} cannot be written: {error.strerror}") from error
