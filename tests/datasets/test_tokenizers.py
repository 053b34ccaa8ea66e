"""Tokenizers in their real formats, trained and written by the tests; nothing is downloaded."""

import base64

import pytest
import torch

from lossbench.datasets import tokenizers
from lossbench.datasets.tokenizers import symbols, tokenizer_of
from lossbench.errors import UsageError

TEXT = "To be, or not to be: that is the question. Größe — ἀρχή\n\nTo be!"


def test_bytes():
    made = tokenizer_of("bytes")
    assert bytes(made.encode(TEXT)).decode() == TEXT == made.decode(list(TEXT.encode()))
    assert made.size == 256 and made.end == 0 and torch.equal(made.token_bytes, torch.ones(256))
    assert made.decode([0xC3]) == "\ufffd"  # half a character


def ranks(folder, *merges):
    """A file of ranks as tiktoken's: all single bytes, then the merges."""
    path = folder / "small.tiktoken"
    pieces = [*(bytes([i]) for i in range(256)), *merges]
    path.write_text("".join(f"{base64.b64encode(piece).decode()} {rank}\n" for rank, piece in enumerate(pieces)))
    return f"tiktoken:{path}"


def test_tiktoken_file(tmp_path):
    pytest.importorskip("tiktoken")
    made = tokenizer_of(ranks(tmp_path, b"To", b" b", b" be"))
    assert made.encode("To be To") == [256, 258, 32, 256]  # ' To' is one piece; it has no merge of its first two bytes
    assert made.decode(made.encode(TEXT)) == TEXT
    assert made.size == 260 and made.end == 259  # the special token comes last
    assert made.token_bytes[[65, 256, 258, 259]].tolist() == [1, 2, 3, 0]
    assert sum(made.token_bytes[t].item() for t in made.encode(TEXT)) == len(TEXT.encode())
    assert made.encode("<|endoftext|>") != [259]  # in a text it is text


def byte_level(folder):
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=270, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([TEXT] * 3, trainer)
    made.save(str(folder / "tokenizer.json"))
    return made


@pytest.mark.parametrize("where", ["folder", "file"])
def test_huggingface_byte_level(tmp_path, where):
    theirs = byte_level(tmp_path)
    made = tokenizer_of(f"huggingface:{tmp_path if where == 'folder' else tmp_path / 'tokenizer.json'}")
    tokens = made.encode(TEXT)
    assert tokens == theirs.encode(TEXT).ids and made.decode(tokens) == TEXT
    assert made.size == 270 and made.end == 0 and made.token_bytes[0] == 0
    assert len(tokens) < len(TEXT.encode()) == sum(made.token_bytes[t].item() for t in tokens)


def test_huggingface_with_marks_for_spaces(tmp_path):  # as SentencePiece: bytes where a character is not known
    tokenizers = pytest.importorskip("tokenizers")
    names = [f"<0x{i:02X}>" for i in range(256)] + ["▁", "b", "e", "▁b", "▁be", "ö"]
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE({n: i for i, n in enumerate(names)}, [("▁", "b"), ("▁b", "e")], byte_fallback=True)
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    made.save(str(tmp_path / "tokenizer.json"))
    own = tokenizer_of(f"huggingface:{tmp_path}")
    tokens = own.encode("be be ö b€")
    assert sum(own.token_bytes[t].item() for t in tokens) == len("be be ö b€".encode())
    assert own.token_bytes[names.index("ö")] == 2 and own.token_bytes[names.index("▁be")] == 3


def test_huggingface_word_pieces(tmp_path):  # forget the spaces: nobody knows how many bytes a token stands for
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({"[UNK]": 0, "to": 1, "be": 2, "##e": 3}, unk_token="[UNK]")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    assert tokenizer_of(f"huggingface:{tmp_path}").token_bytes.isnan().all()


def test_symbols():
    made = symbols(["a", "b", ">"])
    assert made.encode("a > b") == [0, 2, 1] and made.decode([0, 2, 1]) == "a > b"
    with pytest.raises(UsageError, match=r"'c' is no symbol.*a b >"):
        made.encode("a c")


def test_refusals(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"dataset\.tokenizer=byte: .*did you mean 'bytes'"):
        tokenizer_of("byte")
    with pytest.raises(UsageError, match="no encoding 'gtp2', did you mean 'gpt2'"):
        tokenizer_of("tiktoken:gtp2")
    with pytest.raises(UsageError, match="there is no such file"):
        tokenizer_of(f"tiktoken:{tmp_path}/none.tiktoken")
    (tmp_path / "bad.tiktoken").write_text("not a rank at all\n")
    with pytest.raises(UsageError, match="no file of ranks"):
        tokenizer_of(f"tiktoken:{tmp_path}/bad.tiktoken")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match=r"cannot be loaded.*tokenizer\.json"):
        tokenizer_of(f"huggingface:{tmp_path}")
    monkeypatch.setattr(tokenizers, "find_spec", lambda package: None)
    with pytest.raises(UsageError, match=r"pip install 'lossbench\[text\]'"):
        tokenizer_of("tiktoken:r50k_base")
