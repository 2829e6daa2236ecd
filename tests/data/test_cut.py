"""Documents are cut at the coarsest place that fits; nothing is lost, whatever the script."""

from hypothesis import given
from hypothesis import strategies as st

from data_files import read_sound
from whet.data.cut import HEADING_SEPARATOR, Cutter, pieces, read_documents
from whet.data.faults import Faults
from whet.records import Passage

IN_WORDS = Cutter(lambda texts: [len(text.split()) for text in texts], 30)

HANDBOOK = """---
title: "The handbook"
---
Some words before any heading.

## Cards

Cards are *renewed* at the desk.

### Fees

First cards are free.

## Dogs

Dogs are taxed.
"""


def test_a_folder_becomes_passages_that_name_their_document(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub" / "guide.md").write_text(HANDBOOK)
    (tmp_path / "licence.txt").write_text("Everybody may use this for everything.")
    (tmp_path / "z-licence.txt").write_text("Everybody may use this\nfor everything.")
    (tmp_path / ".git" / "notes.txt").write_text("words that nobody should read")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    (tmp_path / "empty.md").write_text("")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    faults = Faults()
    collection = read_documents(tmp_path, IN_WORDS, faults)
    assert [(fault.kind, fault.level) for fault in faults] == [
        ("unreadable", "warning"),
        ("no-text", "warning"),
    ]
    assert list(collection.passages) == [
        "licence.txt#1",
        *(f"sub/guide.md#{number}" for number in (1, 2, 3, 4)),
    ]
    assert collection.passages["sub/guide.md#3"].title == HEADING_SEPARATOR.join(
        ("The handbook", "Cards", "Fees")
    )
    assert collection.documents["sub/guide.md#3"] == "sub/guide.md"
    (alone,) = read_sound(tmp_path / "licence.txt").passages.values()
    assert alone == Passage("licence.txt#1", "Everybody may use this for everything.", "licence")


TEXTS = st.text(alphabet="ab .!\n東。é", max_size=200)


@given(TEXTS, st.integers(1, 20))
def test_pieces_fit_and_lose_nothing(text, room):
    cut = pieces(text, room, lambda texts: [len(text) for text in texts])
    assert all(len(piece.strip()) > 0 and len(piece) <= room + 2 for piece in cut)
    assert "".join("".join(cut).split()) == "".join(text.split())


def test_pieces_break_where_readers_would():
    text = "One two three.\n\nFour five. Six seven eight.\n\nNine."
    by_words = lambda texts: [len(text.split()) for text in texts]  # noqa: E731
    assert pieces(text, 100, by_words) == [text]
    assert pieces(text, 5, by_words) == ["One two three.", "Four five. Six seven eight.", "Nine."]
    assert pieces(text, 3, by_words) == [
        "One two three.",
        "Four five.",
        "Six seven eight.",
        "Nine.",
    ]
    assert pieces("a " * 10, 4, by_words) == ["a a a a", "a a a a", "a a"]


def test_passages_are_no_longer_than_they_may_be(tmp_path):
    (tmp_path / "long.txt").write_text(
        "\n\n".join(" ".join(["word"] * size) for size in (5, 40, 90, 7))
    )
    collection = read_documents(tmp_path, IN_WORDS, Faults())
    sizes = [len(passage.content.split()) for passage in collection.passages.values()]
    assert max(sizes) <= 30
    assert sum(sizes) == 142 + len(sizes)  # every passage has the title
