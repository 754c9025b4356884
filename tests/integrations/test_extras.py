"""Each integration names the extra that brings its library."""

import sys
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("sklearn", "sklearn.base", "sklearn"),
        ("closed_form", "sklearn.base", "sklearn"),
        ("dask", "dask", "dask"),
        ("hub", "huggingface_hub", "hub"),
        ("pretrained", "transformers", "transformers"),
    ],
)
def test_a_missing_library_is_named(module: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"equiangular.integrations.{module}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"pip install 'equiangular\[{extra}\]'"):
        import_module(name)
