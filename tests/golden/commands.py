"""The commands that are recorded, in this order: later ones see what earlier ones made."""

Command = tuple[str, list[str], dict[str, str]]
"""What runs it, its arguments, and its own environment. `{tmp}` is the temporary folder."""

WIDE = {"COLUMNS": "1000"}


def _clipsonic(*lines: str, **environ: str) -> list[Command]:
    """Arguments as one writes them in a shell, without its quotes: `+` is a space within an argument."""
    return [("clipsonic", [word.replace("+", " ") for word in line.split()], environ) for line in lines]


HELP = [
    *_clipsonic("--help", "--version"),
    *_clipsonic(
        *(
            f"{name} --help"
            for name in (
                "serve",
                "generate",
                "play",
                "stop",
                "status",
                "clips",
                "banks",
                "demo",
                "models",
                "doctor",
                "clients",
            )
        )
    ),
    *_clipsonic(
        *(
            f"clips {name} --help"
            for name in ("search", "info", "open", "reveal", "star", "unstar", "tag", "delete", "undo", "redo")
        )
    ),
    *_clipsonic(*(f"banks {name} --help" for name in ("show", "check", "render", "export"))),
    *_clipsonic(*(f"models {name} --help" for name in ("install", "import", "remove"))),
    *_clipsonic(*(f"clients {name} --help" for name in ("install", "reveal"))),
    ("onnx_export", ["--help"], {}),
    *(
        ("onnx_export", [name, "--help"], {})
        for name in (
            "train",
            "features",
            "estimate",
            "resume",
            "export",
            "import",
            "evaluate",
            "compare",
            "probe",
            "draw",
        )
    ),
]
REFUSED = [
    *_clipsonic(
        "",
        "sing",
        "generate rain --seconds long",
        "generate rain --seed 1.5",
        "generate rain --format mp3",
        "generate rain --device tpu",
        "generate rain --rate 22050",
        "generate rain --via train",
        "generate rain --unknown",
        "serve --osc-port x",
        "clips star",
        "clips search",
        "clips --count few",
        "banks show",
        "models install",
        "models import",
        "doctor now",
        "clients install",
    ),
    ("onnx_export", [], {}),
    ("onnx_export", ["train", "nothing"], {}),
    ("onnx_export", ["export", "moon"], {}),
    ("onnx_export", ["estimate"], {}),
]
MODELS = _clipsonic(
    "models",
    "generate rain",
    "models install {tmp}/bundles/toy",
    "models install {tmp}/bundles/slow-toy",
    "models install {tmp}/bundles/toy",
    "models install {tmp}/nowhere",
    "models install {tmp}/banks",
    "models install {tmp}/banks/mine.toml",
    "models",
    "models --verify",
    "models remove slow-toy",
    "models remove slow-toy",
    "models remove clipsonic-mini",
    "models remove ../toy",
    "models import new",
    "models import new --base clipsonic-mini --towers ViT-L-14:openai --single",
)
MADE = _clipsonic(
    "generate sea waves 0.5 --seed 7",
    "generate tins --bars 1 --bpm 180 --key f#+minor --format aiff --seed 3 --stereo 0.5 --negative hiss "
    "--name My+Tins --takes 2 --steps 2 --guidance 1.5",
    "generate --image {tmp}/blue+sky.png 0.5 --seed 4 --format flac",
    "generate --like {tmp}/clips/sea-waves_0.5s_s7_t1.wav --seed 9 --loop --rate 44100",
)
BAD = _clipsonic(
    "generate",
    "generate ++",
    "generate rain --seconds 99",
    "generate rain --seconds 0",
    "generate rain --seconds nan",
    "generate sea+waves 99",
    "generate rain --bars 0.01",
    "generate rain --bars 65",
    "generate rain --bars 64 --bpm 20",
    "generate rain --bars 1 --seconds 2",
    "generate rain --bpm 19",
    "generate rain --bpm 1000",
    "generate rain --key H",
    "generate rain --seed -2",
    "generate rain --seed 2147483648",
    "generate rain --takes 0",
    "generate rain --takes 17",
    "generate rain --steps 0",
    "generate rain --steps 101",
    "generate rain --guidance -1",
    "generate rain --guidance 21",
    "generate rain --stereo 1.5",
    "generate rain --blend 0.5",
    "generate rain --blend 2 --image {tmp}/blue+sky.png",
    "generate rain --frames 0",
    "generate rain --via zs",
    "generate --via pd --image {tmp}/blue+sky.png",
    "generate --image {tmp}/nowhere.png",
    "generate --image {tmp}/no-picture.png",
    "generate --image {tmp}",
    "generate rain --model moon",
    "generate --like {tmp}/nowhere.wav",
    "generate --like {tmp}/no-picture.png",
    "generate rain 0.5 --folder {tmp}/no-picture.png",
)
SETTINGS = [
    *_clipsonic("generate rain", CLIPSONIC_THREADS="many"),
    *_clipsonic("generate rain", CLIPSONIC_THREADS="257"),
    *_clipsonic("generate rain", CLIPSONIC_BITS="20"),
    *_clipsonic("generate rain", CLIPSONIC_LOUDNESS_LUFS="0"),
    *_clipsonic("generate rain", CLIPSONIC_LOUDNESS_LUFS="loud"),
    *_clipsonic("generate rain", CLIPSONIC_DEVICE="tpu"),
    *_clipsonic("generate rain", CLIPSONIC_SAMPLE_RATE="22050"),
    *_clipsonic("generate rain", CLIPSONIC_SETTINGS="{tmp}/unknown.toml"),
    *_clipsonic("generate rain", CLIPSONIC_SETTINGS="{tmp}/broken.toml"),
    *_clipsonic("serve", CLIPSONIC_LAN="maybe"),
    *_clipsonic("serve", CLIPSONIC_ADVERTISE="2"),
    *_clipsonic("serve", CLIPSONIC_LATENCY_MS="1"),
    *_clipsonic("serve", CLIPSONIC_QUEUE_SIZE="0"),
    *_clipsonic(
        "serve --osc-port 70000",
        "serve --http-port -1",
        "serve --lan",
        "serve --allow 192.168.1.20",
        "serve --lan --allow example.com",
        "serve --lan --allow 192.168.1.0/33",
        "serve --model moon",
        "serve --folder {tmp}/no-picture.png",
        "serve --osc-port {taken}",
        "serve --osc-port 0 --http-port 0 --midi keys",
        "serve --osc-port 0 --http-port 0 --device coreml",
    ),
]
CLIPS = _clipsonic(
    "clips",
    "clips --count 2",
    "clips --count 0",
    "clips search tins",
    "clips search nothing+like+it",
    "clips search !",
    "clips info last",
    "clips info sea-waves_0.5s_s7_t1.wav",
    "clips info nobody",
    "clips star last",
    "clips unstar last",
    "clips tag last deep blue",
    "clips tag last blue --remove",
    "clips tag last " + "t" * 50,
    "clips",
    "clips open last",
    "clips reveal last",
    "clips delete last",
    "clips delete nobody",
    "clips undo",
    "clips undo",
    "clips redo",
    "clips redo",
    "clips redo",
    "clips undo",
    "clips undo",
    "clips",
    "clips --folder {tmp}/empty",
    "clips --folder {tmp}/no-picture.png",
)
BANKS = [
    *_clipsonic("banks"),
    *_clipsonic("banks", CLIPSONIC_BANK_FOLDER="{tmp}/broken-banks", **WIDE),
    *_clipsonic(
        "banks show mine",
        "banks show mixed",
        "banks show nowhere",
        "banks check",
        "banks check mine {tmp}/broken-banks/broken.toml",
        "banks check {tmp}/broken-banks/unknown-key.toml {tmp}/nowhere.toml nowhere",
        "banks check mine-too",
        "banks render mine",
        "banks render mine",
        "banks render mine-too",
        "banks show mine",
        "banks export mine --to {tmp}/exported",
        "banks export mine --to {tmp}/exported",
        "banks export mine",
        "banks export nowhere",
    ),
    *_clipsonic("banks show broken", CLIPSONIC_BANK_FOLDER="{tmp}/broken-banks"),
]
REMOTE = [
    *_clipsonic("play", "stop last", "status", "status --json", CLIPSONIC_OSC_PORT="7"),
    *_clipsonic("play --osc-port 70000", "status --osc-port x"),
]
CLIENTS = _clipsonic(
    "clients",
    "clients install {tmp}/patches",
    "clients install {tmp}/patches reaper max max",
    "clients install {tmp}/patches reaper cubase",
    "clients install {tmp}/no-picture.png max",
    "clients reveal",
)
WHOLE = [
    *_clipsonic("doctor", CLIPSONIC_OSC_PORT="{taken}"),
    *_clipsonic(
        "doctor --model moon --folder {tmp}/no-picture.png",
        CLIPSONIC_OSC_PORT="{taken}",
        CLIPSONIC_LAN="1",
        CLIPSONIC_ALLOW="192.168.1.20,10.0.0.0/8",
    ),
    *_clipsonic("demo red rain 0.5"),
]
COMMANDS: list[Command] = [*HELP, *REFUSED, *MODELS, *MADE, *BAD, *SETTINGS, *CLIPS, *BANKS, *REMOTE, *CLIENTS, *WHOLE]
