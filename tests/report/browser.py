"""Headless Chromium for tests, or the reason why there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

THEMES, WIDTHS = ("light", "dark"), (390, 820, 1440)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable() -> str | None:
    """The browser: ``$EQUIANGULAR_CHROMIUM``, or one of the usual names."""
    return os.environ.get("EQUIANGULAR_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


MISSING = "playwright is not installed" if find_spec("playwright") is None else "no Chromium found"
needs_browser = pytest.mark.skipif(find_spec("playwright") is None or executable() is None, reason=MISSING)


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, path: Path, *, width: int = 1440, theme: str = "light") -> Iterator[tuple[Any, list[str]]]:
    """A page with every figure drawn, and what went wrong: errors, warnings and requests for anything but itself."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    page, wrong = context.new_page(), []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    own = ("file:", "data:", "blob:")
    page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(own) else None)
    page.goto(path.as_uri())
    page.wait_for_function("window.ready")
    page.evaluate("drawAll()")
    page.wait_for_timeout(100)
    try:
        yield page, wrong
    finally:
        context.close()
