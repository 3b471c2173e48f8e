"""The measured tables of README.md, each between two comments that name it."""

import re
from pathlib import Path

README = Path(__file__).with_name("README.md")


def rewrite_table(name: str, table: str) -> None:
    """Print a table and put it in its place in README.md."""
    print(table)
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    text = README.read_text(encoding="utf-8")
    place = re.compile(f"{begin}.*?{end}", flags=re.DOTALL)
    text = place.sub(lambda _: f"{begin}{table}\n{end}", text)
    README.write_text(text, encoding="utf-8", newline="\n")
