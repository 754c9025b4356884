"""Mutation testing of the core: does a test fail for every small change of its code? `make mutants`.

The changes are those of mutmut 3; they are made and run here, for importing PyTorch takes longer than most tests: one
process imports everything once, and each mutant is a fork of it that runs the tests that cover the changed line,
quickest first, until one fails. A mutant that all of them pass has survived.

    python dev/mutants.py cover              # which test runs which line, and how long it takes
    python dev/mutants.py run --minutes 60   # mutants in random order, every prefix stratified by package
    python dev/mutants.py score              # the score with its interval, and every survivor

All is kept in build/mutants, and `run` goes on where it was stopped. Left out: the text of errors, warnings and
`repr`, annotations and decorators, of which tests of the meaning know nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import functools
import gc
import inspect
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "build" / "mutants"
PACKAGES = ("frames", "heads", "losses", "measures", "posthoc", "longtail", "closed_form")
TESTS = [place for package in PACKAGES for place in (f"tests/{package}", f"src/equiangular/{package}")]
TESTS += [f"tests/test_{name}.py" for name in ("bad_arguments", "choices", "defaults", "rebuilt", "waits")]
OPTIONS = ["-q", "-p", "no:cacheprovider", "-m", "not slow"]
MEMORY = 8 * 2**30
BROKEN = 99
FIRST, MOST = 40.0, 60.0  # seconds of tests of the nearest file, then of all others


class Cover:
    """A pytest plugin: coverage by test, and the processor time of each."""

    def __init__(self) -> None:
        import coverage

        self.times: dict[str, float] = {}
        self.coverage = coverage.Coverage(data_file=str(KEPT / "coverage"), source=["src/equiangular"])
        self.coverage.start()
        self.coverage.switch_context("collection")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self.coverage.switch_context(nodeid)
        self.times[nodeid] = -time.process_time()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test has ended."""
        if nodeid in self.times:
            self.times[nodeid] += time.process_time()
        self.coverage.switch_context("between")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Forget a test that did not pass, before it has ended."""
        if report.outcome != "passed":
            self.times.pop(report.nodeid, None)

    def pytest_sessionfinish(self) -> None:
        """Write what covers what."""
        self.coverage.stop()
        self.coverage.save()
        lines: dict[str, dict[int, list[str]]] = {}
        data = self.coverage.get_data()
        for file in data.measured_files():
            by_line = data.contexts_by_lineno(file)
            lines[str(Path(file).relative_to(ROOT))] = {
                n: [t for t in on if t in self.times] for n, on in by_line.items()
            }
        (KEPT / "cover.json").write_text(json.dumps({"times": self.times, "lines": lines}))


class Swapped:
    """A pytest plugin that runs no tests of its own accord: it answers which mutants the collected tests find.

    Everything is imported and collected once. A mutant is a fork in which the functions that differ get the mutant's
    code. What is computed at import stays as it was, so a mutant that survives here is judged again by :func:`judge`.
    """

    def __init__(self, order: list[dict[str, Any]], cover: dict[str, Any], asked: Any, answers: Any) -> None:
        self.order, self.cover, self.asked, self.answers = order, cover, asked, answers
        self.failed = False

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Remember a failure."""
        self.failed = self.failed or report.failed

    def pytest_runtestloop(self, session: Any) -> bool:
        """Answer until nothing is asked."""
        self.items = {item.nodeid: item for item in session.items}
        self.live = [f for f in gc.get_objects() if type(f) is FunctionType]
        self.caches = [c for c in gc.get_objects() if type(c) is functools._lru_cache_wrapper]
        for line in self.asked:
            number = int(line)
            result = self.answer(self.order[number] if number >= 0 else None)
            spent = sum(sum(resource.getrusage(of)[:2]) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
            self.answers.write(f"{result} {spent}\n")
            self.answers.flush()
        return True

    def answer(self, mutant: dict[str, Any] | None) -> str:
        """killed, timeout, or unknown where this way does not tell; of no mutant, whether tests pass."""
        times = self.cover["times"]
        covered = covering(mutant, self.cover) if mutant else sorted(times, key=lambda t: times[t])[:300]
        tests = [t for t in up_to(covered, times, FIRST) if t in self.items]
        if not tests:
            return "unknown"
        result = fork(lambda: self.child(mutant, tests), 10 + 4 * sum(times[t] for t in tests))
        return {"failed": "killed", "stopped": "timeout"}.get(result, result if mutant is None else "unknown")

    def child(self, mutant: dict[str, Any] | None, tests: list[str]) -> int:
        """Take the mutant's code and run the tests until one fails: 1 if one does."""
        if mutant and not self.swap(mutant):
            return 0
        for cache in self.caches:
            if (cache.__module__ or "").startswith("equiangular"):
                cache.cache_clear()
        for test, following in zip(tests, [*tests[1:], None], strict=True):
            item, after = self.items[test], self.items[following] if following else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.failed:
                return 1
        return 0

    def swap(self, mutant: dict[str, Any]) -> bool:
        """Give the live functions the mutant's code; False where it is not in functions alone."""
        name = str(Path(mutant["file"]).resolve())
        old, new = (compile(text, name, "exec") for text in (Path(name).read_text(), mutant["make"]()))
        pairs = [(old, new)]
        changed = {}
        while pairs:
            before, after = pairs.pop()
            inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (before, after)]
            outer = [[c for c in code.co_consts if not isinstance(c, CodeType)] for code in (before, after)]
            if before.co_flags & inspect.CO_OPTIMIZED:
                changed[before] = after
            elif (
                before.co_code != after.co_code or repr(outer[0]) != repr(outer[1]) or before.co_names != after.co_names
            ):
                return False
            if len(inner[0]) == len(inner[1]):
                pairs += zip(*inner, strict=True)
        swapped = 0
        for function in self.live:
            after = changed.get(function.__code__) if function.__code__.co_filename == name else None
            if after is not None and after != function.__code__:
                function.__code__ = after
                swapped += 1
        return bool(swapped)


class Only:
    """A pytest plugin: these tests alone, in this order."""

    def __init__(self, chosen: list[str]) -> None:
        self.place = {test: i for i, test in enumerate(chosen)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Choose and order."""
        items[:] = sorted((i for i in items if i.nodeid in self.place), key=lambda i: self.place[i.nodeid])


def mutants(root: Path) -> Iterator[dict[str, Any]]:
    """Every mutant of the sources below a folder: package, file, lines, what it was and what it is."""
    import libcst as cst
    import libcst.matchers as m
    from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
    from mutmut.mutation.file_mutation import MutationVisitor
    from mutmut.mutation.mutators import mutation_operators, operator_string
    from mutmut.mutation.pragma_handling import IgnoredCode

    def texts(node: Any) -> Iterator[Any]:
        yield from list(operator_string(node))[:1]  # one change of a text is enough

    operators = [(kind, texts if change is operator_string else change) for kind, change in mutation_operators]
    text = m.Raise() | m.Call(func=m.OneOf(m.Name("warn"), m.Attribute(attr=m.Name("warn")))) | m.Annotation()
    skipped = text | m.Decorator() | m.Import() | m.ImportFrom() | m.If(test=m.Name("TYPE_CHECKING"))
    unnamed = {"__repr__", "extra_repr", "__new__"}

    class Visitor(MutationVisitor):
        def _skip_node_and_children(self, node: Any) -> bool:
            if isinstance(node, cst.FunctionDef):
                marks = [cst.Module([]).code_for_node(d.decorator) for d in node.decorators]
                return node.name.value in unnamed or "overload" in marks
            if m.matches(node, m.Assign(targets=[m.AssignTarget(m.Name("__all__"))])):
                return True
            return m.matches(node, skipped) or m.matches(node, m.Call(func=m.Name("len") | m.Name("isinstance")))

    for package in PACKAGES:
        for file in sorted((root / "src" / "equiangular" / package).rglob("*.py")):
            code = file.read_text(encoding="utf-8")
            wrapper = MetadataWrapper(cst.parse_module(code))
            ignored = IgnoredCode(set(), set(), set())
            visitor = Visitor(operators, ignored)
            wrapper.visit(visitor)
            places, parents = wrapper.resolve(PositionProvider), wrapper.resolve(ParentNodeProvider)
            for number, change in enumerate(visitor.mutations):
                node = change.original_node
                while node not in places:  # an operator: its place is its parent's
                    node = parents[node]
                yield {
                    "id": f"{file.relative_to(root / 'src' / 'equiangular')}#{number}", "package": package,
                    "file": str(file.relative_to(root)),
                    "first": places[node].start.line, "last": places[node].end.line,
                    "inside": change.contained_by_top_level_function is not None,
                    "make": partial(mutated, wrapper.module, change),
                }  # fmt: skip


def mutated(module: Any, change: Any) -> str:
    """The whole file with one change."""
    return str(module.deep_replace(change.original_node, change.mutated_node).code)


def in_order(seed: int, root: Path = ROOT) -> list[dict[str, Any]]:
    """All mutants, shuffled, such that every package has its share of every prefix."""
    draw = random.Random(seed)
    groups = defaultdict(list)
    for mutant in mutants(root):
        groups[mutant["package"]].append(mutant)
    placed = []
    for group in groups.values():
        draw.shuffle(group)
        start = draw.random()
        placed += [((i + start) / len(group), mutant) for i, mutant in enumerate(group)]
    return [mutant for _, mutant in sorted(placed, key=lambda pair: pair[0])]


def tested(arguments: list[str], plugins: list[Any]) -> int:
    """What pytest exits with, or BROKEN where it does not run at all."""
    import pytest

    try:
        return int(pytest.main([*OPTIONS, *arguments], plugins=plugins))
    except BaseException:
        return BROKEN


def fork(work: Callable[[], int], seconds: float) -> str:
    """Run ``work`` in a fork: "passed" for 0 or 5, "failed", or "stopped" at its limit of processor time."""
    child = os.fork()
    if child == 0:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 1)
            os.dup2(null.fileno(), 2)
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + seconds), resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        signal.alarm(int(40 * seconds))  # one that waits for ever uses no processor time
        code = BROKEN
        with contextlib.suppress(BaseException):
            code = work()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if os.WIFSIGNALED(status):
        return "stopped" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL) else "failed"
    if os.WEXITSTATUS(status) == BROKEN:
        return "broken"
    return "passed" if os.WEXITSTATUS(status) in (0, 5) else "failed"


def tests_fail(tests: list[str], seconds: float) -> str:
    """Run tests in a fork that imports the package anew."""
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    result = fork(lambda: tested(["-x", *files], [Only(tests)]), seconds)
    if result == "broken":
        raise SystemExit("pytest itself does not run in a fork")
    return result


def covering(mutant: dict[str, Any], cover: dict[str, Any]) -> list[str]:
    """The tests that run the mutant's lines, quickest first.

    Of a line that is run at import: those of its file, or of its package where that has nothing but such lines.
    """
    lines = cover["lines"].get(mutant["file"], {})
    rows = range(mutant["first"], mutant["last"] + 1)
    imported = not mutant["inside"] or not any(lines.get(str(row)) for row in rows)
    tests = {test for row in (map(int, lines) if imported else rows) for test in lines.get(str(row), [])}
    if not tests:
        package = str(Path(mutant["file"]).parent)
        beside = [on for file, on in cover["lines"].items() if file.startswith(package)]
        tests = {test for on in beside for found in on.values() for test in found}
    return sorted(tests, key=lambda test: cover["times"][test])


def up_to(tests: list[str], times: dict[str, float], seconds: float) -> list[str]:
    """As many of these tests as the time allows."""
    chosen, spent = [], 0.0
    for test in tests:
        spent += times[test]
        if spent > seconds and chosen:
            break
        chosen.append(test)
    return chosen


def judge(mutant: dict[str, Any], cover: dict[str, Any]) -> dict[str, Any]:
    """Run the tests against one mutant: those of the nearest file first, then all others."""
    tests = covering(mutant, cover)
    times = cover["times"]
    files = Counter(test.partition("::")[0] for test in tests)
    stem = Path(mutant["file"]).stem.strip("_")
    near = max(files, key=lambda file: (stem in Path(file).stem, file.startswith("tests"), files[file]), default="")
    inner = [test for test in tests if test.startswith((near + "::", mutant["file"] + "::"))]
    done, result = 0, "uncovered"
    for group, limit in ((inner, FIRST), ([t for t in tests if t not in set(inner)], MOST)):
        chosen = up_to(group, times, limit)
        if not chosen:
            continue
        done += len(chosen)
        result = tests_fail(chosen, 20 + 4 * sum(times[test] for test in chosen))
        if result != "passed":
            break
    return {"result": {"passed": "survived", "stopped": "timeout", "failed": "killed"}.get(result, result),
            "tests": done, "of": len(tests)}  # fmt: skip


def run(minutes: float, seed: int, only: str) -> None:
    """Judge mutants in their order until the time (of processors) is spent."""
    cover = json.loads((KEPT / "cover.json").read_text())
    place = KEPT / "tree"
    fresh = not place.exists()
    shutil.copytree(ROOT / "src", place / "src", dirs_exist_ok=True)
    shutil.copytree(ROOT / "tests", place / "tests", dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", place)
    os.chdir(place)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # pytest warns of plugins that are imported already
    sys.path.insert(0, str(place / "src"))
    import hypothesis  # noqa: F401
    import scipy.optimize
    import scipy.stats  # noqa: F401
    import sklearn.linear_model
    import sklearn.metrics  # noqa: F401
    import torch._dynamo  # noqa: F401
    import torchmetrics  # noqa: F401

    every = sorted({test.partition("::")[0] for test in cover["times"]})
    if fresh:  # once, to keep what is compiled
        if os.fork() == 0:
            os._exit(tested(["--collect-only", "-qq", *every], []))
        os.wait()
    sys.dont_write_bytecode = True
    quickest = sorted(cover["times"], key=lambda test: cover["times"][test])[:200]
    if tests_fail(quickest, 100) != "passed":
        raise SystemExit("tests fail without a mutant")
    kept = KEPT / "results.jsonl"
    known = {json.loads(line)["id"] for line in kept.read_text().splitlines()} if kept.exists() else set()
    chosen = set(Path(only).read_text().split()) if only else None
    order = in_order(seed, place)
    ask = server(order, cover)
    for number, mutant in enumerate(order):
        if mutant["id"] in known if chosen is None else mutant["id"] not in chosen:
            continue
        quick, spent = ask(number)
        if spent + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) > 60 * minutes:
            break
        if quick != "unknown":
            keep(mutant, {"result": quick, "tests": 0, "of": 0}, "")
            continue
        path = place / mutant["file"]
        original, stamp = path.read_text(encoding="utf-8"), path.stat().st_mtime_ns
        code = mutant["make"]()
        path.write_text(code, encoding="utf-8")
        os.utime(path, ns=(stamp + 10**10, stamp + 10**10))  # another time than the compiled file's
        try:
            result = judge(mutant, cover)
        finally:
            path.write_text(original, encoding="utf-8")
            os.utime(path, ns=(stamp, stamp))
        diff = difflib.unified_diff(original.splitlines(), code.splitlines(), n=0, lineterm="")
        change = "\n".join(list(diff)[2:])
        keep(mutant, result, change)


def keep(mutant: dict[str, Any], result: dict[str, Any], change: str) -> None:
    """Write down how a mutant fared."""
    row = {key: mutant[key] for key in ("id", "package", "file", "first")} | result | {"change": change}
    with (KEPT / "results.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def server(order: list[dict[str, Any]], cover: dict[str, Any]) -> Callable[[int], tuple[str, float]]:
    """A process of its own that has imported and collected everything; what comes back asks it about a mutant."""
    inward, outward = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.close(inward[1])
        os.close(outward[0])
        plugin = Swapped(order, cover, os.fdopen(inward[0]), os.fdopen(outward[1], "w"))
        os._exit(tested(list(TESTS), [plugin]))
    os.close(inward[0])
    os.close(outward[1])
    asked, answers = os.fdopen(inward[1], "w"), os.fdopen(outward[0])

    def ask(number: int) -> tuple[str, float]:
        asked.write(f"{number}\n")
        asked.flush()
        answer = answers.readline().split() or sys.exit("the process that answers has ended")
        return answer[0], float(answer[1])

    if (result := ask(-1)[0]) != "passed":
        sys.exit(f"without a mutant the tests have {result}")
    return ask


def score() -> None:
    """The share of mutants that a test finds, with Wilson's 95 % interval, and every one that none does."""
    rows = {row["id"]: row for row in map(json.loads, (KEPT / "results.jsonl").read_text().splitlines())}.values()
    total = Counter(row["package"] for row in rows)
    found = Counter(row["package"] for row in rows if row["result"] in ("killed", "timeout"))
    for row in rows:
        if row["result"] in ("survived", "uncovered"):
            print(f"{row['id']} {row['result']} ({row['tests']} of {row['of']} tests)\n{row['change']}\n")
    for package in [*PACKAGES, "all"]:
        n, k = (total[package], found[package]) if package != "all" else (total.total(), found.total())
        share, z, n = k / max(n, 1), 1.96, max(n, 1)
        half = z * math.sqrt(share * (1 - share) / n + (z / 2 / n) ** 2)
        low, high = ((share + z * z / 2 / n + sign * half) / (1 + z * z / n) for sign in (-1, 1))
        print(f"{package:12} {k:5} of {n:5}: {share:.1%} [{low:.1%}, {high:.1%}]")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cover", "run", "score", "count"])
    parser.add_argument("--minutes", type=float, default=60.0, help="of processor time")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the mutants")
    parser.add_argument("--only", default="", help="a file of mutants' names: these alone, judged again")
    given = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    if given.what == "cover":
        import pytest

        os.chdir(ROOT)
        raise SystemExit(pytest.main([*OPTIONS, *TESTS], plugins=[Cover()]))
    if given.what == "run":
        run(given.minutes, given.seed, given.only)
    if given.what == "count":
        print(Counter(mutant["package"] for mutant in in_order(given.seed)))
    if given.what == "score":
        score()


if __name__ == "__main__":
    main()
