"""Numbers that ship with the course but were not trained here.

`trigram` was counted: the n-gram that fills blanks in a page of chapter 9.
`encoder_attention` was computed: where the heads of the pretrained encoder look in some sentences.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcourse import pretrained
from lmcourse.bert import Bert
from lmcourse.data.grammar import TEACHING_GRAMMAR, teaching_language
from lmcourse.markov import ModifiedKneserNey
from lmcourse.multi_head_attention import recorded_weights
from lmcourse.pretrained import real_bert
from lmcourse.tokenizers import BOS, EOS, WordPiece

Table = tuple[dict[str, Tensor], dict[str, Any]]

SENTENCES = (
    "The small cat that the dogs chased sat on the mat.",
    "The animal did not cross the street because it was too tired.",
    "The animal did not cross the street because it was too wide.",
    "Anna gave her old bicycle to her younger brother.",
    "He deposited the money at the bank on the river bank.",
    "Tokenization cuts unbelievably long words into pieces.",
    "Paris is the capital of France, and Seoul is the capital of Korea.",
)


def trigram() -> Table:
    """The modified Kneser-Ney trigram of the teaching language, cut into what a page needs.

    P(w | u v) = discounted(u v w) + backoff(u, v) * bigram(v, w), where `bigram` already holds the
    lower orders. Only the trigrams that occur have a share of their own.
    """
    language = teaching_language()
    tokenizer = language.tokenizer
    sentences = [tokenizer.encode(text) for text in language.train]
    model = ModifiedKneserNey(3, tokenizer.vocab_size).fit(sentences)
    bos, eos = tokenizer.token_to_id[BOS], tokenizer.token_to_id[EOS]
    # Nothing ever stood after </s>: there the model knows no trigram and falls back.
    bigram = torch.stack(
        [model.next_token_probs([eos, v]) for v in range(tokenizer.vocab_size)]
    )
    bigram[bos] = model.next_token_probs([bos])
    backoff = torch.ones_like(bigram)
    followers: dict[tuple[int, int], set[int]] = {}
    for sentence in sentences:
        for u, v, w in zip(sentence, sentence[1:], sentence[2:], strict=False):
            followers.setdefault((u, v), set()).add(w)
    trigrams, discounted = [], []
    for (u, v), seen in sorted(followers.items()):
        probs = model.next_token_probs([u, v])
        never = bigram[v].index_fill(0, torch.tensor(sorted(seen)), 0.0)
        unseen = int(never.argmax())
        backoff[u, v] = probs[unseen] / bigram[v, unseen]
        for w in sorted(seen):
            trigrams.append([u, v, w])
            discounted.append(probs[w] - backoff[u, v] * bigram[v, w])
    tensors = {
        "bigram": bigram,
        "backoff": backoff,
        "trigrams": torch.tensor(trigrams),
        "discounted": torch.stack(discounted),
    }
    rules = {
        symbol: {" ".join(right): prob for right, prob in rights}
        for symbol, rights in TEACHING_GRAMMAR.rules.items()
    }
    facts = {
        "about": "The trigram of chapter 9, counted on the teaching language; and its grammar.",
        "tokens": list(tokenizer.tokens),
        "rules": rules,
        "start": TEACHING_GRAMMAR.start,
    }
    return {name: tensor.float() for name, tensor in tensors.items()}, facts


def trigram_log_probs(
    tensors: Mapping[str, Tensor], token_ids: Int[Tensor, "batch time"]
) -> Float[Tensor, "batch time-1"]:
    """log P of each token after the first, in nats, by the weights "trigram".

    After the first token alone, P is bigram(v, w).

    >>> token_ids = torch.tensor([[0, 2, 1]])
    >>> trigram_log_probs(pretrained.load_tensors("trigram"), token_ids).shape
    torch.Size([1, 2])
    """
    size = len(tensors["bigram"])
    own = torch.zeros(size, size, size, dtype=torch.float64)
    u, v, w = tensors["trigrams"].long().T
    own[u, v, w] = tensors["discounted"].double()
    bigram, backoff = tensors["bigram"].double(), tensors["backoff"].double()
    probs = bigram[token_ids[:, :-1], token_ids[:, 1:]]
    u, v, w = token_ids[:, :-2], token_ids[:, 1:-1], token_ids[:, 2:]
    probs[:, 1:] = own[u, v, w] + backoff[u, v] * probs[:, 1:]
    return probs.log()


def encoder_attention() -> Table:
    """The weights of all heads of the pretrained encoder for some sentences, (6, 12, n, n) each."""
    folder = real_bert.folder()
    tokenizer = WordPiece.from_pretrained(folder)
    bert = Bert.from_pretrained(folder)
    tensors, shown = {}, []
    for index, sentence in enumerate(SENTENCES):
        token_ids = tokenizer.encode(sentence)
        with torch.no_grad(), recorded_weights(bert) as weights:
            bert(torch.tensor([token_ids]))
        tensors[f"attention.{index}"] = torch.cat(weights).half()
        pieces = [tokenizer.tokens[token_id] for token_id in token_ids]
        shown.append({"text": sentence, "pieces": pieces})
    facts = {
        "about": "Where the heads of a pretrained encoder look, computed by the code of chapter 9.",
        "credit": real_bert.CREDIT,
        "sentences": shown,
    }
    return tensors, facts


TABLES: dict[str, Callable[[], Table]] = {
    "trigram": trigram,
    "encoder_attention": encoder_attention,
}


def store(name: str) -> None:
    """Compute a table and store it beside the trained weights."""
    tensors, facts = TABLES[name]()
    pretrained.save(name, tensors, facts)
