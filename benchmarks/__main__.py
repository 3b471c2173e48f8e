"""`python -m benchmarks`: measure everything anew and rewrite the tables of README.md."""

from benchmarks import ngrams

ngrams.main()
