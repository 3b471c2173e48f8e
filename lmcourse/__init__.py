"""lmcourse: the code behind a course on language models, from Markov chains to BERT."""

__version__ = "0.1.0"
