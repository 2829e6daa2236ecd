"""Reads queries out of a language model's reply: JSON, broken JSON, a list, or lines of text."""

import json
import re

from whet.records import GenerationResult

REFUSAL = re.compile(
    r"^\W*(i'?m sorry|i am sorry|sorry,|i can(?:no|')t|i am unable|i'm unable|as an ai\b"
    r"|as a language model|es tut mir leid|je suis désolé|lo siento|申し訳)",
    re.IGNORECASE,
)
CHATTER = re.compile(
    r"^\W*(here(?:'s| is| are)|sure\b|certainly\b|of course\b|okay\b|below (?:is|are)"
    r"|the (?:search )?quer(?:y|ies)\b.*:$)",
    re.IGNORECASE,
)
LIST_MARK = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):])\s+")
LABEL = re.compile(r"^(?:query|question|search query|q)\s*\d*\s*[:：]\s*", re.IGNORECASE)
# Thinking that began in the prompt has no start mark. Thinking that was cut short has no end mark.
THINKING = re.compile(r"\A.*</think>|<think>.*\Z", re.DOTALL)
JSON_START = re.compile(r"""(?:```)?(?:json)?\s*([{\[]\s*["'{\[].*)\Z""", re.DOTALL)
QUERY_KEYS = ("queries", "query")
QUOTES = "\"'“”„«»`「」"
MAX_REPAIRED = 4000  # characters; json_repair needs a second for the worst text of that length


def queries_in(reply: str, most: int) -> GenerationResult:
    r"""At most `most` queries of a reply, or why there are none.

    >>> queries_in('```json\n{"queries": ["how to renew a card"]}\n```', 2).texts
    ('how to renew a card',)
    >>> queries_in('Here are two:\n1. "how to renew a card"\n2. library card renewal', 2).texts
    ('how to renew a card', 'library card renewal')
    >>> queries_in("I'm sorry, but I can't help with that.", 1)
    GenerationResult(texts=(), failure='refused')
    """
    text = THINKING.sub("", reply).strip()
    if not text:
        return GenerationResult((), "empty reply")
    strings = _strings_of_json(text)
    if strings is None:
        strings = _strings_of_broken_json(text)
    if strings is None:
        if REFUSAL.match(text):
            return GenerationResult((), "refused")
        strings = _strings_of_lines(text)
    queries: dict[str, None] = {}
    is_refused = False
    for string in strings:
        query = " ".join(string.split())
        query = query.strip(QUOTES).strip()
        if REFUSAL.match(query):
            is_refused = True
        elif query and not CHATTER.match(query):
            queries[query] = None
    if queries:
        return GenerationResult(tuple(queries)[:most])
    return GenerationResult((), "refused" if is_refused else "no query in the reply")


def _strings_of_json(text: str) -> list[str] | None:
    """Strings of the first JSON value that holds any; None where there is no JSON value."""
    decoder = json.JSONDecoder(strict=False)  # strict would refuse line breaks in strings
    has_value = False
    for match in re.finditer(r"[{\[]", text):
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except json.JSONDecodeError:
            continue
        except RecursionError:  # a thousand brackets in a row are no reply
            break
        has_value = True
        strings = _strings(value)
        if strings:
            return strings
    return [] if has_value else None


def _strings_of_broken_json(text: str) -> list[str] | None:
    """Strings of JSON with faults: cut short, quotes not escaped, single quotes, and the like.

    Returns None where the text does not begin like JSON. json_repair reads what models get wrong.
    """
    from json_repair import repair_json

    match = JSON_START.match(text)
    if not match:
        return None
    broken = match[1][:MAX_REPAIRED]
    broken = broken.rstrip("` \n")
    try:
        value = repair_json(broken, return_objects=True, skip_json_loads=True)
    except ValueError:  # nested too deeply
        return []
    # Where the reply ends inside a string, that string was cut short and is left out.
    strings: list[str] = []
    for string in _strings(value):
        words = string.split()
        if words and not broken.endswith(words[-1]):
            strings.append(string)
    return strings


def _strings(value: object) -> list[str]:
    """All strings in a JSON value; of an object with queries, those in its queries."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        inner = list(value.values())
        for key in reversed(QUERY_KEYS):
            if key in value:
                inner = [value[key]]
    elif isinstance(value, list):
        inner = value
    else:
        inner = []
    strings: list[str] = []
    for item in inner:
        strings += _strings(item)
    return strings


def _strings_of_lines(text: str) -> list[str]:
    """The items of a list, where there is one; else every line. Labels are cut off."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("```")]
    items = [LIST_MARK.sub("", line) for line in lines if LIST_MARK.match(line)]
    return [LABEL.sub("", line.strip("* ")) for line in items or lines]
