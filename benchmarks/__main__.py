"""`python -m benchmarks`: measure all speeds anew and rewrite the tables of README.md."""

from benchmarks import ngrams, recurrent, transformer

ngrams.main()
recurrent.main()
transformer.main()
