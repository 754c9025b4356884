"""What is listed without torch is what there is."""

from pathlib import Path

import pytest

from equiangular.data import load_dataset
from equiangular.data.libraries import SKLEARN_SETS
from equiangular.models import BACKBONES
from equiangular.training.config import catalogue
from equiangular.training.methods import METHODS


def test_methods() -> None:
    assert list(catalogue.ENTRIES) == list(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_what_its_entry_says(name: str) -> None:
    method = METHODS[name]
    kind = method.build_head(64, 10, seed=0).kind
    assert catalogue.ENTRIES[name] == (method.label, kind, method.source)


def test_backbones_and_bundled_data() -> None:
    assert tuple(BACKBONES) == tuple(catalogue.BACKBONES)
    assert tuple(SKLEARN_SETS) == tuple(catalogue.BUNDLED_DATA)


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("name", ["digitz", "", "no/such/path"])
def test_unknown_data_are_refused_as_loading_does(name: str, folder: bool, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("EQUIANGULAR_DATA", raising=False)
    (tmp_path / "digits2" / "train").mkdir(parents=True)
    root = tmp_path if folder else None
    with pytest.raises(ValueError, match="unknown data set") as ours:
        catalogue.refuse_unknown_data(name, root)
    with pytest.raises(ValueError, match="unknown data set") as theirs:
        load_dataset(name, root=root)
    assert str(ours.value) == str(theirs.value)


def test_what_may_be_data_is_left_to_loading(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("EQUIANGULAR_DATA", str(tmp_path))
    for name in ("digits", "hf:x", "openml:61", "mine", str(tmp_path)):
        catalogue.refuse_unknown_data(name)
