"""Makes the package `tessera` and the mode importable from sources that the host has in memory."""

import io
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec

import _tessera


class Sources:
    """Finds and loads modules whose sources the host has given."""

    def __init__(self, sources):
        self.sources = sources  # name -> (is_package, file, source)
        self.codes = {}  # name -> code, of what was compiled ahead

    def find_spec(self, name, path=None, target=None):
        if name not in self.sources:
            return None
        is_package, file, _source = self.sources[name]
        spec = ModuleSpec(name, self, origin=file, is_package=is_package)
        spec.has_location = True
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__spec__.name
        exec(self.codes.pop(name, None) or self.compile(name), module.__dict__)

    def compile(self, name):
        _is_package, file, source = self.sources[name]
        return compile(source, file, "exec")

    def compile_ahead(self):
        """Compiles all, and runs nothing of it. What is wrong with a module is told when it is imported."""
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for name in self.sources:
                try:
                    self.codes[name] = self.compile(name)
                except Exception:
                    pass

    def get_source(self, name):
        """Also for tracebacks, which show the lines."""
        return self.sources[name][2]


class LogStream(io.TextIOBase):
    """Where `print` goes: the process's own output belongs to the server."""

    encoding = "utf-8"

    def __init__(self, level):
        self.level = level
        self.line = ""

    def writable(self):
        return True

    def write(self, text):
        *lines, self.line = (self.line + text).split("\n")
        for line in lines:
            _tessera.log(self.level, line)
        return len(text)


def install(sources):
    sys.meta_path.insert(0, Sources(sources))
    sys.stdout, sys.stderr = LogStream(20), LogStream(30)


def warm_up():
    """Loads what the first traceback is told with: a tick has no time for that."""
    import ast
    import traceback

    try:
        ast.parse("1 / 0")
        eval(compile("1 / 0", "<engine>/bootstrap.py", "eval"))
    except ZeroDivisionError as error:
        traceback.format_exception(error)


mode = None  # its name


def load_mode(name, finder):
    if not name.isidentifier():
        raise ImportError(f"the mode's folder must be named like a Python module, not {name!r}")
    if name in sys.modules or name in sys.stdlib_module_names or name == "tessera":
        raise ImportError(f"there is a module called {name} already; rename the mode's folder")
    sys.meta_path.insert(1, finder)
    module = sys.modules[name] = module_from_spec(finder.find_spec(name))
    global mode
    mode = name
    finder.exec_module(module)
    sys.modules["tessera._entity"].seal()
    return module


def unload_mode():
    """Lets go of what the mode's modules hold, when the interpreter is about to end."""
    for name in [name for name in sys.modules if name.partition(".")[0] == mode]:
        vars(sys.modules.pop(name)).clear()
