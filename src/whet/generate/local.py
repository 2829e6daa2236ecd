"""Language models that transformers runs on this machine: decoders that chat or continue, and doc2query's kind."""

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from whet.artifacts import digest, source_digest
from whet.errors import ConfigError
from whet.generate.chat import Request, Take
from whet.generate.config import GenerateConfig
from whet.generate.reply_store import Reply
from whet.generate.spending import NOT_ASKED, Spending
from whet.progress import Bar

BATCH = 8  # prompts that are read together


class LocalModel:
    """A causal or sequence-to-sequence model, from a folder or hub id; prompts of like length go together.

    The same prompts, asked together, get the same replies.
    """

    def __init__(self, path: str, config: GenerateConfig) -> None:
        self.path, self.config = path, config
        self.name = Path(path).name

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the model's files (of its name where it comes from the hub) and of what decides a reply."""
        files = source_digest(self.path) or self.path
        return digest("local", files, self.config.temperature, self.config.reply_tokens)

    @property
    def converses(self) -> bool:
        """Whether it takes chat messages, or else only a text to continue or to translate."""
        return bool(getattr(self._loaded[1], "chat_template", None))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        import torch
        from transformers import (
            AutoConfig,
            AutoModelForCausalLM,
            AutoModelForSeq2SeqLM,
            AutoTokenizer,
        )

        try:
            both = AutoConfig.from_pretrained(self.path).is_encoder_decoder
            model = (AutoModelForSeq2SeqLM if both else AutoModelForCausalLM).from_pretrained(
                self.path
            )
            tokenizer = AutoTokenizer.from_pretrained(self.path)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"generator local:{self.path} cannot be loaded: {error}. Give a folder or hub id of a language model."
            ) from error
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "right" if both else "left"
        return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer

    def answer(self, requests: Sequence[Request], spending: Spending, take: Take) -> dict[str, str]:
        """Run every prompt, handing each reply to `take`; none fails, but a cap may leave some unasked."""
        failures: dict[str, str] = {}
        ordered = sorted(requests, key=lambda request: request.characters)
        with Bar(f"generate with {self.name}", len(ordered)) as bar:
            for start in range(0, len(ordered), BATCH):
                allowed = []
                for request in ordered[start : start + BATCH]:
                    if capped := spending.begin(request.characters):
                        failures[request.key] = f"{NOT_ASKED}{capped}"
                    else:
                        allowed.append(request)
                replies = self._replies(allowed) if allowed else []
                for request, reply in zip(allowed, replies, strict=True):
                    spending.end(request.characters, reply)
                    take(request, reply)
                bar.advance(len(ordered[start : start + BATCH]))
        return failures

    def _replies(self, requests: Sequence[Request]) -> list[Reply]:
        import torch

        model, tokenizer = self._loaded
        began = time.monotonic()
        read = tokenizer(
            [self._text(request) for request in requests], return_tensors="pt", padding=True
        )
        read = {
            name: value.to(model.device)
            for name, value in read.items()
            if name in ("input_ids", "attention_mask")
        }
        sampled = (
            {"do_sample": True, "temperature": self.config.temperature}
            if self.config.temperature
            else {}
        )
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(int(digest([request.key for request in requests])[:15], 16))
            found = model.generate(
                **read,
                max_new_tokens=self.config.reply_tokens,
                pad_token_id=tokenizer.pad_token_id,
                **(sampled or {"do_sample": False}),
            )
        if not model.config.is_encoder_decoder:
            found = found[:, read["input_ids"].shape[1] :]
        seconds = (time.monotonic() - began) / len(requests)
        lengths = read["attention_mask"].sum(dim=1).tolist()
        texts = tokenizer.batch_decode(found, skip_special_tokens=True)
        written = (found != tokenizer.pad_token_id).sum(dim=1).tolist()
        return [Reply(*one, seconds) for one in zip(texts, lengths, written, strict=True)]

    def _text(self, request: Request) -> str:
        tokenizer = self._loaded[1]
        if self.converses:
            text: str = tokenizer.apply_chat_template(
                request.messages, tokenize=False, add_generation_prompt=True
            )
            return text
        return "\n\n".join(message["content"] for message in request.messages)
