"""Random models of the kinds that people tune: other backbones, poolings, prompts, towers; saved nowhere for long."""

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Router, StaticEmbedding, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3Model,
)

from tiny import VOCABULARY, tiny_bert

PROMPTS = {"query": "bade : ", "document": "bafi bago : "}
SIZE = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}


def tokenizer(template=None):
    """Whole words; `template` says which special tokens go around a text, none without it."""
    found = Tokenizer(WordLevel({token: i for i, token in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    found.pre_tokenizer = Whitespace()
    if template:
        special = [(token, VOCABULARY.index(token)) for token in ("[CLS]", "[SEP]")]
        found.post_processor = TemplateProcessing(single=template, special_tokens=special)
    return found


def transformer(folder, backbone, template, padding_side="right"):
    """A backbone as sentence-transformers' first module, 24 tokens long."""
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    backbone.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer(template), padding_side=padding_side, **names).save_pretrained(
        folder
    )
    return Transformer(str(folder), max_seq_length=24)


def bert(folder, **settings):
    return SentenceTransformer(str(tiny_bert(folder, max_seq_length=24, **settings)), device="cpu")


def bert_mean(folder):
    return bert(folder, normalise=False)


def bert_cls(folder):
    return bert(folder, pooling="cls")


def bert_prompted(folder):
    return bert(folder, prompts=PROMPTS)


def bert_prompt_left_out(folder):
    model = bert(folder, prompts=PROMPTS)
    model[1].include_prompt = False
    return model


def bert_short_vectors(folder):
    model = bert(folder)
    model.truncate_dim = 8
    return model


def modernbert(folder):
    config = ModernBertConfig(**SIZE, pad_token_id=0, cls_token_id=2, sep_token_id=3, local_attention=8)
    first = transformer(folder, ModernBertModel(config), "[CLS] $A [SEP]")
    return SentenceTransformer(modules=[first, Pooling(32)], device="cpu")


def mpnet(folder):
    first = transformer(folder, MPNetModel(MPNetConfig(**SIZE, pad_token_id=0)), "[CLS] $A [SEP]")
    return SentenceTransformer(modules=[first, Pooling(32), Normalize()], device="cpu")


def qwen3(folder, template="$A [SEP]"):
    """A decoder padded on the left, pooled at its last token, told its task by a prompt."""
    config = Qwen3Config(**SIZE, num_key_value_heads=2, head_dim=8, pad_token_id=0)
    first = transformer(folder, Qwen3Model(config), template, padding_side="left")
    modules = [first, Pooling(32, "lasttoken"), Normalize()]
    return SentenceTransformer(modules=modules, device="cpu", prompts={"query": "balu : ", "document": ""})


def qwen3_without_special_tokens(folder):
    return qwen3(folder, template=None)


def static(folder):
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer(), embedding_dim=16)], device="cpu", prompts=PROMPTS)


def two_towers(folder):
    router = Router.for_query_document(
        query_modules=[StaticEmbedding(tokenizer(), embedding_dim=32)],
        document_modules=[
            transformer(folder, MPNetModel(MPNetConfig(**SIZE, pad_token_id=0)), "[CLS] $A"),
            Pooling(32),
        ],
    )
    return SentenceTransformer(modules=[router], device="cpu")


ARCHITECTURES = [
    bert_mean,
    bert_cls,
    bert_prompted,
    bert_prompt_left_out,
    bert_short_vectors,
    modernbert,
    mpnet,
    qwen3,
    qwen3_without_special_tokens,
    static,
    two_towers,
]


def build(make, folder):
    """The same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(folder)
