"""The texts of the course: a corpus to count by hand, a language known completely, real text.

`rabbits` is three sentences. `grammar` is the teaching language, drawn from a grammar (`pcfg`)
that is shown to be unambiguous (`lr1`), so its entropy is known. `translation` is pairs of English
and Korean sentences whose alignment is known. `python_docs` is real text that every Python carries,
and `text` reads any other.
"""

from lmcourse.data.grammar import (
    NAMES,
    TEACHING_GRAMMAR,
    Grammar,
    Probe,
    Sample,
    TeachingLanguage,
    TrueModel,
    agreement_cases,
    broken_sentence,
    probe_accuracy,
    recall_cases,
    teaching_language,
    teaching_wordpiece,
)
from lmcourse.data.lr1 import lr1_table
from lmcourse.data.python_docs import TextSplit, python_docs
from lmcourse.data.rabbits import RABBITS
from lmcourse.data.text import load_text
from lmcourse.data.translation import (
    Pair,
    TranslationData,
    sample_pair,
    surface,
    translate,
    translation_data,
)

__all__ = [
    "NAMES",
    "RABBITS",
    "TEACHING_GRAMMAR",
    "Grammar",
    "Pair",
    "Probe",
    "Sample",
    "TeachingLanguage",
    "TextSplit",
    "TranslationData",
    "TrueModel",
    "agreement_cases",
    "broken_sentence",
    "load_text",
    "lr1_table",
    "probe_accuracy",
    "python_docs",
    "recall_cases",
    "sample_pair",
    "surface",
    "teaching_language",
    "teaching_wordpiece",
    "translate",
    "translation_data",
]
