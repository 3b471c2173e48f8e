"""`python -m benchmarks`: measure all speeds anew and rewrite the tables of README.md."""

from benchmarks import (
    bert,
    language_models,
    large_ngrams,
    ngrams,
    recurrent,
    transformer,
)

for benchmark in (ngrams, large_ngrams, recurrent, transformer, bert, language_models):
    benchmark.main()
