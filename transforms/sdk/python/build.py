"""python3 sdk/build.py ENTRY --output FILE [--tools FOLDER]

Makes a component of a Python module and all that it imports from its folder. componentize-py does that; it comes from PyPI, at the version
of requirements.txt, into a virtual environment in the folder of tools: once. A requirements.txt of the user's, where make was called,
names pure packages that go into the component too.
"""

import argparse
import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

SDK = Path(__file__).resolve().parent
PYTHON_MIN = (3, 10)
GUEST_PYTHON = "3.14"
"""What componentize-py brings along: packages are chosen for it, and not for the Python that runs this."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes a component of a Python module.")
    parser.add_argument("entry", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tools", type=Path, default=Path(".tools"))
    options = parser.parse_args()
    if sys.version_info < PYTHON_MIN:
        fail(f"Python {sys.version.split()[0]} is too old: install {'.'.join(map(str, PYTHON_MIN))} or newer")
    if not options.entry.is_file():
        fail(f"there is no {options.entry}")
    python = tools(options.tools.resolve())
    build(python, options.entry, dependencies(python, options.tools.resolve()), options.output)
    print(options.output)


def tools(folder: Path) -> Path:
    """The Python that has componentize-py."""
    wanted = SDK / "requirements.txt"
    place = folder / f"python-{digest(wanted)}"
    if not place.exists():
        with fresh(place) as new:
            print(f"installing componentize-py into {place}", file=sys.stderr)
            made = subprocess.run([sys.executable, "-m", "venv", new], capture_output=True, text=True)
            if made.returncode != 0:
                told = (made.stdout + made.stderr).strip()
                lacks = "ensurepip" in told or "No module named venv" in told
                fail("python3-venv is missing: install it (Debian: apt install python3-venv) and run make again" if lacks else told)
            pip(new / "bin/python", "--require-hashes", "--no-deps", "-r", wanted)
    return place / "bin/python"


def dependencies(python: Path, folder: Path) -> list[Path]:
    """The folder of the packages that the user's own requirements.txt names, if there is one."""
    wanted = Path("requirements.txt")
    if not wanted.is_file():
        return []
    place = folder / f"packages-{digest(wanted)}"
    if not place.exists():
        with fresh(place) as new:
            print(f"installing the packages of {wanted}", file=sys.stderr)
            # Only packages without machine code can run in a component.
            pure = ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none", f"--python-version={GUEST_PYTHON}"]
            pip(python, *pure, "--target", new, "-r", wanted, hint="only packages of pure Python can run in a component")
    return [place]


class fresh:
    """A new folder that takes its place when it is complete. Other builds may make the same one at this moment: the first stays."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __enter__(self) -> Path:
        self.place.parent.mkdir(parents=True, exist_ok=True)
        self.new = Path(tempfile.mkdtemp(prefix=f"{self.place.name}.", dir=self.place.parent))
        return self.new

    def __exit__(self, error: object, *_: object) -> None:
        try:
            if error is None:
                self.new.rename(self.place)
        except OSError:
            if not self.place.exists():
                raise
        finally:
            shutil.rmtree(self.new, ignore_errors=True)


def pip(python: Path, *args: object, hint: str = "") -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        fail("\n".join(["pip could not install what is needed:", *(errors or [done.stderr.strip()]), *filter(None, [hint])]))


def build(python: Path, entry: Path, packages: list[Path], output: Path) -> None:
    """Only importing the module tells for sure which world it is of, and takes a whole build; what is written of it is nearly always right."""
    worlds = ["aggregate", "transform"] if counts(entry) else ["transform", "aggregate"]
    failed = componentized(python, entry, packages, output, worlds[0])
    if failed is not None and f"the module is of the world {worlds[1]}" in failed:
        failed = componentized(python, entry, packages, output, worlds[1])
    if failed is not None:
        fail(failed)


def counts(entry: Path) -> bool:
    """Whether a function has the decorator `@aggregate`."""
    try:
        tree = ast.parse(entry.read_bytes())
    except (SyntaxError, ValueError):
        return False  # CPython of the component may read more, or says what is wrong.
    decorators = [one for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for one in node.decorator_list]
    return any(getattr(one, "id", getattr(one, "attr", None)) == "aggregate" for one in decorators)


def componentized(python: Path, entry: Path, packages: list[Path], output: Path, world: str) -> str | None:
    """Makes a component of that world; or says why not."""
    with tempfile.TemporaryDirectory(prefix="rowmill-") as folder:
        source = entry.parent
        paths = [Path(folder), source, SDK, *packages]
        # In the component, the folders are called by their place in this list.
        places = {"/1/": "" if source == Path(".") else f"{source}/"}
        Path(folder, "rowmill_component.py").write_text(
            "import sys\n"
            "sys.dont_write_bytecode = True\n"
            "from rowmill.serve import begin, serve\n"
            "begin()\n"
            f"import {entry.stem} as module\n"
            f"WitWorld = serve(module, {places!r}, {world!r})\n"
        )
        # Else componentize-py takes the packages of this machine's Python, which another machine may lack.
        none = Path(folder, "none")
        (none / "lib/site-packages").mkdir(parents=True)
        new = output.with_name(output.name + ".new")
        command: list[str | Path] = [python, "-c", "import sys, componentize_py; sys.exit(componentize_py.script())"]
        command += ["--quiet", "--wit-path", SDK / "wit", "--world", world, "componentize", "rowmill_component", "--output", new]
        for path in paths:
            command += ["--python-path", path]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "RUST_BACKTRACE": "0", "VIRTUAL_ENV": str(none)})
        if done.returncode != 0:
            new.unlink(missing_ok=True)
            return told(done.stdout + done.stderr, places)
        new.replace(output)
        return None


def told(output: str, places: dict[str, str]) -> str:
    """The user's part of a traceback: componentize-py puts one of its own around it."""
    traceback = re.search(r"AssertionError: (Traceback .*?)\n\nCaused by:", output, re.DOTALL)
    if traceback is None:
        return f"componentize-py could not build the component:\n{output.strip()}"
    lines, kept, ours = traceback[1].splitlines(), [], False
    for line in lines:
        frame = re.match(r'  File "(/[^/]+/)(.*)$', line)
        if frame:
            ours = frame[1] not in places
            line = f'  File "{places.get(frame[1], frame[1])}{frame[2]}'
        elif not line.startswith("  "):
            ours = False
        if not ours:
            kept.append(line)
    missing = re.search(r"ModuleNotFoundError: No module named '([^'.]+)", traceback[1])
    if missing:
        kept.append(f"If {missing[1]} is a package of PyPI, name it in requirements.txt.")
    return "the module could not be imported:\n" + "\n".join(kept[1:])


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def fail(message: str) -> NoReturn:
    sys.exit(message)


if __name__ == "__main__":
    main()
