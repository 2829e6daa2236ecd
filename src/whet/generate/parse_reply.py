"""What a language model answered, made into queries: JSON where it kept to it, and whatever can be understood else."""

import json
import re

from whet.records import GenerationResult

REFUSAL = re.compile(
    r"^\W*(i'?m sorry|i am sorry|sorry,|i can(?:no|')t|i am unable|i'm unable|as an ai\b|as a language model|"
    r"es tut mir leid|je suis désolé|lo siento|申し訳)",
    re.IGNORECASE,
)
TALK = re.compile(
    r"^\W*(here(?:'s| is| are)|sure\b|certainly\b|of course\b|okay\b|below (?:is|are)|"
    r"the (?:search )?quer(?:y|ies)\b.*:$)",
    re.IGNORECASE,
)
LISTED = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):])\s+")
LABEL = re.compile(r"^(?:query|question|search query|q)\s*\d*\s*[:：]\s*", re.IGNORECASE)
THOUGHT = re.compile(
    r"\A.*</think>|<think>.*\Z", re.DOTALL
)  # begun in the prompt, or cut short, it has one mark
OURS = ("queries", "query")  # keys
QUOTES = "\"'“”„«»`「」"


def queries_in(reply: str, most: int) -> GenerationResult:
    r"""At most `most` queries of a reply, or why there are none.

    >>> queries_in('```json\n{"queries": ["how to renew a card"]}\n```', 2).texts
    ('how to renew a card',)
    >>> queries_in('Here are two:\n1. "how to renew a card"\n2. library card renewal', 2).texts
    ('how to renew a card', 'library card renewal')
    >>> queries_in("I'm sorry, but I can't help with that.", 1)
    GenerationResult(texts=(), failure='refused')
    """
    text = THOUGHT.sub("", reply).strip()
    if not text:
        return GenerationResult((), "empty reply")
    found = _json(text)
    if found is None:
        if REFUSAL.match(text):
            return GenerationResult((), "refused")
        found = _lines(text)
    cleaned = [" ".join(one.split()).strip(QUOTES).strip() for one in found]
    kept = tuple(
        dict.fromkeys(
            one for one in cleaned if one and not REFUSAL.match(one) and not TALK.match(one)
        )
    )
    refused = any(REFUSAL.match(one) for one in cleaned)
    return GenerationResult(
        kept[:most], "" if kept else "refused" if refused else "no query in the reply"
    )


def _json(text: str) -> list[str] | None:
    """Strings of the first JSON value in a reply that holds any, of an object those it calls queries; else None."""
    decoder = json.JSONDecoder(strict=False)
    empty: list[str] | None = None
    for start in (found.start() for found in re.finditer(r"[{\[]", text)):
        try:
            value, _ = decoder.raw_decode(text, start)
        except json.JSONDecodeError:
            continue
        if strings := list(_strings(value)):
            return strings
        empty = []
    # A reply that was cut short, or a quote that was not escaped: the strings that are whole.
    if empty is None and text.lstrip("`json \n").startswith(("{", "[")):
        listed = text.partition('"queries"')[2] or text
        return re.findall(r'"((?:[^"\\]|\\.)+)"(?=\s*[,\]}])', listed) or None
    return empty


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = next(([value[key]] for key in OURS if key in value), list(value.values()))
    inner = value if isinstance(value, list) else []
    return [text for one in inner for text in _strings(one)]


def _lines(text: str) -> list[str]:
    """The lines of a list, where there is one; else every line, without labels."""
    lines = [
        line.strip()
        for line in text.splitlines()
        if line.strip() and not line.strip().startswith("```")
    ]
    listed = [LISTED.sub("", line) for line in lines if LISTED.match(line)]
    return [LABEL.sub("", line.strip("* ")) for line in listed or lines]
