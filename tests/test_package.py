"""The public surface, and what importing it costs."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import equiangular
import equiangular.training

ROOT = Path(__file__).parents[1]


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_every_public_name_resolves() -> None:
    for name in equiangular.__all__:
        assert getattr(equiangular, name) is not None


def test_every_subpackage_is_reached_by_its_name() -> None:
    names = {path.parent.name for path in Path(equiangular.__file__).parent.glob("*/__init__.py")} - {"cli", "report"}
    assert set(dir(equiangular)) == names | set(equiangular.__all__)
    for name in names:
        assert getattr(equiangular, name).__name__ == f"equiangular.{name}"


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'simplex_eft'"):
        _ = equiangular.simplex_eft


def test_the_core_imports_torch_and_numpy_only() -> None:
    code = (
        "import sys, equiangular as e\n"
        "assert 'torch' not in sys.modules\n"
        "import equiangular.frames, equiangular.heads, equiangular.losses, equiangular.posthoc, equiangular.longtail\n"
        "import equiangular.measures, equiangular.measures.collapse\n"
        "extras = 'scipy sklearn lightning lightning_fabric torchmetrics matplotlib typer rich yaml safetensors PIL "
        "pyarrow pandas'\n"
        "print([m for m in extras.split() if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys\n"
        "from equiangular.cli import main\n"
        "try:\n    main(['compare', '--help'])\n"
        "except SystemExit as e:\n    print('exit', e.code, 'torch' in sys.modules)"
    )
    assert run(code).endswith("exit 0 False")


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == equiangular.__version__
    assert f'version = "{equiangular.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "Inducing Neural Collapse in Imbalanced Learning" in citation["references"][0]["title"]
