"""Documents of five formats, made with the libraries that people make them with.

Proved: headings become titles, and tables become rows. Navigation and scripts are dropped. Files
that cannot be read are named.
"""

import docx
import fpdf

from data_files import Broken, assert_faults, cases
from whet.data.documents import document_files, read_sections
from whet.data.faults import Faults

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
<h2>Fees</h2><table><tr><th>first</th><td>free</td></tr></table>\
<table><tr><td>outer<table><tr><td>inner</td></tr></table></td></tr></table><pre>renew
--card</pre><div>Loose words here.</div><script>var x = 1</script>\
<footer>Imprint</footer></body></html>"""


def sections(path):
    """(headings, paragraphs) of each section of a document without faults."""
    faults = Faults()
    read = read_sections(path, faults)
    assert not faults
    return [(section.headings, section.paragraphs) for section in read]


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
    for name, content in (
        ("utf8", "Größe\n\nzwei".encode()),
        ("bom", b"\xef\xbb\xbf" + "Größe\n\nzwei".encode()),
        ("latin", "Größe\r\n\r\nzwei".encode("cp1252")),
        ("wide", "Größe\n\nzwei".encode("utf-16")),
    ):
        (tmp_path / f"{name}_file.txt").write_bytes(content)
        assert sections(tmp_path / f"{name}_file.txt") == [((f"{name} file",), ("Größe", "zwei"))]


def test_word(tmp_path):
    document = docx.Document()
    document.add_heading("The handbook", 0)
    document.add_heading("Cards", 1)
    document.add_paragraph("Cards are renewed at the desk.")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "first", "free"
    document.add_heading("Fees", 2)
    document.add_paragraph("Fees are paid in advance.")
    document.save(str(tmp_path / "a.docx"))
    assert sections(tmp_path / "a.docx") == [
        (("The handbook", "Cards"), ("Cards are renewed at the desk.", "first | free")),
        (("The handbook", "Cards", "Fees"), ("Fees are paid in advance.",)),
    ]


def test_pdf(tmp_path):
    document = fpdf.FPDF()
    document.set_title("The handbook")
    document.set_font("helvetica", size=12)
    for heading, text in (
        ("Cards", "Cards are renewed at the desk."),
        ("Fees", "Fees are paid in advance."),
    ):
        document.add_page()
        document.start_section(heading)
        document.multi_cell(0, 8, text)
    document.output(str(tmp_path / "a.pdf"))
    assert sections(tmp_path / "a.pdf") == [
        (("The handbook", "Cards"), ("Cards are renewed at the desk.",)),
        (("The handbook", "Fees"), ("Fees are paid in advance.",)),
    ]


def test_runs_of_whet_are_no_documents(tmp_path):
    (tmp_path / "guide.md").write_text(MARKDOWN)
    for place in (tmp_path / "runs" / "docs", tmp_path / ".hidden"):
        place.mkdir(parents=True)
        (place / "report.md").write_text("Ours.")
    (tmp_path / "runs" / "docs" / ".lock").touch()
    assert document_files(tmp_path) == [tmp_path / "guide.md"]


@cases(
    [
        Broken(
            "documents without text",
            {"notes.txt": " ", "scan.pdf": "%PDF-"},
            [
                ("notes.txt", "holds no text", "OCR"),
                ("scan.pdf", "cannot be read"),
                ("holds any text", "[no-text]"),
            ],
        ),
        Broken(
            "a program under a text's name",
            {"tool.txt": bytes(range(1, 256)) * 4},
            [
                ("tool.txt", "cannot be read", "control characters", "no text"),
                ("holds any text", "[no-text]"),
            ],
        ),
    ]
)
def test_what_holds_no_text(case, tmp_path):
    assert_faults(case, tmp_path)
