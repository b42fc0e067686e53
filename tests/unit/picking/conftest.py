import pytest
from mlflow import MlflowClient
from picking_study import PickingStudy


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A tracking database without runs: making one takes longer than a test."""
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_registered_models()
    return path


@pytest.fixture
def study(tmp_path, empty_database, monkeypatch):
    """Four blurs on a frontier, scored on sealed people by a table instead of by attackers."""
    return PickingStudy(tmp_path, empty_database, monkeypatch)
