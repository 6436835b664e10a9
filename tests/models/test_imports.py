"""What importing the lower folders pulls in: they must work where the rest isn't installed."""

import subprocess
import sys

HEAVY = ["ray", "deepspeed", "torchrec", "fbgemm_gpu", "wandb"]


def loaded(statements: str, names: list[str]) -> str:
    script = f"import sys\n{statements}\nprint(*[name for name in {names!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.strip()


def test_models_need_torch_alone() -> None:
    everything = (
        "import importlib, pkgutil, saccade.models\n"
        "for module in pkgutil.walk_packages(saccade.models.__path__, 'saccade.models.'):\n"
        "    importlib.import_module(module.name)"
    )
    names = ["torch", "pyarrow", "pydantic", "sklearn", "yaml", "safetensors", *HEAVY]
    assert loaded(everything, names) == "torch"


def test_the_reference_engine_needs_no_cluster_library() -> None:
    statements = (
        "import saccade.pipelines.engines.reference, saccade.pipelines.training.loop, saccade.pipelines.order.reader\n"
        "import saccade.pipelines.tasks.next_item, saccade.pipelines.parquet.source"
    )
    assert loaded(statements, HEAVY) == ""
