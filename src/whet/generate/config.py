"""Settings of query generation; each field's description is its help text."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from whet.records import QuerySource, Style


class GenerateConfig(BaseModel):
    """What generates queries, how many, and what it may cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: str = Field(
        "offline",
        description="offline (copied from the passages), openai:MODEL, gemini:MODEL, vllm:MODEL, "
        "ollama:MODEL, llamacpp:MODEL, each with @URL where it is elsewhere, or local:MODEL "
        "(folder or hub id, run by transformers)",
    )
    sources: tuple[QuerySource, ...] = Field(
        ("gold", "given", "generated", "extractive"),
        description="where the positive query of a hard negative (CLP's h*) may come from: gold "
        "(training queries that the passage is a positive of), given (by the data), generated (by "
        "a language model), extractive (by the offline generator)",
    )
    passages: int = Field(
        0,
        ge=0,
        description="number of passages without a query for which training queries are generated",
    )
    per_passage: int = Field(1, ge=1, le=20, description="queries for each of those passages")
    styles: tuple[Style, ...] = Field(
        ("question", "keywords", "long", "misspelt"),
        min_length=1,
        description="styles of the queries; passages take them in turn",
    )
    paraphrases: int = Field(
        0, ge=0, le=20, description="other wordings of every training query; needs a model"
    )
    round_trip: int = Field(
        3, ge=1, description="rank within which a query must find its own passage"
    )
    searches: tuple[Literal["bm25", "base"], ...] = Field(
        ("bm25",),
        description="searches in which a generated query must find its passage: bm25, base (the "
        "base model), or both",
    )
    prompts: str | None = Field(
        None,
        description="folder with prompts (queries.txt, reverse.txt, paraphrases.txt) that replace "
        "the built-in ones",
    )
    temperature: float = Field(
        0.7, ge=0, le=2, description="sampling temperature of the language model"
    )
    reply_tokens: int = Field(300, ge=16, description="most tokens of one reply")
    concurrency: int = Field(
        8,
        ge=1,
        le=512,
        description="calls at a time; a call that waits for its next try is one of them",
    )
    timeout: float = Field(60.0, gt=0, description="seconds after which a call counts as lost")
    tries: int = Field(6, ge=1, description="tries of a call before it counts as failed")
    max_calls: int | None = Field(
        None, ge=1, description="calls after which generation stops; all tries of one count once"
    )
    max_tokens: int | None = Field(
        None, ge=1, description="tokens, in and out, after which generation stops"
    )
    max_cost: float | None = Field(
        None, gt=0, description="money after which generation stops; needs price_in and price_out"
    )
    price_in: float | None = Field(
        None, ge=0, description="price of a million tokens of prompts, in your currency"
    )
    price_out: float | None = Field(None, ge=0, description="price of a million tokens of replies")
    seed: int = Field(13, ge=0, description="seed of the choice of passages")
