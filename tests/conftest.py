"""What several test files ask of a language model, of the system, and where the real BERT lies."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.distributed import TCPStore

from lmcourse.language_models import LanguageModel
from lmcourse.pretrained import real_bert


@pytest.fixture
def looks_back_only(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[LanguageModel, torch.Tensor, ModuleType], None]:
    """Future tokens cannot change past logits; without the module's `causal_mask` they do."""

    @torch.no_grad()
    def check(model: LanguageModel, token_ids: torch.Tensor, module: ModuleType):
        def change_at(place: int) -> torch.Tensor:
            changed = token_ids.clone()
            changed[:, place] = 7
            return (model(changed) - model(token_ids)).abs().amax(dim=2)

        time = token_ids.shape[1]
        for place in range(1, time):
            assert (change_at(place)[:, :place] == 0.0).all()
            assert (change_at(place)[:, place:] > 1e-6).all()
        monkeypatch.setattr(
            module, "causal_mask", lambda time, device: torch.ones(time, time) > 0
        )
        assert (change_at(time - 1) > 1e-6).all()

    return check


@pytest.fixture(scope="session")
def real_bert_folder() -> Path:
    """The folder of the real pretrained encoder; without it the tests that look into it fail."""
    return real_bert.folder()


@pytest.fixture(scope="session")
def runs_go_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips on Windows, if a run cannot go on there: it replaces a file that it still holds."""
    old, new = (tmp_path_factory.mktemp("weights") / name for name in ("old", "new"))
    for path in (old, new):
        save_file({"weight": torch.ones(3)}, path)
    held = load_file(old)
    try:
        os.replace(new, old)
    except OSError:
        if sys.platform != "win32":
            raise
        pytest.skip("Windows replaces no file whose tensors are held")
    assert held["weight"].tolist() == [1, 1, 1]


@pytest.fixture(scope="session")
def torchrun_starts() -> None:
    """Skips on Windows, if torchrun cannot make the place at which its processes meet."""
    try:
        TCPStore("127.0.0.1", 0, is_master=True)
    except RuntimeError as error:
        if sys.platform != "win32":
            raise
        pytest.skip(f"torchrun does not start on Windows: {error}")
