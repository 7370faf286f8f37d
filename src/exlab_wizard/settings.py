"""`config.toml`: read, checked key by key, and changed without losing its comments.

A file with any fault is not used: each fault is one line with file, key, value and what is allowed.
"""

from __future__ import annotations

import re
import tomllib
from datetime import time
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from exlab_wizard.domain.bandwidth import WeeklyHours, parse_days
from exlab_wizard.domain.text.amounts import size
from exlab_wizard.durable import make_folder, replace_file
from exlab_wizard.errors import SettingsError

LARGEST_BYTES: Final = 1 << 20
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class QuitSettings(_Section):
    """How long a quit waits before it prompts or forces."""

    window_s: float = Field(
        30.0, ge=0, le=86_400, description="seconds that a quit waits for work to finish before it prompts"
    )
    session_end_window_s: float = Field(
        5.0, ge=3, le=60, description="seconds within which the process exits after SIGTERM, log-off or shutdown"
    )


class SyncSettings(_Section):
    """How runs are moved."""

    workers: int = Field(2, ge=1, le=32, description="runs that are synced at the same time")
    settle_s: float = Field(2.0, ge=0, le=3_600, description="seconds that a run must be unchanged before it is copied")
    stall_s: float = Field(
        120.0, ge=1, le=86_400, description="seconds without a byte after which a transfer is abandoned and retried"
    )


class SessionSettings(_Section):
    """Session leases."""

    ttl_s: float = Field(60.0, ge=1, le=3_600, description="seconds that a session stays open without a heartbeat")


def _absolute_folder(folder: str) -> str:
    if not Path(folder).is_absolute():
        raise ValueError("this must be an absolute folder, such as /mnt/nas/lab")
    return folder


class ServerSettings(_Section):
    """The HTTP API."""

    roots: tuple[Annotated[str, AfterValidator(_absolute_folder)], ...] = Field(
        (), description="the only folders from which runs may be queued over HTTP; empty allows any folder"
    )
    uids: tuple[Annotated[int, Field(ge=1, strict=True)], ...] = Field(
        (), description="other accounts on this machine whose programs may use the API with its token"
    )


class NotificationSettings(_Section):
    """Desktop notifications."""

    enabled: bool = Field(default=True, description="whether to show them, including the quit question")
    offline_after_s: float = Field(
        600.0,
        ge=1,
        le=86_400,
        description="seconds a destination must be offline or full before a notification is sent",
    )


class ScheduleEntry(_Section):
    """Hours of the week in which the bandwidth limit applies, in local time."""

    days: str = Field(description="`mon-fri`, `sat`, `mon,wed-fri`")
    from_: time = Field(alias="from", description="start, `HH:MM`, inclusive")
    to: time = Field(description="end, `HH:MM`, exclusive; at or before the start it is on the next day")

    @field_validator("days")
    @classmethod
    def _known_days(cls, value: str) -> str:
        parse_days(value)
        return value


def supported_target(target: str) -> str:
    """Return `target` unless it is of a kind that no version supports yet.

    Raises:
        ValueError: it is; the message says what to do instead.
    """
    if target.startswith(("ssh://", "rclone:")):
        raise ValueError("this version supports only folders as targets; mount the share and give its folder")
    return target


def plain_name(name: str) -> str:
    """Return `name` if a destination can have it.

    Raises:
        ValueError: it cannot; the message says which names are allowed.
    """
    if not NAME.fullmatch(name):
        msg = f"the name {name!r} is invalid: use at most 63 letters, digits, - and _, beginning with a letter or digit"
        raise ValueError(msg)
    return name


class DestinationSettings(_Section):
    """A named NAS target."""

    target: Annotated[str, AfterValidator(supported_target), AfterValidator(_absolute_folder)] = Field(
        description="the folder of the mounted share, absolute"
    )
    marker: str = Field(
        "", max_length=64, description="the id in its marker file; a share with a different id is never written to"
    )
    bandwidth_mib_s: float | None = Field(
        None, gt=0, le=100_000, description="MiB per second that all transfers to it share; absent means no limit"
    )
    schedule: tuple[ScheduleEntry, ...] = Field((), description="hours in which the limit applies; empty means always")

    @property
    def folder(self) -> Path:
        """The target as a path."""
        return Path(self.target)

    @property
    def limit_bytes_s(self) -> float | None:
        """The limit in bytes per second."""
        return None if self.bandwidth_mib_s is None else self.bandwidth_mib_s * (1 << 20)

    @property
    def windows(self) -> tuple[WeeklyHours, ...]:
        """The schedule as the hours it means."""
        return tuple(WeeklyHours(parse_days(entry.days), entry.from_, entry.to) for entry in self.schedule)


class Settings(_Section):
    """Everything in `config.toml`; every value has a default, and a program without the file works."""

    quit: QuitSettings = QuitSettings()
    sync: SyncSettings = SyncSettings()
    sessions: SessionSettings = SessionSettings()
    server: ServerSettings = ServerSettings()
    notifications: NotificationSettings = NotificationSettings()
    destinations: dict[str, DestinationSettings] = {}

    @field_validator("destinations")
    @classmethod
    def _plain_names(cls, value: dict[str, DestinationSettings]) -> dict[str, DestinationSettings]:
        return {plain_name(name): destination for name, destination in value.items()}


class SettingsFile:
    """The configuration file, read again when it changes on disk; without a file the defaults apply.

    `current` are the valid settings that were read last.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._had_content = False
        self.current = Settings()

    def read(self) -> Settings:
        """Return the settings as the file holds them now.

        Raises:
            SettingsError: the file cannot be read or used; one line for each error. A file that has become empty or
                is gone may be in the middle of being replaced.
        """
        self._seen = self._stamp()
        text = self.text()
        if self._had_content and not text.strip():
            msg = f"{self.path} is missing or empty. Restore it, or restart the application to use the defaults."
            raise SettingsError(msg)
        self.current = parse(text, str(self.path))
        self._had_content = bool(text.strip())
        return self.current

    def text(self) -> str:
        """Return the file's content as it is now; empty where there is no file.

        Raises:
            SettingsError: it cannot be read.
        """
        try:
            if self.path.stat().st_size > LARGEST_BYTES:
                msg = f"{self.path} is larger than {size(LARGEST_BYTES)}. Restore it: no configuration is that large."
                raise SettingsError(msg)
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{self.path} cannot be read: {error}. Make it readable for your account, as UTF-8 text."
            raise SettingsError(msg) from error

    def changed(self) -> bool:
        """Return whether the file on disk has changed since it was read."""
        return self._stamp() != self._seen

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def add_destination(
        self, name: str, target: str, bandwidth_mib_s: float | None = None, *, marker: str = ""
    ) -> Settings:
        """Add a destination, keep everything else in the file including comments, and return the new settings.

        Raises:
            SettingsError: the result would not be usable; nothing was changed.
        """
        import tomlkit  # noqa: PLC0415 - only a change needs it, and every command reads

        text = self.text()
        parse(text, str(self.path))
        document = tomlkit.parse(text)
        destinations = document.setdefault("destinations", tomlkit.table(is_super_table=True))
        entry = tomlkit.table()
        entry["target"] = target
        if marker:
            entry["marker"] = marker
        if bandwidth_mib_s is not None:
            entry["bandwidth_mib_s"] = bandwidth_mib_s
        destinations[name] = entry
        return self.replace(tomlkit.dumps(document))

    def replace(self, text: str) -> Settings:
        """Replace the file by `text` in one step, durably, readable by its owner only; return the settings in it.

        Raises:
            SettingsError: it would not be usable, or cannot be written; nothing was changed.
        """
        settings = parse(text, str(self.path))
        path = self.path.resolve()  # where it is a link, that stays, and leads to the new file
        try:
            make_folder(path.parent)
            _remove_abandoned(path)
            replace_file(path, text.encode(), 0o600)
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror}. Make it writable, or choose another file with --config."
            raise SettingsError(msg) from error
        self.read()
        return settings


def parse(text: str, where: str) -> Settings:
    """Return the settings that `text` holds; `where` names the file in messages.

    Raises:
        SettingsError: one line for each error: file, key, value, what is allowed.
    """
    try:
        return Settings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        msg = f"{where}: not valid TOML: {error}"
        raise SettingsError(msg) from error
    except RecursionError as error:
        msg = f"{where}: not valid TOML: brackets are nested too deeply"
        raise SettingsError(msg) from error
    except ValidationError as error:
        lines = [_fault(where, fault["loc"], fault["msg"], fault["input"], fault["type"]) for fault in error.errors()]
        raise SettingsError("\n".join(lines)) from error


def _fault(where: str, location: tuple[int | str, ...], message: str, value: object, kind: str) -> str:
    key = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        return f"{where}: {key}: unknown key; docs/settings.md lists the known ones"
    said = message.removeprefix("Value error, ")
    if kind == "missing":
        return f"{where}: {key} is missing"
    return f"{where}: {key} = {value!r}: {said[:1].lower()}{said[1:]}"


def _remove_abandoned(path: Path) -> None:
    """Remove partial files left by programs that died while they replaced the file."""
    import psutil  # noqa: PLC0415 - only a change needs it, and every command reads

    name = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.part")
    for beside in path.parent.iterdir():
        left = name.fullmatch(beside.name)
        if left is not None and not psutil.pid_exists(int(left[1])):
            beside.unlink(missing_ok=True)
