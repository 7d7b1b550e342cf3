"""The house: which part may import which, who may read a clock, and how large a piece may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "bittrrt"
MAX_FILE = 450  # lines
MAX_FUNCTION = 65

BASE = {"errors", "settings"}
MAY_IMPORT = {
    "errors": set(),
    "settings": {"errors"},
    "wire": BASE,
    "link": BASE | {"wire"},
    "files": BASE | {"wire"},
    "net": BASE | {"wire", "link", "files"},
    "app": BASE | {"wire", "link", "files", "net", "__version__"},
}
BELOW_NET = BASE | {"wire", "link", "files"}
NO_NAMES = {"utils", "util", "core", "common", "helpers"}
CLOCKS = {
    f"{module}.{name}"
    for module, names in {
        "time": "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time sleep localtime gmtime",
        "datetime.datetime": "now utcnow today",
        "datetime.date": "today",
    }.items()
    for name in names.split()
}


def part_of(path: Path) -> str:
    """`link` for bittrrt/link/replay.py, `errors` for bittrrt/errors.py, `` for bittrrt/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imported_names(tree: ast.AST, path: Path) -> Iterator[str]:
    """Every name that is imported, in full: `bittrrt.wire.spans.SpanSet`, `time`."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def dotted_name(node: ast.AST) -> str:
    """`datetime.now` for that expression; nothing for any that is no chain of names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted_name(node.value)):
        return f"{before}.{node.attr}"
    return ""


def clock_reads(tree: ast.AST, path: Path) -> set[str]:
    """The clocks that are named, by whatever import."""
    local = {name.rpartition(".")[2]: name for name in imported_names(tree, path)}
    found = CLOCKS & set(local.values())
    for node in ast.walk(tree):
        first, _, rest = dotted_name(node).partition(".")
        if first in local and f"{local[first]}.{rest}" in CLOCKS:
            found.add(f"{local[first]}.{rest}")
    return found


SOURCES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


class LayerTests(SynchronousTestCase):
    def test_every_part_is_known(self) -> None:
        self.assertEqual({part_of(path) for path in SOURCES} - {""}, set(MAY_IMPORT))

    def test_imports_go_one_way(self) -> None:
        for path, tree in SOURCES.items():
            part = part_of(path)
            if not part:
                continue  # the package itself names what it shows
            for name in imported_names(tree, path):
                top, _, rest = name.partition(".")
                if top == "bittrrt":
                    self.assertIn(rest.partition(".")[0], MAY_IMPORT[part] | {part}, f"{path}: {name}")

    def test_nothing_below_net_imports_twisted(self) -> None:
        for path, tree in SOURCES.items():
            if part_of(path) in BELOW_NET:
                found = {name for name in imported_names(tree, path) if name.partition(".")[0] == "twisted"}
                self.assertEqual(found, set(), str(path))

    def test_nothing_below_net_reads_a_clock(self) -> None:
        for path, tree in SOURCES.items():
            if part_of(path) in BELOW_NET:
                self.assertEqual(clock_reads(tree, path), set(), str(path))

    def test_nothing_below_net_draws_chance_from_where_it_cannot_be_given(self) -> None:
        for path, tree in SOURCES.items():
            if part_of(path) in BELOW_NET:
                found = {name for name in imported_names(tree, path) if name.partition(".")[0] == "random"}
                self.assertEqual(found - {"random.Random"}, set(), str(path))  # the type of what is given


class SizeTests(SynchronousTestCase):
    def test_no_part_is_named_for_nothing(self) -> None:
        for path in PACKAGE.rglob("*"):
            self.assertNotIn(path.stem, NO_NAMES, str(path))

    def test_no_file_or_function_is_too_long(self) -> None:
        for folder in ("bittrrt", "bench", "tests", "twisted"):
            for path in sorted((ROOT / folder).rglob("*.py")):
                text = path.read_text(encoding="utf-8")
                self.assertLessEqual(text.count("\n"), MAX_FILE, f"{path}: divide it by what it knows")
                for node in ast.walk(ast.parse(text)):
                    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                        lines = (node.end_lineno or 0) - node.lineno + 1
                        self.assertLessEqual(lines, MAX_FUNCTION, f"{path}: {node.name}")


class CheckerTests(SynchronousTestCase):
    """That the tests above see what they look for."""

    def test_imports_are_found_in_every_form(self) -> None:
        tree = ast.parse("import time\nfrom ..wire.spans import SpanSet\nfrom .. import errors\nfrom . import link\n")
        self.assertEqual(
            list(imported_names(tree, PACKAGE / "link" / "link.py")),
            ["time", "bittrrt.wire.spans.SpanSet", "bittrrt.errors", "bittrrt.link.link"],
        )

    def test_clocks_are_found_in_every_form(self) -> None:
        for source, clock in {
            "import time\ntime.monotonic()": "time.monotonic",
            "import time\ndef f(now=time.time): ...": "time.time",
            "from time import time_ns": "time.time_ns",
            "from datetime import datetime\ndatetime.now()": "datetime.datetime.now",
            "import datetime\ndatetime.datetime.now()": "datetime.datetime.now",
            "import datetime\ndatetime.date.today()": "datetime.date.today",
        }.items():
            self.assertEqual(clock_reads(ast.parse(source), PACKAGE / "link" / "link.py"), {clock}, source)

    def test_what_only_sounds_like_a_clock_is_none(self) -> None:
        source = "import time\nfrom datetime import datetime\ndatetime.fromtimestamp(now)\nself.time.time()"
        self.assertEqual(clock_reads(ast.parse(source), PACKAGE / "link" / "link.py"), set())
