"""Hooks of the documentation site (`mkdocs.yml`): pages of `docs/` link to files of the repository beside it.

On a site those links would lead nowhere. So a file that a page links to becomes part of the site: Markdown as a page,
all else as it is. The links are rewritten; the files in the repository stay as they are. A script of `examples/`
becomes a page: its docstring, its code, its figure and what it prints. So does a notebook.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).parents[1]
DOCS = "docs"
OUTSIDE = "repository"
_SHIM = "https://unpkg.com/iframe-worker/shim"
_LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)((?:#[^)]*)?\))")
_CODE = re.compile(r"(^```.*?^```|^    .*?$|`[^`\n]+`)", flags=re.DOTALL | re.MULTILINE)


def place(path: str) -> str:
    """Where a file of the repository lies on the site, as a source path."""
    if path.startswith("examples/") and path.endswith((".py", ".ipynb")):
        return f"{path.rpartition('.')[0]}.md"
    return path[len(DOCS) + 1 :] if path.startswith(f"{DOCS}/") else f"{OUTSIDE}/{path}"


def origin(uri: str) -> str:
    """The file of the repository behind a source path of the site."""
    return uri[len(OUTSIDE) + 1 :] if uri.startswith(f"{OUTSIDE}/") else f"{DOCS}/{uri}"


def target(source: str, link: str) -> str:
    """The repository's path that a link in the file `source` leads to; of a folder its README."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    return f"{path}/README.md" if (ROOT / path).is_dir() else path


def targets(source: str) -> list[str]:
    """All files of the repository that a Markdown file links to."""
    prose = _CODE.sub("", (ROOT / source).read_text(encoding="utf-8"))
    return [target(source, match[2]) for match in _LINK.finditer(prose)]


def example_page(script: Path) -> str:
    """A script as a page."""
    code = script.read_text(encoding="utf-8")
    title, _, text = (ast.get_docstring(ast.parse(code)) or script.stem).partition("\n")
    figure = f"figures/example_{script.stem}.svg"
    shown = f"![What it draws](../{figure})\n\n" if (ROOT / DOCS / figure).is_file() else ""
    printed = ROOT / DOCS / "examples" / f"{script.stem}.txt"
    said = f"\nIt prints:\n\n```text\n{printed.read_text(encoding='utf-8')}```\n" if printed.is_file() else ""
    body = code[code.index('"""', 3) + 3 :].lstrip("\n")
    return (
        f"# {title.rstrip('.')}\n\n{text.strip()}\n\n{shown}`examples/{script.name}`:\n\n```python\n{body}```\n{said}"
    )


def notebook_page(notebook: Path) -> str:
    """A notebook as a page: its texts and its code."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    shown = [
        text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for cell, text in zip(cells, texts, strict=True)
    ]
    return "\n\n".join([*shown, f"The notebook: `examples/{notebook.name}`."]) + "\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what pages link to and is not in `docs/`, and what that links to in turn."""
    for script in sorted(ROOT.glob("examples/*.py")):
        files.append(File.generated(config, f"examples/{script.stem}.md", content=example_page(script)))
    for notebook in sorted(ROOT.glob("examples/*.ipynb")):
        files.append(File.generated(config, f"examples/{notebook.stem}.md", content=notebook_page(notebook)))
    known = set(files.src_uris)
    waiting = [origin(uri) for uri in files.src_uris if (ROOT / origin(uri)).is_file() and uri.endswith(".md")]
    while waiting:
        for path in targets(waiting.pop()):
            uri = place(path)
            if uri not in known and (ROOT / path).is_file():
                known.add(uri)
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
                if path.endswith(".md"):
                    waiting.append(path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites links to where their targets lie on the site, and plain fences to what the highlighter reads."""
    uri = page.file.src_uri

    def moved(match: re.Match[str]) -> str:
        there = place(target(origin(uri), match[2]))
        return match[1] + posixpath.relpath(there, posixpath.dirname(uri) or ".") + match[3]

    parts = _CODE.split(markdown.replace("```python extras", "```python"))
    parts[::2] = [_LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Puts a script of our own in the place of the one that the theme would fetch for a search from a folder."""
    return _named(output).replace(_SHIM, get_relative_url("worker.js", page.file.url))


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """The same for the page that is shown where there is none."""
    return _named(output).replace(_SHIM, "worker.js")


def _named(output: str) -> str:
    """The search of the theme is a dialog behind a switch; a screen reader has to be told which."""
    marks = ('data-md-component="search" role="dialog"', 'class="md-toggle" data-md-toggle="search"')
    for mark in marks:
        output = output.replace(mark, f'{mark} aria-label="Search"')
    return output


_REQUEST = re.compile(
    r"<(?:script|img|iframe|link)\b(?![^>]*rel=.?(?:canonical|alternate))[^>]*(?:src|href)=.?https?://[^>]*>"
)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuses a site that asks another host for anything: it has to work from a folder, without a network."""
    for page in sorted(Path(config.site_dir).rglob("*.html")):
        if found := _REQUEST.search(page.read_text(encoding="utf-8")):
            raise PluginError(f"{page.relative_to(config.site_dir)} asks another host: {found[0]}")
