"""A metric costs its base class alone, and torchmetrics is whole for whoever uses more of it."""

import subprocess
import sys

import pytest

FIRST = "import sys, equiangular as eq; eq.NeuralCollapse; assert 'torchmetrics.functional' not in sys.modules\n"


@pytest.mark.parametrize(
    "code",
    [
        "import torchmetrics; assert issubclass(eq.NeuralCollapse, torchmetrics.Metric); torchmetrics.Accuracy",
        "from torchmetrics import MetricCollection; MetricCollection([eq.ShotAccuracy([3, 2])])",
        "from torchmetrics.classification import MulticlassAccuracy; MulticlassAccuracy(3)",
        "import torchmetrics.functional as f; f.accuracy",
        "import torchmetrics; assert 'Accuracy' in dir(torchmetrics) and type(torchmetrics) is type(sys)",
        "import pickle; from torchmetrics import Metric; assert Metric is eq.NeuralCollapse.__mro__[2]",
    ],
)
def test_more_of_the_package_is_there_when_asked_for(code: str) -> None:
    subprocess.run([sys.executable, "-W", "error::RuntimeWarning", "-c", FIRST + code], check=True)


def test_an_imported_package_is_left_alone() -> None:
    code = "import torchmetrics as t; import equiangular as eq; eq.NeuralCollapse; import sys; "
    subprocess.run([sys.executable, "-c", code + "assert sys.modules['torchmetrics'] is t"], check=True)


def test_names_are_checked_and_listed_without_torch() -> None:
    code = (
        "import sys\nfrom equiangular.cli import main\n"
        "for words in (['train', 'digitz', '-o', '/nowhere'], ['train', 'digits', '--method', 'etf-cd'], ['list'], "
        "['list', 'data'], ['list', 'backbones'], ['list', 'recipes']):\n"
        "    try: main(words)\n"
        "    except SystemExit as left: assert left.code == (2 if words[0] == 'train' else 0), words\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "did you mean 'digits'?" in done.stderr
    assert "did you mean 'etf-dr'?" in done.stderr
