"""A search that finds Korean words: it indexes them by their beginnings."""

import re

from sphinx.application import Sphinx
from sphinx.search import languages
from sphinx.search.en import SearchEnglish

HANGUL_WORD = re.compile("[\uac00-\ud7a3]{3,}")
# The search reads the pages it found to show a line of each; browsers forbid that on file://.
NO_SUMMARY_FROM_DISK = (
    'if (location.protocol === "file:") '
    "DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;"
)


# The page's own splitter, and then: of a Korean word that the book does not have, its longest
# beginning that the book has. So a word with a particle finds the word.
SPLIT_QUERY = r"""
var splitQuery = (query) => query
  .split(/[^\p{Letter}\p{Number}_\p{Emoji_Presentation}]+/gu)
  .filter((term) => term)
  .map((term) => {
    const { terms, titleterms } = Search._index;
    const inBook = (word) => Object.hasOwn(terms, word) || Object.hasOwn(titleterms, word);
    let known = /^[\uac00-\ud7a3]+$/.test(term) ? term : "";
    while (known && !inBook(known)) known = known.slice(0, -1);
    return known || term;
  });

// Many words of the index stand on one page, so a result names its word, not the page alone.
{
  const found = Search._performSearch;
  const wordAt = (page, place) => {
    const { docnames, indexentries } = Search._index;
    const here = ([file, id]) => docnames[file] === page && `#${id}` === place;
    return Object.keys(indexentries).find((word) => indexentries[word].some(here));
  };
  Search._performSearch = (...query) =>
    found(...query).map(([page, title, place, said, ...rest]) => {
      const word = said ? undefined : wordAt(page, place);
      return [page, word ? `${title} > ${word}` : title, place, said, ...rest];
    });
}
"""


class EnglishAndKorean(SearchEnglish):
    """English search that also knows Korean words by their beginnings.

    Korean puts particles after a noun without a space, and the page's script only looks for parts
    of words from three letters on. So a run of Hangul enters the index with every beginning of
    two syllables or more: who looks for two syllables finds the word with any particle. And who
    looks for a word with a particle that the book does not have finds the word without it.
    """

    js_splitter_code = SPLIT_QUERY

    def split(self, input: str) -> list[str]:
        words = super().split(input)
        for run in HANGUL_WORD.findall(input):
            words += [run[:length] for length in range(2, len(run))]
        return words


def setup(app: Sphinx) -> None:
    languages["en"] = EnglishAndKorean
    app.add_js_file(None, body=NO_SUMMARY_FROM_DISK, priority=600)
