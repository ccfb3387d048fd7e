"""Imports between the rooms of the package run one way."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

# From the ground up. A room may import those of the layers above it in this list, and rooms of
# one layer do not know each other. What stands in no room is named by its module.
LAYERS = (
    ("console",),
    ("errors", "heavy_imports", "processes", "tag_names"),
    ("locks", "memory", "unicode_text"),
    ("config",),
    ("trust",),
    ("reference",),
    ("data",),
    ("models",),
    ("evaluation",),
    ("training",),
    ("components",),
    ("identity",),
    ("store",),
    ("charts",),
    ("tracking",),
    ("experiment",),
    ("prediction", "rerun"),
    ("sweep",),
    ("search",),
    ("comparison",),
    ("report",),
    ("registry",),
    ("commands",),
    ("api",),
    ("__main__",),
)
HEIGHT = {room: height for height, layer in enumerate(LAYERS) for room in layer}


def imported_by(path: Path) -> Iterator[str]:
    """Give the modules of this package that a file imports, also inside of functions.

    What is imported for type checkers alone is left out: nothing of it runs.
    """

    def visit(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from visit(child)

    return visit(ast.parse(path.read_text(encoding="utf-8")))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE / "fitgap").parts[0].removesuffix(".py")


def sources(folder: str) -> list[Path]:
    return sorted((SOURCE / folder).rglob("*.py"))


def test_every_room_has_its_place_in_the_order():
    assert {room_of(path) for path in sources("fitgap")} - {"__init__"} == set(HEIGHT)


def test_the_page_on_the_architecture_lists_the_rooms_in_their_order():
    text = (SOURCE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text.partition("| folder or module |")[2].partition("\n\n")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    listed = [name for cell in first_cells for name in re.findall(r"`(\w+)", cell)]
    assert set(listed) == set(HEIGHT) - {"__main__"}
    assert [HEIGHT[name] for name in listed] == sorted(HEIGHT[name] for name in listed)


def test_the_modules_that_the_page_on_the_architecture_names_exist():
    text = (SOURCE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text.partition("| folder or module |")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        _, rooms, described, _ = line.split("|")
        folders = [SOURCE / "fitgap" / name for name in re.findall(r"`(\w+)/`", rooms)]
        known = {path.stem for folder in folders for path in folder.rglob("*")}
        names = re.findall(r"`([a-z_]+)`", described) if folders else []
        assert set(names) <= known, rooms


@pytest.mark.parametrize("layer", LAYERS, ids="-".join)
def test_imports_run_one_way(layer):
    wrong = []
    for path in sources("fitgap"):
        room = room_of(path)
        if room not in layer:
            continue
        for module in imported_by(path):
            package, _, rest = module.partition(".")
            other = rest.partition(".")[0]
            of_another = package == "fitgap" and other in HEIGHT and other != room
            if of_another and HEIGHT[other] >= HEIGHT[room]:
                wrong.append(f"{path.relative_to(SOURCE)} imports {module}")
    assert wrong == []


@pytest.mark.parametrize("folder", ["fitgap", "hydra_plugins"])
def test_nothing_that_a_person_installs_imports_what_proves_it(folder):
    for path in sources(folder):
        for module in imported_by(path):
            assert module.partition(".")[0] != "fitgap_lab", f"{path} imports {module}"
