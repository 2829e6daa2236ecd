"""Generators by name, as recipes name them."""

import logging
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from whet.errors import ConfigError
from whet.generate.answerer import Call
from whet.generate.chat import PRESETS, ChatServer
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

OFFLINE = "offline"
LOCAL = "local"
SERVER_NAMES = ", ".join(f"{server}:MODEL" for server in PRESETS)
EXPECTED_NAMES = (
    "offline (copied from the passages), "
    "local:MODEL (a folder or hub id that transformers runs), "
    f"or {SERVER_NAMES}, with @URL behind it where the server is elsewhere"
)
MAX_EXAMPLES = 6  # of the user's own queries in a prompt


def generator_of(
    config: GenerateConfig,
    purpose: Purpose,
    corpus: Iterable[Passage],
    replies: Path,
    *,
    examples: Sequence[str] = (),
    confirm: Confirm = refuse,
) -> Generator:
    """Make the generator that `config.generator` names.

    Args:
        config: the settings of generation.
        purpose: what the texts are for; it decides the prompt.
        corpus: all passages; the offline generator counts their terms.
        replies: the file that stores a model's replies.
        examples: queries of the user's own. Prompts show the first MAX_EXAMPLES. Offline texts take
            the form of all of them.
        confirm: is asked before the first call of a server, with an estimate of the costs.

    Raises ConfigError when there is no generator of that name.
    """
    check_generator_name(config.generator)
    if config.generator == OFFLINE:
        return ExtractiveGenerator(corpus, examples)
    kind, _, model_name = config.generator.partition(":")
    folder = Path(config.prompts) if config.prompts else None
    shown = examples[:MAX_EXAMPLES]
    store = ReplyStore(replies)
    usage = store.usage()
    spending = Spending(config, usage.calls, usage.tokens_in, usage.tokens_out)
    if kind == LOCAL:
        model = LocalModel(model_name, config)
        has_own_prompt = folder is not None and (folder / f"{purpose}.txt").exists()
        is_plain = not model.is_chat_model and not has_own_prompt
        prompt = prompt_of("plain" if is_plain else purpose, folder, shown)
        return ModelGenerator(model, prompt, store, spending, _costs_nothing)
    model_name, _, url = model_name.partition("@")
    server = ChatServer(kind, model_name, url or None, config)
    prompt = prompt_of(purpose, folder, shown)
    check_costs = _cost_check(spending, model_name, confirm)
    return ModelGenerator(server, prompt, store, spending, check_costs)


def check_generator(config: GenerateConfig) -> None:
    """Raise ConfigError for a generator that cannot do what the recipe says, before any work."""
    check_generator_name(config.generator)
    if config.paraphrases and config.generator == OFFLINE:
        raise ConfigError(
            "paraphrases need a language model, for offline only copies; name one (--generator)"
        )
    Spending(config)


def check_generator_name(name: str) -> None:
    """Raise ConfigError for a name that means no generator, or an address that holds a key."""
    kind, _, rest = name.partition(":")
    model, _, url = rest.partition("@")
    if name == OFFLINE or (kind == LOCAL and model):
        return
    if kind in PRESETS and model:
        _, variable = PRESETS[kind]
        check_address(model, url, variable)
        return
    guess = ""
    close_names = get_close_matches(kind, [OFFLINE, LOCAL, *PRESETS], n=1)
    if close_names:
        suffix = "" if close_names[0] == OFFLINE else ":MODEL"
        guess = f" Did you mean {close_names[0]}{suffix}?"
    raise ConfigError(
        f"generator {name!r}: there is none of that name.{guess} Expected {EXPECTED_NAMES}."
    )


def local_model(name: str) -> str:
    """The folder or hub id of a local model; "" for any other generator."""
    kind, _, path = name.partition(":")
    return path if kind == LOCAL else ""


def _costs_nothing(calls: Sequence[Call], queries: int) -> None:
    """Accept all calls: a model on this machine costs nothing."""


def _cost_check(
    spending: Spending, model: str, confirm: Confirm
) -> Callable[[Sequence[Call], int], None]:
    """Return a function that raises ConfigError unless `confirm` agrees to what calls will cost."""

    def check_costs(calls: Sequence[Call], queries: int) -> None:
        characters = [call.characters for call in calls]
        estimate = f"{model}: {spending.estimate(characters, queries)}"
        if not confirm(f"{estimate}. Go on?"):
            raise ConfigError(f"{estimate}. To agree to that, give the same command with --yes.")
        logger.info(estimate)

    return check_costs
