"""Runs a config file, in which `import configs` means the folder of configs that it belongs to.

A config file says `from configs import stages`, as Python resolves it in a checkout. It must mean the files of its own
checkout, whatever the current directory is and whichever other `configs` the process has imported. `sys.path` and
`sys.modules` are the same for all importers, so they cannot say that; the module's own `__import__` can.
"""

import builtins
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = "configs"


def run_config(path: Path) -> ModuleType:
    """The module of a config file, run anew. It is not put into `sys.modules`. Raises whatever the file raises.

    `configs` in it is the nearest folder of that name above the file, else one beside the file's folder, else one in
    the current directory; if there is none, it is imported like any other module.
    """
    folder = path.resolve().parent
    roots = [*(above for above in (folder, *folder.parents) if above.name == PACKAGE)]
    roots += [folder.parent / PACKAGE, Path.cwd() / PACKAGE]
    root = next((root for root in roots if root.is_dir()), None)
    if root and root in path.resolve().parents:
        return _Package(root).module(*path.resolve().relative_to(root).with_suffix("").parts)
    return _Package(root).run(ModuleType(path.stem), path)


class _Package:
    """The modules of a folder of configs, each run once."""

    def __init__(self, root: Path | None):
        self._root = root
        self._modules: dict[tuple[str, ...], ModuleType] = {}

    def module(self, *parts: str) -> ModuleType:
        """The module `configs.PARTS`; a folder is a module without content."""
        if parts in self._modules:
            return self._modules[parts]
        name, path = ".".join((PACKAGE, *parts)), self._find(parts)
        if path is None:
            raise ModuleNotFoundError(f"no module {name} in {self._root}", name=name)
        module = self._modules[parts] = ModuleType(name)
        module.__package__ = name if path.is_dir() else name.rpartition(".")[0]
        if path.is_file():
            self.run(module, path)
        if parts:
            setattr(self.module(*parts[:-1]), parts[-1], module)
        return module

    def run(self, module: ModuleType, path: Path) -> ModuleType:
        """Fills a module by running a file."""
        module.__file__ = str(path)
        module.__dict__["__builtins__"] = vars(builtins) | {"__import__": self._import}
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
        return module

    def _import(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        """`__import__` of the modules of this package."""
        package = (globals or {}).get("__package__") or ""
        if level and package.split(".")[0] == PACKAGE:
            name, level = importlib.util.resolve_name("." * level + name, package), 0
        first, *rest = name.split(".")
        if level or first != PACKAGE or self._root is None:
            return builtins.__import__(name, globals, locals, fromlist, level)
        found = top = self.module()
        for end in range(len(rest)):
            found = self.module(*rest[: end + 1])
        for item in fromlist or ():
            if not hasattr(found, item) and self._find((*rest, item)):
                self.module(*rest, item)
        return found if fromlist else top

    def _find(self, parts: tuple[str, ...]) -> Path | None:
        assert self._root is not None
        path = self._root.joinpath(*parts)
        file = path.with_name(f"{path.name}.py")
        if parts and file.is_file():
            return file
        return path if path.is_dir() else None
