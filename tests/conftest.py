"""What several test files ask of a language model, and where the real BERT lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

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
