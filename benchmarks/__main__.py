"""`python -m benchmarks`: measure all speeds anew and rewrite the tables of README.md."""

from benchmarks import (
    bert,
    distributed,
    language_models,
    large_ngrams,
    ngrams,
    recurrent,
    transformer,
)

ALL = (ngrams, large_ngrams, recurrent, transformer, bert, language_models, distributed)

for benchmark in ALL:
    benchmark.main()
