"""Makes the package `tessera` and the mode importable, whose code the host has in memory."""

import io
import sys
from _frozen_importlib import ModuleSpec, module_from_spec  # the rest of importlib takes its time

import _tessera


class Finder:
    """Finds and loads modules whose code the host has."""

    def __init__(self, modules):
        self.modules = modules  # name -> (is_package, file)

    def find_spec(self, name, path=None, target=None):
        if name not in self.modules:
            return None
        is_package, file = self.modules[name]
        spec = ModuleSpec(name, self, origin=file, is_package=is_package)
        spec.has_location = True
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(_tessera._code(module.__spec__.name), module.__dict__)

    def get_source(self, name):
        """Also for tracebacks, which show the lines."""
        return _tessera._source(name)


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


def install(modules):
    sys.meta_path.insert(0, Finder(modules))
    sys.stdout, sys.stderr = LogStream(20), LogStream(30)


mode = None  # its name


def refusal(name):
    """Why no mode can be called so, or None."""
    if not name.isidentifier():
        return (
            f"the mode's folder must be named like a Python module, not {name!r}: rename it so that it "
            "has letters, digits and underscores only, and no digit first"
        )
    if name in sys.modules or name in sys.stdlib_module_names or name == "tessera":
        return f"there is a module called {name} already: rename the mode's folder"
    return None


def load_mode(name, modules):
    finder = Finder(modules)
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
