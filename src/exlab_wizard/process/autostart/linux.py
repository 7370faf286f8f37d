"""Autostart on Linux: a unit of the systemd user manager, and an entry for desktops that start programs themselves.

GNOME, KDE and others let systemd run the session: there the unit counts, which restarts after a crash and has time to
end, and the desktop entry is ignored. Other desktops know the desktop entry only. So both are written; and where both
count, the second start finds the first and exits.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from exlab_wizard.durable import make_folder
from exlab_wizard.process.autostart.port import (
    ABOUT,
    NAME,
    TITLE,
    AutostartError,
    AutostartPlace,
    Entry,
    EntryFile,
    LoginCommand,
)

_MARK: Final = "# exlab-wizard: "
_TARGET: Final = "graphical-session.target"
_RELOAD_SECONDS: Final = 5.0
_NOT_IN_A_PROGRAM: Final = frozenset("$\"'\\")


def linux_places(environ: Mapping[str, str], booted: Path = Path("/run/systemd/system")) -> list[AutostartPlace]:
    """Return the unit where systemd runs this machine, and the desktop entry."""
    home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    entry = DesktopEntry(home / "autostart" / f"{NAME}.desktop", beside_unit=booted.is_dir())
    return [SystemdUnit(home / "systemd" / "user", environ), entry] if booted.is_dir() else [entry]


class SystemdUnit(EntryFile):
    """`exlab-wizard.service`, wanted by the graphical session; `environ` says whether a manager runs."""

    kind = "systemd"

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        super().__init__(folder / f"{NAME}.service")
        self._wanted = folder / f"{_TARGET}.wants" / self._file.name
        self._environ = environ

    def text(self, launch: LoginCommand) -> str:
        """Return the unit: it restarts after a crash, never after a quit or an error that a restart does not solve."""
        if _NOT_IN_A_PROGRAM.intersection(launch.command[0]):
            msg = f"systemd accepts no $, quotes or \\ in the path of a program: {launch.command[0]!r}. Move it."
            raise AutostartError(msg)
        program, *words = launch.command
        line = " ".join([_for_systemd(program), *(_for_systemd(word).replace("$", "$$") for word in words)])
        return f"""{_mark(launch)}
[Unit]
Description={TITLE}: {ABOUT}
PartOf={_TARGET}
After={_TARGET}
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
ExecStart={line}
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2 4
KillMode=mixed
TimeoutStopSec={launch.stop_s}

[Install]
WantedBy={_TARGET}
"""

    def read(self) -> Entry | None:
        """Return the unit, if it exists and is enabled."""
        return _read(self._file) if self._wanted.is_symlink() else None

    def write(self, text: str) -> None:
        """Write the unit and enable it, as `systemctl --user enable` does."""
        super().write(text)
        make_folder(self._wanted.parent)
        self._wanted.unlink(missing_ok=True)
        self._wanted.symlink_to(Path("..") / self._file.name)
        self._reload()

    def remove(self) -> None:
        """Remove both."""
        self._wanted.unlink(missing_ok=True)
        super().remove()
        self._reload()

    def _reload(self) -> None:
        """Notify a running manager, so that it restarts nothing from the old unit; at login it reads units anyway."""
        if not (Path(self._environ.get("XDG_RUNTIME_DIR", "/nowhere")) / "systemd" / "private").exists():
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            command = ["systemctl", "--user", "daemon-reload"]
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_RELOAD_SECONDS, check=False)


class DesktopEntry(EntryFile):
    """`exlab-wizard.desktop` in the autostart folder; with `beside_unit`, sessions that systemd runs ignore it."""

    kind = "xdg"

    def __init__(self, file: Path, *, beside_unit: bool) -> None:
        super().__init__(file)
        self._beside_unit = beside_unit

    def text(self, launch: LoginCommand) -> str:
        """Return the entry."""
        line = " ".join(_for_desktop(word) for word in [*launch.command, "--background"])
        ignored = "X-systemd-skip=true\nX-GNOME-HiddenUnderSystemd=true\n" if self._beside_unit else ""
        return f"""{_mark(launch)}
[Desktop Entry]
Type=Application
Name={TITLE}
Comment={ABOUT}
Exec={line}
Terminal=false
{ignored}"""

    def read(self) -> Entry | None:
        """Return the entry, if it exists; a tool of the desktop disables it with a line in it."""
        return _read(self._file)


def _mark(launch: LoginCommand) -> str:
    """Return the comment by which an entry is recognised; JSON in one line, whatever the names contain."""
    return _MARK + json.dumps({"program": launch.command[0], "state_dir": launch.state_dir})


def _read(file: Path) -> Entry | None:
    try:
        text = file.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    lines = text.splitlines()
    off = any(line.replace(" ", "").lower() in _SWITCHED_OFF for line in lines)
    with contextlib.suppress(ValueError):
        match json.loads(lines[0].removeprefix(_MARK)) if lines and lines[0].startswith(_MARK) else None:
            case {"program": str(program), "state_dir": str(state_dir)}:
                return Entry(text, program, state_dir, disabled=off)
    return Entry(text, "", "", disabled=off)


_SWITCHED_OFF: Final = ("hidden=true", "x-gnome-autostart-enabled=false")


def _for_systemd(word: str) -> str:
    """Return a word of a command line as unit files quote it; `$` is the caller's, since the first word knows none."""
    _require_plain(word, "a unit file")
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _for_desktop(word: str) -> str:
    """Return a word as desktop entries quote it: first for the command line, then once more as a string."""
    _require_plain(word, "a desktop entry")
    quoted = "".join(f"\\{char}" if char in '"`$\\' else char for char in word).replace("%", "%%")
    return '"' + quoted.replace("\\", "\\\\") + '"'


def _require_plain(word: str, what: str) -> None:
    if any(ord(char) < ord(" ") or char == "\x7f" for char in word):
        msg = f"{word!r} contains a control character, which {what} cannot represent. Use another path for autostart."
        raise AutostartError(msg)
