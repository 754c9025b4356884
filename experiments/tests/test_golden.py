"""A small study of before the one pipeline, see tests/golden/README.md: it does not move."""

import json
from pathlib import Path

import pytest
import torch

from equiangular._provenance import provenance
from equiangular.training import Budget
from experiments.studies.run import run_factorial
from experiments.studies.study import Study

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "study.json"


@pytest.mark.slow
def test_a_small_study(tmp_path: Path) -> None:
    wanted = json.loads(GOLDEN.read_text(encoding="utf-8"))
    now, then = provenance(), wanted["provenance"]
    exact = now["versions"]["torch"] == then["versions"]["torch"]
    exact &= now["hardware"]["processor"] == then["hardware"]["processor"]
    exact &= torch.backends.cpu.get_cpu_capability() == then["capability"]
    only = tuple(wanted["study"]["only"])
    study = Study("golden", "digits", (20.0,), Budget(epochs=2), seeds=2, tuning_seeds=1, only=only)
    (part,), (golden,) = run_factorial(study, tmp_path)["parts"], wanted["parts"]
    assert set(part["table"]) == set(golden["table"])
    if exact:  # elsewhere a sample more or less may choose another setting
        assert part["settings"] == golden["settings"]
    for name, row in golden["table"].items():
        for key in ("balanced_accuracy", "accuracy", "nc1"):
            values = part["table"][name][key]["values"]
            if exact:
                assert values == row[key]["values"], (name, key)
            elif part["settings"][name] == golden["settings"][name] and key != "nc1":
                assert values == pytest.approx(row[key]["values"], abs=6.0)
    if exact:
        assert part["contrast"] == golden["contrast"]
        assert part["effects"] == golden["effects"]
