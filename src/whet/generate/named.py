"""Generators by name: what a recipe writes, and what it means."""

import logging
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from whet.errors import ConfigError
from whet.generate.chat import PRESETS, ChatServer, Request
from whet.generate.config import GenerateConfig
from whet.generate.extractive import ExtractiveGenerator
from whet.generate.local import LocalModel
from whet.generate.model import ModelGenerator
from whet.generate.prompts import Purpose, prompt_of
from whet.generate.reply_store import ReplyStore
from whet.generate.spending import Confirm, Spending, refuse
from whet.records import Generator, Passage
from whet.servers import check_address

logger = logging.getLogger(__name__)

OFFLINE, LOCAL = "offline", "local"
FORMS = (
    "offline (copied from the passages), local:MODEL (a folder or hub id that transformers runs), or "
    f"{', '.join(f'{server}:MODEL' for server in PRESETS)}, with @URL behind it where the server is elsewhere"
)
EXAMPLES = 6  # of the user's own queries that a prompt shows


def generator_of(
    config: GenerateConfig,
    purpose: Purpose,
    corpus: Iterable[Passage],
    replies: Path,
    *,
    examples: Sequence[str] = (),
    confirm: Confirm = refuse,
) -> Generator:
    """The generator that `config.generator` means; replies of a model are kept in the file `replies`.

    `examples` are queries of the user's own: prompts show the first EXAMPLES, offline texts take the form of all.
    `confirm` is asked before the first call of a server, with an estimate of its costs. Raises
    ConfigError when the name means nothing.
    """
    check_generator_name(config.generator)
    if config.generator == OFFLINE:
        return ExtractiveGenerator(corpus, examples)
    kind, _, rest = config.generator.partition(":")
    folder, shown = Path(config.prompts) if config.prompts else None, examples[:EXAMPLES]
    store = ReplyStore(replies)
    calls, tokens_in, tokens_out = store.spent()
    spending = Spending(config, calls, tokens_in, tokens_out)
    if kind == LOCAL:
        model = LocalModel(rest, config)
        plain = not model.converses and not (folder and (folder / f"{purpose}.txt").exists())
        prompt = prompt_of("plain" if plain else purpose, folder, shown)
        return ModelGenerator(model, prompt, store, spending, lambda _requests, _queries: None)
    name, _, url = rest.partition("@")
    server = ChatServer(kind, name, url or None, config)
    return ModelGenerator(
        server, prompt_of(purpose, folder, shown), store, spending, _agreed(spending, name, confirm)
    )


def check_generator(config: GenerateConfig) -> None:
    """Raise ConfigError, before anything is done or said, for what can write nothing."""
    check_generator_name(config.generator)
    if config.paraphrases and config.generator == OFFLINE:
        raise ConfigError(
            "paraphrases need a language model, for offline only copies; name one (--generator)"
        )
    Spending(config)


def check_generator_name(name: str) -> None:
    """Raise ConfigError for what can name no generator, and for an address that holds a key."""
    kind, _, rest = name.partition(":")
    model, _, url = rest.partition("@")
    if name == OFFLINE or (kind in (LOCAL, *PRESETS) and model):
        if kind in PRESETS:
            check_address(model, url, PRESETS[kind][1])
        return
    close = get_close_matches(kind, [OFFLINE, LOCAL, *PRESETS], n=1)
    meant = f" Did you mean {close[0]}{'' if close[0] == OFFLINE else ':MODEL'}?" if close else ""
    raise ConfigError(f"generator {name!r}: there is none of that name.{meant} Expected {FORMS}.")


def local_model(name: str) -> str:
    """The folder or hub id of a local model; "" for any other generator."""
    kind, _, rest = name.partition(":")
    return rest if kind == LOCAL else ""


def _agreed(
    spending: Spending, model: str, confirm: Confirm
) -> Callable[[Sequence[Request], int], None]:
    """Return a function that raises ConfigError unless `confirm` agrees to what calls will cost."""

    def check(requests: Sequence[Request], queries: int) -> None:
        characters = [request.characters for request in requests]
        estimate = f"{model}: {spending.estimate(characters, queries)}"
        if not confirm(f"{estimate}. Go on?"):
            raise ConfigError(f"{estimate}. To agree to that, give the same command with --yes.")
        logger.info(estimate)

    return check
