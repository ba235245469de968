"""Rules on imports and on the growth of things. Reads the source, imports nothing."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "video_ldm"
HOST = {
    *("comfy", "comfy_api", "comfy_execution", "comfy_extras", "execution", "folder_paths"),
    *("comfyui_version", "latent_preview", "node_helpers", "nodes", "server"),
}
CORE = {*sys.stdlib_module_names, "torch", "einops", "safetensors", "numpy", PACKAGE}
MAX_FILE = 400
MAX_FUNCTION = 60
MAX_FILES = 12  # of a folder, beside __init__.py and __main__.py
MAX_NAMES = 10  # that a module shows
MAX_PARAMETERS = 8  # else a frozen dataclass
# every command line has these parts, by these names
OF_COMMANDS = {"main", "parser", "run", "config_from"}
# one file for each node, and one for each family of weights
LARGE_FOLDERS = (Path("nodes"), Path("temporal/formats"))
# What each part of a folder may import from it, beside itself: the parts to its left.
TEMPORAL_STAIRS = (
    "errors finite claims weights sampling layers stack formats decoder upscaler training".split(),
    "errors finite claims libraries weights video metrics curation".split(),
)
HOST_STAIRS = (
    ["plumbing", "layers", "sampling"],
    ["plumbing", "layers", "film", "training"],
    ["plumbing", "measuring"],
)


def files(*folders: str) -> list[Path]:
    """Python files below folders, relative to the root."""
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


@functools.cache
def tree(path: Path) -> ast.Module:
    """Syntax tree of a file."""
    return ast.parse((ROOT / path).read_text("utf-8"))


@functools.cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's syntax tree."""
    return tuple(ast.walk(tree(path)))


def package_name(folder: Path) -> str:
    """`temporal/layers` -> `video_ldm.temporal.layers`."""
    return ".".join((PACKAGE, *folder.parts))


def module_name(path: Path) -> str:
    """`temporal/stack.py` -> `video_ldm.temporal.stack`."""
    package = package_name(path.parent)
    return package if path.name == "__init__.py" else f"{package}.{path.stem}"


def targets(node: ast.AST, path: Path) -> list[str]:
    """Absolute names a statement imports; for `from a import b` both `a` and `a.b`, as b may be a module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        package = package_name(path.parent).split(".")
        base = ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]


@functools.cache
def imports(path: Path) -> set[str]:
    """Everything a file imports, anywhere in it."""
    return {name for node in nodes_of(path) for name in targets(node, path)}


def imports_when_loaded(path: Path) -> set[str]:
    """Imports of a file as soon as it is imported itself."""
    return {name for node in tree(path).body for name in targets(node, path)}


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    """All functions and methods of a file; those inside others are as long as a part of them."""
    classes = (node for node in tree(path).body if isinstance(node, ast.ClassDef))
    places = [tree(path).body, *(node.body for node in classes)]
    return (
        node for body in places for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


TEMPORAL = files("temporal")
COMMANDS = ("curation", "evaluation", "formats", "graphs", "training")
PACK = [Path("__init__.py"), *files("nodes", "temporal", *COMMANDS)]
EVERYTHING = [*PACK, *files("benchmarks", "demo", "tests")]


def packages(names: set[str]) -> set[str]:
    """Top-level packages of imported names."""
    return {name.partition(".")[0] for name in names}


def found(paths: list[Path], what: Callable[[Path], object]) -> dict[str, object]:
    """Files where `what` finds something, and what."""
    return {path.as_posix(): finding for path in paths if (finding := what(path))}


def test_temporal_knows_neither_nodes_nor_the_host():
    assert not found(TEMPORAL, lambda path: packages(imports(path)) & HOST)
    assert not found(
        TEMPORAL, lambda path: {name for name in imports(path) if name.startswith(f"{PACKAGE}.nodes")}
    )


def test_temporal_loads_with_torch_einops_safetensors_and_numpy():
    assert not found(TEMPORAL, lambda path: packages(imports_when_loaded(path)) - CORE)


def test_the_pack_loads_with_what_the_host_has_loaded():
    """Other libraries are imported where used, so that ComfyUI starts quickly (benchmarks/cost/startup.py).

    So is PyTorch's compiler, which takes more than a second.
    """
    assert not found(PACK, lambda path: packages(imports_when_loaded(path)) - CORE - HOST - {"PIL"})
    compiler = ("torch._dynamo", "torch._inductor")
    assert not found(PACK, lambda path: {n for n in imports_when_loaded(path) if n.startswith(compiler)})


def test_only_nodes_host_imports_the_host():
    outside = [path for path in PACK if not path.as_posix().startswith("nodes/host")]
    assert not found(outside, lambda path: packages(imports(path)) & HOST)


def test_the_pack_imports_itself_relatively():
    def absolute(path: Path) -> set[str]:
        statements = [node for node in nodes_of(path) if not getattr(node, "level", 0)]
        return {name for node in statements for name in targets(node, path) if name.startswith(PACKAGE)}

    assert not found(PACK, absolute)


@functools.cache
def bound(path: Path) -> set[str]:
    """Names that a module has once it is loaded, as far as they are written in it."""
    nodes = nodes_of(path)
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    made = {node.name for node in tree(path).body if isinstance(node, kinds)}
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    aliases = [a for n in nodes if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names]
    return made | stored | {(a.asname or a.name).partition(".")[0] for a in aliases}


@pytest.mark.slow
def test_everything_imported_from_the_pack_is_there():
    """Also inside functions, and in what the type checker does not see: tests, demo and benchmarks."""
    modules = {module_name(path): path for path in EVERYTHING}

    def missing(path: Path) -> list[str]:
        statements = [n for n in nodes_of(path) if isinstance(n, ast.ImportFrom)]
        found = []
        for base, *names in (targets(node, path) for node in statements):
            known = set() if base not in modules else bound(modules[base])
            others = [name for name in names if name not in modules and base.startswith(PACKAGE)]
            found += [name for name in others if name.rpartition(".")[2] not in {*known, "*"}]
        return found

    assert not found(EVERYTHING, missing)


def test_no_cycles():
    known = {module_name(path) for path in PACK}
    graph = {module_name(path): imports(path) & known - {module_name(path)} for path in PACK}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the cycle


def steps_up(folder: Path, stairs: Sequence[Sequence[str]], rest: str) -> set[tuple[str, str]]:
    """Pairs (file, import) of a folder in which a part imports one that is on no stair to its left.

    Files at the folder's root are parts by their own name where the stairs have it, else of the part `rest`.
    """

    def part(module: str) -> str:
        name = module.removeprefix(f"{package_name(folder)}.").partition(".")[0]
        return name if any(name in stair for stair in stairs) else rest

    below = {(a, b) for stair in stairs for i, a in enumerate(stair) for b in stair[: i + 1]}
    known = {module_name(path) for path in files(str(folder)) if path != folder / "__init__.py"}
    return {
        (path.as_posix(), name)
        for path in files(str(folder))
        for name in imports(path) & known
        if (part(module_name(path)), part(name)) not in below
    }


def test_temporal_is_a_staircase():
    assert not steps_up(Path("temporal"), TEMPORAL_STAIRS, rest="")


def test_the_host_folder_is_a_staircase():
    assert not steps_up(Path("nodes/host"), HOST_STAIRS, rest="plumbing")


def test_folders_stay_small():
    folders = {path.parent for path in PACK} - set(LARGE_FOLDERS)
    counts = {f: len([p for p in PACK if p.parent == f and not p.stem.startswith("__")]) for f in folders}
    assert not {folder.as_posix(): count for folder, count in counts.items() if count > MAX_FILES}


def test_files_and_functions_stay_small():
    assert not found(EVERYTHING, lambda path: (ROOT / path).read_text("utf-8").count("\n") > MAX_FILE)
    assert not found(
        EVERYTHING,
        lambda path: [f.name for f in functions(path) if f.end_lineno - f.lineno >= MAX_FUNCTION],
    )


def shown(path: Path) -> list[str]:
    """Public functions and classes of a file."""
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return [n.name for n in tree(path).body if isinstance(n, kinds) and not n.name.startswith("_")]


def test_modules_show_few_names():
    assert not found(PACK, lambda path: len(shown(path)) > MAX_NAMES)


def test_one_name_is_one_thing():
    """A function or class that a module shows is found by its name alone."""
    homes: dict[str, list[str]] = {}
    for path in PACK:
        for name in shown(path):
            homes.setdefault(name, []).append(path.as_posix())
    twice = {name: places for name, places in homes.items() if len(places) > 1}
    assert twice.keys() == OF_COMMANDS, {n: twice.get(n) for n in twice.keys() ^ OF_COMMANDS}
    of_pack = {name: [p for p in twice[name] if not p.startswith(COMMANDS)] for name in OF_COMMANDS}
    assert not {name: places for name, places in of_pack.items() if len(places) > 1}


def test_functions_take_few_parameters():
    """Nodes take their inputs by name, as many as they have."""

    def long(path: Path) -> list[str]:
        return [
            f.name
            for f in functions(path)
            if len({a.arg for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)} - {"self", "cls"})
            > MAX_PARAMETERS
            and (path.parent != Path("nodes") or f.name != "execute")
        ]

    assert not found(PACK, long)


def test_sources_are_readable_on_windows():
    """Tools that read them in its code page stumble over other letters; in texts they stand as escapes."""

    def strange(path: Path) -> str:
        text = (ROOT / path).read_text("utf-8")
        return "".join(letter for letter in set(text) if not letter.encode("cp1252", "ignore"))

    assert not found(EVERYTHING, strange)


def test_no_module_is_deeply_copied():
    """Hosts leave in a module what two may not free, and the weights that are computed with."""
    kept = [path for path in EVERYTHING if path.parts[0] in ("nodes", "temporal", "training", "benchmarks")]
    assert len(kept) > 200
    assert not found(kept, lambda path: "deepcopy" in (ROOT / path).read_text("utf-8"))


def test_users_mistakes_are_neither_asserted_nor_swallowed():
    def loose(path: Path) -> list[int]:
        nodes = nodes_of(path)
        asserts = [node for node in nodes if isinstance(node, ast.Assert)]
        broad = [node.type for node in nodes if isinstance(node, ast.ExceptHandler)]
        raised = [getattr(node.exc, "func", node.exc) for node in nodes if isinstance(node, ast.Raise)]
        named = [node for node in (*broad, *raised) if isinstance(node, ast.Name) and node.id == "Exception"]
        return [node.lineno for node in (*asserts, *named)]

    assert not found(PACK, loose)


def test_temporal_is_annotated_and_documented():
    def bare(path: Path) -> list[str]:
        return [
            node.name
            for node in functions(path)
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            if node.returns is None or (argument.annotation is None and argument.arg not in ("self", "cls"))
        ]

    assert not found(TEMPORAL, bare)
    assert not found(EVERYTHING, lambda path: tree(path).body and not ast.get_docstring(tree(path)))


@functools.cache
def docstrings(path: Path) -> tuple[str, ...]:
    """Docstrings of a file, of its classes and its functions."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = (node for node in nodes_of(path) if isinstance(node, kinds))
    return tuple(text for text in map(ast.get_docstring, nodes) if text)


def test_docstrings_open_with_a_sentence_that_stands_alone():
    """An editor shows nothing else: an imperative or a noun phrase, no answer without its question."""
    riddle = re.compile(r"(What|How|Where|Whether|Which|Who|Why|The same|Same|As)\b")
    assert not found(EVERYTHING, lambda path: [text for text in docstrings(path) if riddle.match(text)])
    summaries = {path: [text.partition("\n\n")[0] for text in docstrings(path)] for path in EVERYTHING}
    assert not found(EVERYTHING, lambda path: [text for text in summaries[path] if "\n" in text.strip()])


def test_comments_leave_no_brackets_behind():
    """A comment behind a long line makes the formatter wrap the value; above it, it does not."""
    scar = re.compile(r"^ *[])}]+  # (?!fmt:|noqa|type:|pyright:).*", re.MULTILINE)
    assert not found(EVERYTHING, lambda path: scar.findall((ROOT / path).read_text("utf-8")))


def test_sources_are_named():
    """`Video LDM, section 3.1` and never "the paper": the pack follows a dozen of them."""
    nameless = re.compile(r"(?<!`)\bpaper\b(?!`)")
    assert not found(PACK, lambda path: [text for text in docstrings(path) if nameless.search(text)])
    comment = re.compile(r"#.*(\bthe paper\b|\(paper)")
    assert not found(PACK, lambda path: comment.findall((ROOT / path).read_text("utf-8")))


def test_every_package_is_installed():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    folders = {module_name(path) for path in PACK if path.name == "__init__.py"}
    assert set(project["tool"]["setuptools"]["packages"]) == folders
    assert project["project"]["dependencies"] == (ROOT / "requirements.txt").read_text("utf-8").split()
