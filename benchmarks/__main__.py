"""`python -m benchmarks`: measure all speeds anew and rewrite the tables of README.md."""

from benchmarks import bert, ngrams, recurrent, transformer

ngrams.main()
recurrent.main()
transformer.main()
bert.main()
