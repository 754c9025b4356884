"""Docstrings as the site's renderer gets them; needs Griffe, which `make docs` brings."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    pytest.importorskip("griffe")
    spec = importlib.util.spec_from_file_location("docs_docstrings", ROOT / "dev" / "docs_docstrings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_parameters_of_one_entry_are_told_apart(docs: ModuleType) -> None:
    text = "Title.\n\nArgs:\n    a, b: both\n        and more.\n    c: one.\n\nRaises:\n    ValueError: x, y: no."
    expected = "Title.\n\nArgs:\n    a: both\n        and more.\n    b: both\n        and more.\n    c: one.\n\n"
    assert docs.translated(text) == expected + "Raises:\n    ValueError: x, y: no."


def test_roles_become_links_and_signs_stay_text(docs: ModuleType) -> None:
    assert docs.translated("See :func:`attach`.") == "See [`attach`][equiangular.heads.attach]."
    assert docs.translated("See :func:`_private`.") == "See `_private`."
    assert docs.translated("<w, h> and ``a < b``") == "&lt;w, h> and ``a < b``"


def test_code_is_left_as_it_is(docs: ModuleType) -> None:
    code = "    x = y[0][1] < 2"
    assert docs.translated(f"Such as::\n\n{code}\n\nEnd < here.") == f"Such as:\n\n{code}\n\nEnd &lt; here."
    assert docs.translated(f"So:\n\n{code}") == f"So:\n\n{code}"
    doctest = "Examples:\n    >>> a[0][1] < 2\n    True"
    assert docs.translated(doctest.replace("Examples", "Example")) == doctest
