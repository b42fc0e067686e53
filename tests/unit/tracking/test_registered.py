"""Loading registered models: the right version, unchanged files, and a clear message for everything else."""

import shutil
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.models import Model, ModelSignature
from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from veil.errors import ConfigError, DataError, TrackingError
from veil.tracking.models import ModelName
from veil.tracking.packing import files_sha256
from veil.tracking.registered import load_registered

SERVING = """
import mlflow
class Adder(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        if model_input.max() == 255:
            raise RuntimeError("out of memory")
        return model_input + model_input.dtype.type(7 if params["identity_seed"] == -1 else params["identity_seed"])
mlflow.models.set_model(Adder())
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A database with the models whole, changed and foreign, each under the alias balanced."""
    root = tmp_path_factory.mktemp("registry")
    uri, code = f"sqlite:///{root / 'mlflow.db'}", root / "serving.py"
    code.write_text(SERVING)
    crops = Schema([TensorSpec(np.dtype(np.uint8), (-1, 112, 112, 3))])
    params = ParamSchema([ParamSpec("identity_seed", DataType.long, -1)])
    signature = ModelSignature(inputs=crops, outputs=crops, params=params)
    mlflow.pyfunc.save_model(root / "whole", python_model=str(code), signature=signature, pip_requirements=["numpy"])
    shutil.copytree(root / "whole", root / "foreign")
    model = Model.load(root / "whole")
    model.metadata = {
        "crop_contract": "c0ffee",
        "contract": {},
        "needs": [],
        "files_sha256": files_sha256(root / "whole"),
    }
    model.save(root / "whole" / "MLmodel")
    shutil.copytree(root / "whole", root / "changed")
    (root / "changed" / "serving.py").write_text(SERVING.replace("7", "0"))
    client = MlflowClient(uri)
    for name in ("whole", "changed", "foreign"):
        client.create_registered_model(name)
        version = client.create_model_version(name, (root / name).as_uri())
        client.set_registered_model_alias(name, "balanced", version.version)
    return SimpleNamespace(uri=uri, root=root)


def test_the_version_behind_the_alias_is_loaded_and_anonymizes(registry):
    point = load_registered(registry.uri, ModelName("whole", "balanced"))
    assert (point.version, point.model_hash) == ("1", files_sha256(registry.root / "whole"))
    crops = np.full((2, 112, 112, 3), 40, np.uint8)
    assert (point.predict(crops) == 47).all() and (point.predict(crops, identity_seed=3) == 43).all()
    with pytest.raises(DataError, match="the model whole@balanced failed: out of memory"):
        point.predict(np.full((1, 112, 112, 3), 255, np.uint8))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("whole@balance", "has no alias 'balance'; did you mean 'balanced'"),
        ("whol@balanced", "no model 'whol' at sqlite.*did you mean 'whole'"),
        ("foreign@balanced", "does not say its contract, crop_contract, files_sha256, needs"),
        ("changed@balanced", "they were changed since"),
    ],
)
def test_what_cannot_be_trusted_is_refused(registry, name, message):
    with pytest.raises(TrackingError, match=message):
        load_registered(registry.uri, ModelName.parse(name))


def test_no_database_is_made_where_there_is_none(tmp_path):
    with pytest.raises(ConfigError, match="no tracking database"):
        load_registered(f"sqlite:///{tmp_path / 'mlflow.db'}", ModelName("whole", "balanced"))
    assert list(tmp_path.iterdir()) == []
