"""What people install: the wheel holds the program and its migrations only, and works far from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

from exlab_wizard import __version__
from exlab_wizard.store.upkeep.migration import migrations_dir

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "src" / "exlab_wizard" / "server" / "page"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("EXLAB_", "PYTHON", "COV"))}
"""As the person who runs the tests has it, pip's settings included: taken before the fixtures move the user's dirs."""

BIN = "Scripts" if os.name == "nt" else "bin"


def run(*command: str | Path, cwd: Path) -> str:
    """Run `command`, and on failure show what it said."""
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def built(out: Path, *what: str) -> Path:
    """Build into `out`, once even where several test processes ask, and return the wheel."""
    with FileLock(f"{out}.lock"):
        if not list(out.glob("*.whl")):
            run(sys.executable, "-m", "build", *what, "--no-isolation", "--outdir", out, ROOT, cwd=out.parent)
    (wheel,) = out.glob("*.whl")
    return wheel


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    return built((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "wheel", "--wheel")


def test_the_checkout_finds_its_own_migrations() -> None:
    assert migrations_dir() == ROOT / "migrations"


@pytest.mark.slow
def test_the_wheel_holds_the_program_and_its_migrations_and_nothing_else(wheel: Path) -> None:
    names = names_in(wheel)
    info = f"exlab_wizard-{__version__}.dist-info/"
    assert [name for name in names if not name.startswith(("exlab_wizard/", info))] == []
    assert [name for name in names if name.endswith(".pyc")] == []
    assert {"exlab_wizard/py.typed", "exlab_wizard/cli/main.py", f"{info}licenses/LICENSE"} <= names
    data = [path for kind in ("*.sql", "*.toml") for path in (ROOT / "src/exlab_wizard/store").rglob(kind)]
    assert len(data) > 20
    assert {path.relative_to(ROOT / "src").as_posix() for path in data} <= names
    migrations = [path for path in (ROOT / "migrations").rglob("*") if path.suffix in {".py", ".mako"}]
    assert {f"exlab_wizard/{path.relative_to(ROOT).as_posix()}" for path in migrations} <= names
    page = [path for folder in ("templates", "static") for path in (PAGE / folder).iterdir()]
    assert {path.relative_to(ROOT / "src").as_posix() for path in page} <= names
    assert len(page) > 8


@pytest.mark.slow
def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert names_in(built(tmp_path / "dist")) == names_in(wheel)


@pytest.mark.sampled(cases=0)  # it installs everything anew
@pytest.mark.slow
def test_the_installed_program_works_far_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(sys.executable, "-m", "venv", "env", cwd=tmp_path)
    bin_dir = tmp_path / "env" / BIN
    install = (bin_dir / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*install, "--constraint", ROOT / "constraints.txt", wheel, cwd=elsewhere)

    program = bin_dir / "exlab-wizard"
    assert __version__ in run(program, "--version", cwd=elsewhere)
    assert "--state-dir" in run(program, "--help", cwd=elsewhere)
    (tmp_path / "nas").mkdir()
    (tmp_path / "run-1").mkdir()
    run(program, "--state-dir", tmp_path / "state", "destination", "add", "nas", tmp_path / "nas", cwd=elsewhere)
    run(program, "--state-dir", tmp_path / "state", "sync", tmp_path / "run-1", cwd=elsewhere)
    run(program, "--state-dir", tmp_path / "state", "db", "check", cwd=elsewhere)
    assert (tmp_path / "state" / "exlab-wizard.db").is_file()

    ask = "from exlab_wizard.store.upkeep.migration import migrations_dir; print(migrations_dir())"
    found = Path(run(bin_dir / "python", "-c", ask, cwd=elsewhere).strip())
    assert found.name == "migrations"
    assert found.parent.name == "exlab_wizard"
    assert found.is_relative_to(tmp_path)
