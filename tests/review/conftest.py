"""What happens after a run needs no encoder: copies are found by hashes alone, in a moment."""

from __future__ import annotations

import pytest

from leakscan.run.models import Models


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakscan.run.context.load_models", lambda *_: Models({}, {}, {}))
    monkeypatch.setattr("leakscan.run.context.load_encoders", lambda *_: {})
