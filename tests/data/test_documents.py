"""Documents of five formats, made with the libraries that people make them with, and how they are cut.

Proved: headings become titles, tables rows, navigation and scripts nothing; text is cut at the coarsest place that
fits, never lost, in scripts without spaces too; files that cannot be read are named and left out; and a folder's
passages find back to their file.
"""

from itertools import pairwise

import docx
import fpdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.data.cut import BETWEEN, Cutter, pieces, read_documents
from whet.data.documents import document_files, read_sections
from whet.data.faults import Faults
from whet.data.read import read
from whet.data.split import with_splits
from whet.data.test_queries import with_test_queries
from whet.errors import ConfigError, DataError
from whet.records import Collection, Passage

WORDS = Cutter(lambda texts: [len(text.split()) for text in texts], 30)

MARKDOWN = """---
title: "The handbook"
---
Some words before any heading.

## Cards

Cards are *renewed* at the `desk`,
or by post.

- bring a photograph
- bring the old card

### Fees

| card | fee |
|------|-----|
| first | free |
| second | 12 € |

```
renew --card
```

## Dogs

Dogs are taxed.
"""

HTML = """<html><head><title>The  page</title><style>p {}</style></head><body>
<nav><a>Home</a></nav><h1>Cards</h1><p>Cards are <b>renewed</b> at the desk.</p>
<ul><li>Bring a photograph <ul><li>of your face</li></ul></li></ul><!-- hidden -->
<h2>Fees</h2><table><tr><th>first</th><td>free</td></tr></table><table><tr><td>outer<table><tr><td>inner</td></tr></table></td></tr></table><pre>renew
--card</pre><div>Loose words here.</div><script>var x = 1</script><footer>Imprint</footer></body></html>"""


def sections(path):
    faults = Faults()
    found = read_sections(path, faults)
    assert not faults
    return [(one.headings, one.paragraphs) for one in found]


def test_markdown(tmp_path):
    (tmp_path / "a.md").write_text(MARKDOWN)
    assert sections(tmp_path / "a.md") == [
        (("The handbook",), ("Some words before any heading.",)),
        (
            ("The handbook", "Cards"),
            (
                "Cards are renewed at the desk, or by post.",
                "bring a photograph",
                "bring the old card",
            ),
        ),
        (
            ("The handbook", "Cards", "Fees"),
            ("card | fee", "first | free", "second | 12 €", "renew --card"),
        ),
        (("The handbook", "Dogs"), ("Dogs are taxed.",)),
    ]


def test_a_first_headline_is_the_documents_title(tmp_path):
    (tmp_path / "read_me.md").write_text(
        "# Whetstones\n\nThey sharpen.\n\n# Care\n\nKeep them wet."
    )
    assert sections(tmp_path / "read_me.md") == [
        (("Whetstones",), ("They sharpen.",)),
        (("Whetstones", "Care"), ("Keep them wet.",)),
    ]


def test_html(tmp_path):
    (tmp_path / "a.html").write_text(HTML)
    assert sections(tmp_path / "a.html") == [
        (
            ("The page", "Cards"),
            ("Cards are renewed at the desk.", "Bring a photograph", "of your face"),
        ),
        (
            ("The page", "Cards", "Fees"),
            ("first | free", "outer", "inner", "renew\n--card", "Loose words here."),
        ),
    ]


def test_lines_that_are_broken_by_a_tag_stay_apart(tmp_path):
    (tmp_path / "a.html").write_text(
        "<div>Open 9-5<br>Closed Sunday<hr>Main St 4<br/>12345 Town</div>"
    )
    assert sections(tmp_path / "a.html") == [
        (("a",), ("Open 9-5 Closed Sunday Main St 4 12345 Town",))
    ]
    (tmp_path / "a.md").write_text(
        "one<br>two *and* <b>three</b>\n\n| a | b |\n|---|---|\n| c<br/>d | e |\n"
    )
    assert sections(tmp_path / "a.md") == [(("a",), ("one\ntwo and three", "a | b", "c\nd | e"))]


def test_text_between_two_rules_is_no_front_matter(tmp_path):
    (tmp_path / "a.md").write_text("---\n\nWords to begin with.\n\n---\n\nRest.\n")
    assert sections(tmp_path / "a.md") == [(("a",), ("Words to begin with.", "Rest."))]
    (tmp_path / "a.md").write_text("---\ndate: 2020\ntitle: 'Dogs'\n---\n\nRest.\n")
    assert sections(tmp_path / "a.md") == [(("Dogs",), ("Rest.",))]


def test_plain_text_of_many_encodings(tmp_path):
    for name, data in (
        ("utf8", "Größe\n\nzwei".encode()),
        ("bom", b"\xef\xbb\xbf" + "Größe\n\nzwei".encode()),
        ("latin", "Größe\r\n\r\nzwei".encode("cp1252")),
        ("wide", "Größe\n\nzwei".encode("utf-16")),
    ):
        (tmp_path / f"{name}_file.txt").write_bytes(data)
        assert sections(tmp_path / f"{name}_file.txt") == [((f"{name} file",), ("Größe", "zwei"))]


def test_word(tmp_path):
    made = docx.Document()
    made.add_heading("The handbook", 0)
    made.add_heading("Cards", 1)
    made.add_paragraph("Cards are renewed at the desk.")
    table = made.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "first", "free"
    made.add_heading("Fees", 2)
    made.add_paragraph("Fees are paid in advance.")
    made.save(str(tmp_path / "a.docx"))
    assert sections(tmp_path / "a.docx") == [
        (("The handbook", "Cards"), ("Cards are renewed at the desk.", "first | free")),
        (("The handbook", "Cards", "Fees"), ("Fees are paid in advance.",)),
    ]


def test_pdf(tmp_path):
    made = fpdf.FPDF()
    made.set_title("The handbook")
    made.set_font("helvetica", size=12)
    for heading, text in (
        ("Cards", "Cards are renewed at the desk."),
        ("Fees", "Fees are paid in advance."),
    ):
        made.add_page()
        made.start_section(heading)
        made.multi_cell(0, 8, text)
    made.output(str(tmp_path / "a.pdf"))
    assert sections(tmp_path / "a.pdf") == [
        (("The handbook", "Cards"), ("Cards are renewed at the desk.",)),
        (("The handbook", "Fees"), ("Fees are paid in advance.",)),
    ]


def test_a_folder_becomes_passages_that_tell_where_they_stand(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub" / "guide.md").write_text(MARKDOWN)
    (tmp_path / "licence.txt").write_text("Everybody may use this for everything.")
    (tmp_path / "z-licence.txt").write_text("Everybody may use this\nfor everything.")
    (tmp_path / ".git" / "notes.txt").write_text("words that nobody should read")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    (tmp_path / "empty.md").write_text("")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    faults = Faults()
    found = read_documents(tmp_path, WORDS, faults)
    assert [(fault.kind, fault.level) for fault in faults] == [
        ("unreadable", "warning"),
        ("no-text", "warning"),
    ]
    assert list(found.passages) == [
        "licence.txt#1",
        *(f"sub/guide.md#{number}" for number in (1, 2, 3, 4)),
    ]
    assert found.passages["sub/guide.md#3"].title == BETWEEN.join(("The handbook", "Cards", "Fees"))
    assert found.documents["sub/guide.md#3"] == "sub/guide.md"
    assert (
        read(tmp_path / "licence.txt")[0].passages["licence.txt#1"].text
        == "Everybody may use this for everything."
    )


TEXTS = st.text(alphabet="ab .!\n東。é", max_size=200)


@given(TEXTS, st.integers(1, 20))
def test_pieces_fit_and_lose_nothing(text, room):
    found = pieces(text, room, lambda texts: [len(text) for text in texts])
    assert all(len(piece.strip()) > 0 and len(piece) <= room + 2 for piece in found)
    assert "".join("".join(found).split()) == "".join(text.split())


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
    found = read_documents(tmp_path, WORDS, Faults())
    sizes = [len(passage.content.split()) for passage in found.passages.values()]
    assert max(sizes) <= 30
    assert sum(sizes) == 142 + len(sizes)  # every passage has the title


def test_queries_of_one_document_stay_together():
    passages = {
        f"{name}#{at}": Passage(f"{name}#{at}", f"text {name} {at}")
        for name in "abcdefgh"
        for at in range(40)
    }
    documents = {passage: passage[0] for passage in passages}
    queries = {f"q{at}": f"query {passage}" for at, passage in enumerate(passages)}
    train = {query: {passage: 1} for query, passage in zip(queries, passages, strict=True)}
    bare = Collection(
        "d",
        passages,
        queries,
        {"train": train},
        documents=documents,
        synthetic=frozenset({"train"}),
    )
    found, _ = with_splits(bare)
    homes = {
        split: {documents[p] for ps in found.positives(split).values() for p in ps}
        for split in found.qrels
    }
    assert all(homes.values())
    assert all(one.isdisjoint(other) for one, other in pairwise(homes.values()))
    assert homes["train"].isdisjoint(homes["test"])
    assert found.synthetic == {"train", "dev", "test"}


@pytest.fixture
def handbook(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "guide.md").write_text(MARKDOWN)
    return read_documents(tmp_path / "docs", WORDS, Faults())


def test_real_test_queries_are_told_by_words_id_or_document(handbook, tmp_path):
    asked = tmp_path / "asked.csv"
    asked.write_text(
        "question,answer\nwhere do I renew?,RENEWED at the desk\nwhat does it cost?,guide.md#3\nall of it,guide.md\n"
    )
    found = with_test_queries(handbook, asked)
    assert list(found.qrels["test"].values()) == [
        {"guide.md#2": 1},
        {"guide.md#3": 1},
        {f"guide.md#{number}": 1 for number in (1, 2, 3, 4)},
    ]
    assert set(found.qrels["test"]) <= set(found.queries)
    asked.write_text("question,answer\nwho?,nobody knows\n")
    with pytest.raises(
        DataError, match=r"asked.csv:2: nothing in docs is called, or holds, 'nobody knows'"
    ):
        with_test_queries(handbook, asked)
    with pytest.raises(ConfigError, match="no such table"):
        with_test_queries(handbook, tmp_path / "gone.csv")


def test_an_answer_is_whole_words_with_its_grade_and_many_hits_are_warned_of(tmp_path, capsys):
    texts = {"eyes": "Close your eyes.", "yes": "They said yes.", "大仏": "奈良の大仏です。"}
    texts |= {f"same {n}": f"Number {n} is blue." for n in range(7)}
    data = Collection("c", {name: Passage(name, text) for name, text in texts.items()}, {}, {})
    asked = tmp_path / "asked.csv"
    asked.write_text(
        "query,positive,score\nis it so?,yes,2\nwhere?,大仏,1\nwhat not?,eyes,0\nwhich colour?,is blue,1\n"
    )
    found = with_test_queries(data, asked)
    blue = {f"same {n}": 1 for n in range(7)}
    assert list(found.qrels["test"].values()) == [{"yes": 2}, {"大仏": 1}, {"eyes": 0}, blue]
    assert "'is blue' stands in 7 passages" in capsys.readouterr().err.replace("\n", " ")


def test_runs_of_whet_are_no_documents(tmp_path):
    (tmp_path / "guide.md").write_text(MARKDOWN)
    for place in (tmp_path / "runs" / "docs", tmp_path / ".hidden"):
        place.mkdir(parents=True)
        (place / "report.md").write_text("Ours.")
    (tmp_path / "runs" / "docs" / ".lock").touch()
    assert document_files(tmp_path) == [tmp_path / "guide.md"]


def test_tables_beside_documents_are_not_passed_over(tmp_path):
    (tmp_path / "README.md").write_text("About the data.")
    (tmp_path / "sizes.csv").write_text("name,size\na,1\n")
    assert read(tmp_path)[1] == ()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00001.csv").write_text("question,answer\nq,p\n")
    (fault,) = read(tmp_path)[1]
    assert (fault.kind, fault.level) == ("unnamed-tables", "error")
    assert "train-00000-of-00001.csv" in str(fault)
