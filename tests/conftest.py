"""Settings that hold for every test."""

import os
import sys

import pytest
from hypothesis import settings

# A test machine may have few cores that several tests share; a deadline would measure the machine, not the code.
settings.register_profile("veil", deadline=None, max_examples=50)
settings.load_profile("veil")


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread():
    """Small nets on small inputs are fastest on one thread."""
    import torch

    previous = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(previous)


@pytest.fixture(autouse=True)
def _no_foreign_tracking(monkeypatch):
    """A tracking server or run of the user's own must never receive what tests log."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    yield
    # MLflow remembers for the whole process which registry the last test used.
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_registry_uri("")
