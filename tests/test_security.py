"""What ``SECURITY.md`` promises of the package: no module can run what a file holds, or send anything."""

import ast

import pytest

from support.sources import SOURCES

#: What runs or imports what a text says, or reads pickles, and the one module that may use it.
FORBIDDEN = {
    **dict.fromkeys(
        ["eval", "exec", "compile", "__import__", "os.system", "os.popen", "pkgutil.resolve_name"], ""
    ),
    **dict.fromkeys(["torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "pd.read_pickle"], ""),
    "import_module": "lphm",  # its own public names
    "torch.ops.load_library": "lphm.ops.cpp",
}
#: What reads pickles, starts programs or opens connections.
MODULES = {
    *(
        "pickle",
        "marshal",
        "shelve",
        "dill",
        "cloudpickle",
        "joblib",
        "yaml",
        "subprocess",
        "ctypes",
        "runpy",
    ),
    *("socket", "ssl", "urllib", "http", "ftplib", "smtplib", "requests", "httpx", "webbrowser"),
}


def faults(name: str, source: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(source):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            found += [each for each in names if each.split(".")[0] in MODULES]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            found += [called] if FORBIDDEN.get(called, name) != name else []
            found += [
                f"{called}(allow_pickle=True)"
                for keyword in node.keywords
                if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"
            ]
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_no_module_can_run_what_a_file_holds(name: str) -> None:
    assert not faults(name, ast.parse(SOURCES[name].read_text()))


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from urllib.request import urlopen",
        "torch.load(file, weights_only=True)",
        "np.load(file, allow_pickle=True)",
        "eval(text)",
        "torch.ops.load_library(path)",
    ],
)
def test_the_test_finds_what_it_should(line: str) -> None:
    assert len(faults("lphm.learn.run", ast.parse(line))) == 1
