"""A fingerprint of the code that an experiment depends on.

It covers the experiment's function and, again and again, every function, class and constant of
the package that this code names. Docstrings, comments and layout do not count. The code is read,
not run, so the fingerprint is the same on every machine and under every Python version.

Names are followed as they are written: `helper(...)`, `KneserNey(...)`, `data.RABBITS`. A class
counts as a whole. What is reached in other ways (`getattr`, a registry) is not seen.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

ENGINE = "experiments"  # the engine stores results; it does not make them


class CodeHash:
    """Fingerprints of the definitions of one package.

    Args:
        folder: the package's folder.
        package: its import name.
    """

    def __init__(self, folder: Path, package: str):
        self.folder = folder
        self.package = package
        self._modules: dict[str, dict[str, list[ast.stmt]]] = {}
        self._read: dict[tuple[str, str], tuple[str, list[tuple[str, str]]]] = {}

    def __repr__(self) -> str:
        return f"CodeHash({self.package!r})"

    def of(self, module: str, name: str) -> str:
        """Return 16 hexadecimal digits for one definition and all it depends on.

        Raises:
            ValueError: if the module does not define the name.

        >>> import lmcourse
        >>> len(CodeHash(Path(lmcourse.__file__).parent, "lmcourse").of("lmcourse.claims", "above"))
        16
        """
        parts = self.definitions(module, name)
        text = "\n".join(f"{key} {parts[key]}" for key in sorted(parts))
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]

    def definitions(self, module: str, name: str) -> dict[str, str]:
        """Return `module.name` -> canonical text of everything the definition depends on."""
        if name not in self._definitions_of(module):
            raise ValueError(f"module {module} defines no {name!r}")
        found: dict[str, str] = {}
        waiting = [(module, name)]
        while waiting:
            where, what = waiting.pop()
            key = f"{where}.{what}"
            if key not in found:
                found[key], names = self._text_and_names(where, what)
                waiting.extend(names)
        return found

    def _text_and_names(
        self, module: str, name: str
    ) -> tuple[str, list[tuple[str, str]]]:
        """The canonical text of one definition, and the definitions that it names."""
        if (module, name) not in self._read:
            statements = self._definitions_of(module)[name]
            text = " ".join(canonical(statement) for statement in statements)
            names = [pair for one in statements for pair in self._names_in(one, module)]
            self._read[module, name] = text, names
        return self._read[module, name]

    def _is_module(self, module: str) -> bool:
        return self._path(module) is not None

    def _path(self, module: str) -> Path | None:
        if module.split(".")[0] != self.package or module == f"{self.package}.{ENGINE}":
            return None
        base = self.folder.joinpath(*module.split(".")[1:])
        for path in (base.with_name(base.name + ".py"), base / "__init__.py"):
            if path.is_file():
                return path
        return None

    def _definitions_of(self, module: str) -> dict[str, list[ast.stmt]]:
        """Every name that the module's own level binds, with the statements that bind it."""
        if module not in self._modules:
            path = self._path(module)
            if path is None:
                raise ValueError(f"{module} is no module of the package {self.package}")
            names: dict[str, list[ast.stmt]] = {}
            for statement in _flat(ast.parse(path.read_text(encoding="utf-8")).body):
                for name in _bound_names(statement):
                    names.setdefault(name, []).append(statement)
            self._modules[module] = names
        return self._modules[module]

    def _names_in(self, node: ast.AST, module: str) -> Iterator[tuple[str, str]]:
        """The package's definitions that the code in `node` names."""
        local = {}  # what is imported inside a function
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                local.update(dict.fromkeys(_bound_names(inner), inner))
        for chain in _chains(node):
            yield from self._resolve(chain, module, local)

    def _resolve(self, chain: tuple[str, ...], module: str, local: dict) -> Iterator:
        """Follow a chain of names such as `data.grammar.Grammar` to a definition."""
        first, *rest = chain
        binding = local.get(first) or next(
            iter(self._definitions_of(module).get(first, [])), None
        )
        if binding is None:
            return
        if not isinstance(binding, ast.Import | ast.ImportFrom):
            yield module, first
            return
        for alias in binding.names:
            if (alias.asname or alias.name.split(".")[0]) != first:
                continue
            if isinstance(binding, ast.Import):
                target = alias.name if alias.asname else first
            else:
                target = f"{self._source_module(binding, module)}.{alias.name}"
            yield from self._definition_at(target, rest)

    def _source_module(self, statement: ast.ImportFrom, module: str) -> str:
        if not statement.level:
            return statement.module
        is_package = self._path(module).name == "__init__.py"
        parents = module.split(".")[
            : len(module.split(".")) - statement.level + is_package
        ]
        return ".".join([*parents, statement.module] if statement.module else parents)

    def _definition_at(self, target: str, rest: list[str]) -> Iterator[tuple[str, str]]:
        """The definition that a dotted path points at, followed through re-exports."""
        path = [*target.split("."), *rest]
        for split in range(len(path), 0, -1):
            module = ".".join(path[:split])
            if not self._is_module(module):
                continue
            names = self._definitions_of(module)
            if split == len(path):  # a module as a value: all of it counts
                yield from ((module, name) for name in names)
            elif path[split] in names:
                yield from self._resolve(tuple(path[split:]), module, {})
            return


def _flat(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """A module's statements, those under `if`, `try` and `with` included."""
    for statement in statements:
        inner = [
            getattr(statement, name, []) for name in ("body", "orelse", "finalbody")
        ]
        handlers = [handler.body for handler in getattr(statement, "handlers", [])]
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            for block in inner + handlers:
                yield from _flat(block)
        else:
            yield statement


def _bound_names(statement: ast.stmt) -> list[str]:
    """The names that a statement defines or changes."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in statement.names]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
        )
        names = []
        for target in targets:
            while isinstance(target, ast.Subscript | ast.Attribute):
                target = target.value  # TABLE["key"] = ... changes TABLE
            names += [
                node.id for node in ast.walk(target) if isinstance(node, ast.Name)
            ]
        return names
    return []


def _chain(node: ast.AST) -> tuple[str, ...]:
    """`a.b.c` as ("a", "b", "c"); empty where the code does not start with a plain name."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


def _chains(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """The longest chains of names in a piece of code: `a.b`, not also `a`."""
    chain = _chain(node)
    if chain:
        yield chain
        return
    for child in ast.iter_child_nodes(node):
        yield from _chains(child)


def canonical(node) -> str:
    """Return a syntax tree as text that does not depend on the Python version.

    Left out: docstrings, positions, empty fields, and the mark of an experiment (its seeds are
    stored beside the results).

    >>> canonical(ast.parse("x = 1  # one").body[0]) == canonical(ast.parse("x=1").body[0])
    True
    """
    if isinstance(node, list):
        return "[" + ",".join(map(canonical, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if name in ("ctx", "kind", "type_comment") or value is None and name != "value":
            continue
        if name == "body" and isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ):
            value = (
                value[1:] if ast.get_docstring(node, clean=False) is not None else value
            )
        if name == "decorator_list":
            value = [item for item in value if not _marks_experiment(item)]
        if value != []:
            fields.append(f"{name}={canonical(value)}")
    return f"{type(node).__name__}({','.join(fields)})"


def _marks_experiment(decorator: ast.expr) -> bool:
    chain = _chain(decorator.func if isinstance(decorator, ast.Call) else decorator)
    return bool(chain) and chain[-1] == "experiment"


@functools.cache
def of_lmcourse() -> CodeHash:
    """The fingerprints of this package, each module read once a process."""
    return CodeHash(Path(__file__).parents[1], "lmcourse")
