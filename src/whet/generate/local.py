"""Language models that transformers runs on this machine: chat models, others, and doc2query's."""

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from whet.errors import ConfigError
from whet.files import digest, source_digest
from whet.generate.answerer import Call, OnReply
from whet.generate.config import GenerateConfig
from whet.generate.reply_store import Reply
from whet.generate.spending import NOT_MADE, Spending
from whet.progress import Bar

BATCH_SIZE = 8  # prompts


class LocalModel:
    """A causal or sequence-to-sequence model from a folder or the hub; an `answerer.Answerer`.

    Prompts of about the same length share a batch. The same calls get the same replies.
    """

    def __init__(self, path: str, config: GenerateConfig) -> None:
        self.path = path
        self.config = config
        self.name = Path(path).name

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what decides a reply: settings and the model's files, or its name on the hub."""
        files = source_digest(self.path) or self.path
        return digest(
            "local",
            files,
            self.config.temperature,
            self.config.reply_tokens,
        )

    @property
    def is_chat_model(self) -> bool:
        """Whether it takes chat messages; others take a text to continue or to translate."""
        return bool(getattr(self._tokenizer, "chat_template", None))

    @cached_property
    def _is_encoder_decoder(self) -> bool:
        return bool(self._model.config.is_encoder_decoder)

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

        try:
            config = AutoConfig.from_pretrained(self.path)
            kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
            model = kind.from_pretrained(self.path)
        except (OSError, ValueError, KeyError) as error:
            raise self._load_error(error) from error
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return model.eval().to(device)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        # A decoder continues the end of its row, so padding must stand in front.
        padding_side = "right" if self._is_encoder_decoder else "left"
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.path)
        except (OSError, ValueError, KeyError) as error:
            raise self._load_error(error) from error
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = padding_side
        return tokenizer

    def _load_error(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"generator local:{self.path} cannot be loaded: {error}. "
            "Give a folder or hub id of a language model."
        )

    def answer(
        self, calls: Sequence[Call], spending: Spending, on_reply: OnReply
    ) -> dict[str, str]:
        """Run every prompt and hand each reply to `on_reply`.

        Returns which calls a limit forbade: key of the call → reason. No other call fails.
        """
        failures: dict[str, str] = {}
        by_length = sorted(calls, key=lambda call: call.characters)
        with Bar(f"generate with {self.name}", len(by_length)) as bar:
            for start in range(0, len(by_length), BATCH_SIZE):
                batch = by_length[start : start + BATCH_SIZE]
                allowed: list[Call] = []
                for call in batch:
                    limit = spending.begin(call.characters)
                    if limit:
                        failures[call.key] = f"{NOT_MADE}{limit}"
                    else:
                        allowed.append(call)
                replies = self._replies(allowed) if allowed else []
                for call, reply in zip(allowed, replies, strict=True):
                    spending.end(call.characters, reply)
                    on_reply(call, reply)
                bar.advance(len(batch))
        return failures

    def _replies(self, calls: Sequence[Call]) -> list[Reply]:
        """The replies of one batch, sampled with a seed that is made from its calls."""
        import torch

        started = time.monotonic()
        prompts = [self._prompt(call) for call in calls]
        encoding = self._tokenizer(prompts, return_tensors="pt", padding=True)
        device = self._model.device
        input_ids = encoding["input_ids"].to(device)  # (call, token)
        attention_mask = encoding["attention_mask"].to(device)
        sampling: dict[str, Any] = {"do_sample": False}
        if self.config.temperature:
            sampling = {"do_sample": True, "temperature": self.config.temperature}
        keys = [call.key for call in calls]
        seed = int(digest(keys)[:15], 16)  # 60 bits
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(seed)
            output_ids = self._model.generate(
                input_ids=input_ids,
                attention_mask=attention_mask,
                max_new_tokens=self.config.reply_tokens,
                pad_token_id=self._tokenizer.pad_token_id,
                **sampling,
            )
        if not self._is_encoder_decoder:  # a decoder repeats the prompt in front of the reply
            output_ids = output_ids[:, input_ids.shape[1] :]
        seconds = (time.monotonic() - started) / len(calls)
        tokens_in = attention_mask.sum(dim=1).tolist()
        is_written = output_ids != self._tokenizer.pad_token_id
        tokens_out = is_written.sum(dim=1).tolist()
        texts = self._tokenizer.batch_decode(output_ids, skip_special_tokens=True)
        return [
            Reply(text, read, written, seconds)
            for text, read, written in zip(texts, tokens_in, tokens_out, strict=True)
        ]

    def _prompt(self, call: Call) -> str:
        """The messages of a call as one text."""
        if not self.is_chat_model:
            contents = [message["content"] for message in call.messages]
            return "\n\n".join(contents)
        prompt: str = self._tokenizer.apply_chat_template(
            call.messages, tokenize=False, add_generation_prompt=True
        )
        return prompt
