"""Comparisons of chapter 5: the translator with attention, its alignments, and other scores."""

from lmcourse.attention import (
    AttentionDecoder,
    DotScore,
    GeneralScore,
    IBMModel1,
    alignment_error_rate,
    attention_translator,
    attention_weights,
    diagonal_links,
    strongest_links,
    uniform_links,
)
from lmcourse.data.translation import translation_data
from lmcourse.experiments import experiment
from lmcourse.experiments.seq2seq import (
    LENGTHS,
    STEPS,
    THIRDS,
    changed_by_articles,
    encoded_pairs,
    quality,
    trained_translator,
)
from lmcourse.rnn import GRU
from lmcourse.seq2seq import Bidirectional, Encoder, Seq2Seq
from lmcourse.training import generator


def attention_links(model, data, pairs):
    """Where an attention decoder looks most while it writes each word of the gold translation."""
    encoded = encoded_pairs(data, pairs)
    weights = [
        rows
        for start in range(0, len(encoded), 250)
        for rows in attention_weights(model, encoded[start : start + 250])
    ]
    return [strongest_links(rows) for rows in weights]


def found_sure_links(predicted, pairs):
    """The share of sure links that are found."""
    found = sum(
        len(ours & pair.sure) for ours, pair in zip(predicted, pairs, strict=True)
    )
    return found / sum(len(pair.sure) for pair in pairs)


def particles_on_their_noun(predicted, data, pairs):
    """The share of particles whose strongest link is the noun they belong to."""
    found = total = 0
    for ours, pair in zip(predicted, pairs, strict=True):
        particle_links = {
            (i, j) for i, j in pair.possible - pair.sure if is_particle(pair.target, j)
        }
        found += len(ours & particle_links)
        total += len(particle_links)
    return found / total


def is_particle(target, position):
    """Whether the Korean token at this position is a particle."""
    return target.split()[position] in ("은", "는", "이", "가", "을", "를")


def error_rates(links, pairs):
    """The alignment error rate of each method: name -> links of each sentence."""
    sure, possible = [p.sure for p in pairs], [p.possible for p in pairs]
    return {
        name: alignment_error_rate(predicted, sure, possible)
        for name, predicted in links.items()
    }


@experiment(seeds=range(10))
def translation(seed: int) -> dict:
    """The translator with additive attention: quality by length, and its alignments."""
    data = translation_data(seed)
    model = trained_translator(attention_translator, "attention", data, seed)
    stream = generator(seed, "uniform links")
    sizes = [(len(p.source.split()), len(p.target.split())) for p in data.test]
    ibm = IBMModel1(len(data.source_tokenizer), len(data.target_tokenizer))
    ibm.fit(encoded_pairs(data, data.train[:5_000]))
    links = {
        "attention": attention_links(model, data, data.test),
        "IBM Model 1": [ibm.links(pair) for pair in encoded_pairs(data, data.test)],
        "diagonal": [diagonal_links(*size) for size in sizes],
        "uniform": [uniform_links(*size, stream) for size in sizes],
    }
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": STEPS,
        "bins": LENGTHS,
        "thirds": THIRDS,
        "quality": quality(model, data),
        "changed_by_articles": changed_by_articles(model, data),
        "error_rate": error_rates(links, data.test),
        "sure_found": {
            name: found_sure_links(some, data.test) for name, some in links.items()
        },
        "particles": {
            name: particles_on_their_noun(some, data, data.test)
            for name, some in links.items()
        },
    }


def translator_with(score):
    """A way to make the translator of the chapter with another score."""

    def make(source_vocab_size, target_vocab_size, d_hidden):
        half = d_hidden // 2
        layers = Bidirectional(GRU(d_hidden, half), GRU(d_hidden, half))
        decoder = AttentionDecoder(
            score(d_hidden), target_vocab_size, d_hidden, d_hidden, layers.d_output
        )
        return Seq2Seq(Encoder(source_vocab_size, layers), decoder)

    return make


@experiment(seeds=range(3))
def scores(seed: int) -> dict:
    """The same translator with a dot product, or a matrix, in the place of the small network."""
    data = translation_data(seed)
    kinds = {
        "dot": lambda d_hidden: DotScore(),
        "general": lambda d_hidden: GeneralScore(d_hidden, d_hidden),
    }
    row = {}
    for name, score in kinds.items():
        model = trained_translator(translator_with(score), name, data, seed)
        links = attention_links(model, data, data.test)
        row[name] = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "quality": quality(model, data),
            "error_rate": error_rates({name: links}, data.test)[name],
            "sure_found": found_sure_links(links, data.test),
        }
    return row
