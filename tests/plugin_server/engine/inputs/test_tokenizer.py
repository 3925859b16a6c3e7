import gzip

import pytest

from plugin_server.engine.inputs.tokenizer import Tokenizer
from plugin_server.errors import BundleDamaged
from plugin_server.settings import SHIPPED_BUNDLES

MERGES = SHIPPED_BUNDLES / "clipsonic-mini" / "merges.txt.gz"
PROMPTS = [
    "sea waves",
    "  Sea   WAVES!  ",
    "a dog's bark, it's loud; they've gone",
    "808 kick 909",
    "Möwen über dem Meer, naïve café",
    "波の音",
    "rain &amp; thunder",
    "under_score and-dash... (brackets) [x] #1!",
    "emoji 🌊 wave",
    "x" * 300,
    "one two three four five six seven eight nine ten " * 12,
    "don't won't I'LL WE'RE",
    "²½ ① tenths",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(MERGES, 77)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_ids_are_those_of_open_clip(tokenizer, prompt):
    pytest.importorskip("torch", reason="the train extra is not installed")
    from onnx_export.clipsonic.models.text_tower import declare_missing_operators

    operators = declare_missing_operators()
    from open_clip import SimpleTokenizer

    wanted = SimpleTokenizer(context_length=77)([prompt]).numpy()
    assert tokenizer(prompt).tolist() == wanted.tolist()
    del operators


def test_a_known_prompt_has_known_ids(tokenizer):
    # From CLIP's own tokenizer; holds also where open_clip is not installed.
    assert tokenizer("sea waves")[0, :5].tolist() == [49406, 2102, 7882, 49407, 0]


def test_long_prompts_are_cut_and_still_ended(tokenizer):
    ids = tokenizer("wave " * 500)
    assert ids.shape == (1, 77)
    assert ids[0, -1] == 49407


@pytest.mark.parametrize("prompt", PROMPTS)
def test_words_are_heard_as_long_as_their_tokens_fit(prompt):
    words, known = prompt.split(), Tokenizer(MERGES, 77)
    for context in (4, 8, 77):
        tokenizer = Tokenizer(MERGES, context)
        n_heard, n_words = tokenizer.count_heard(prompt)
        assert n_words == len(words)
        whole = tokenizer(prompt)[0, 1:-1].tolist()
        heard = [i for i in known(" ".join(words[:n_heard]))[0].tolist() if i][1:-1]
        assert whole[: len(heard)] == heard and len(heard) <= context - 2
        if n_heard < n_words:
            more = [i for i in Tokenizer(MERGES, 2000)(" ".join(words[: n_heard + 1]))[0].tolist() if i][1:-1]
            assert len(more) > context - 2


def test_words_that_are_not_heard_are_counted(tokenizer):
    assert tokenizer.count_heard("sea " * 90 + "thunder") == (75, 91)
    assert tokenizer.count_heard("sea waves") == (2, 2)
    assert tokenizer.count_heard("") == (0, 0)


def test_a_file_that_holds_no_merges_is_damaged(tmp_path):
    path = tmp_path / "merges.txt.gz"
    for content in (b"not gzip", gzip.compress(b"too\nshort"), b""):
        path.write_bytes(content)
        with pytest.raises(BundleDamaged, match=r"merges\.txt\.gz"):
            Tokenizer(path, 77)
