"""What a person can set, with its units, in one frozen object.

`Settings` is read from a TOML file, from command-line options or from a plain mapping; all three use the same names.
Times that people set are whole milliseconds; the properties give seconds, which is what the code computes with.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from .errors import SettingsError

DEFAULT_PORT: Final = 6711
DEFAULT_ADMIN: Final = "tcp:6780:interface=127.0.0.1"
STALE_HEARTBEATS: Final = 6  # heartbeats of silence until a session is stale, unless `stale_after` is set

_AT_NAME: Final = re.compile(r"(.*) - at `\$\.(\w+)`", re.DOTALL)  # what msgspec says of a value
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)  # and of a key

PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]


def default_home() -> Path:
    """The directory of this end's keys: `BITTRRT_HOME`, or `~/.bittrrt`."""
    return Path(os.environ.get("BITTRRT_HOME") or "~/.bittrrt").expanduser()


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set. Defaults are those of `twistd bittrrt`."""

    home: Path = msgspec.field(default_factory=default_home)
    """Where this end keeps its identity and what it knows of others."""
    interface: str = "0.0.0.0"  # noqa: S104  a server is there to be reached
    """Address to listen on, IPv4 or IPv6; `::` is every address of both."""
    port: PortNumber = DEFAULT_PORT
    """TCP port of the rendezvous."""
    port_ranges: str = "6712-6999"
    """UDP ports for sessions, three each: `6712-6999,7100`."""
    advertise: str = ""
    """Host, or HOST:PORT, that invite links name; empty to guess from the interface."""
    root: Path | None = None
    """The folder that clients see and write to; none, and there are no files here for them."""
    heartbeat: Annotated[int, msgspec.Meta(ge=10, le=3_600_000)] = 5000
    """Milliseconds from one heartbeat to the next."""
    stale_after: Annotated[int, msgspec.Meta(ge=20, le=86_400_000)] | None = None
    """Milliseconds without anything authentic until a session is stale; none: six heartbeats."""
    max_sessions_per_key: Annotated[int, msgspec.Meta(ge=1)] = 4
    """Sessions that one client's key may hold at the same time."""
    port_quarantine: Annotated[int, msgspec.Meta(ge=0)] = 120_000
    """Milliseconds that a released port rests before it is used again."""
    history_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 30
    """Days that the history of the links is kept; 0: none is."""
    admin: str | None = None
    """Endpoint string of the page, `none` for no page; None for `DEFAULT_ADMIN`, which may be taken."""

    @property
    def heartbeat_seconds(self) -> float:
        return self.heartbeat / 1000

    @property
    def stale_after_seconds(self) -> float:
        return (self.stale_after or self.heartbeat * STALE_HEARTBEATS) / 1000

    @property
    def port_quarantine_seconds(self) -> float:
        return self.port_quarantine / 1000


def as_settings(config: Settings | Mapping[str, Any] | None) -> Settings:
    """`config` itself, or the settings in a plain mapping; keys that are not settings are left to their owner."""
    if isinstance(config, Settings):
        return config
    known = {key: config[key] for key in Settings.__struct_fields__ if key in config} if config else {}
    return _convert(known, "the configuration")


def settings_from_options(options: Mapping[str, Any], config_file: str | None = None) -> Settings:
    """Settings from a TOML file and, over it, from options; an option that is None was not given.

    Raises `SettingsError` for a file that cannot be read, a name that is no setting, or a value that does not fit.
    """
    given = {name: value for name, value in options.items() if value is not None}
    values = read_config_file(config_file) if config_file else {}
    return _convert(values | given, "the options")


def read_config_file(path: str) -> dict[str, Any]:
    """The settings in a TOML file, by their names. Raises `SettingsError` if one of them cannot be used."""
    import tomllib  # noqa: PLC0415  2 ms, which a client's start should not take

    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the configuration file {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"the configuration file {path} is no TOML: {error}") from None
    values = {name.replace("-", "_"): value for name, value in values.items()}
    _convert(values, path)  # so that an error names the file, not the options over it
    return values


def _path(_type: type, value: Any) -> Path:
    """The one type here that msgspec leaves to us."""
    return Path(value)


def _convert(values: Mapping[str, Any], where: str) -> Settings:
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {_in_plain_words(str(error))}") from None
    root = settings.root.expanduser() if settings.root is not None else None
    return msgspec.structs.replace(settings, home=settings.home.expanduser(), root=root)


def _in_plain_words(error: str) -> str:
    """What msgspec says of a value, with its name first and as people write it."""
    if match := _UNKNOWN.fullmatch(error):
        return f"there is no setting {match[1].replace('_', '-')}"
    if match := _AT_NAME.fullmatch(error):
        return f"{match[2].replace('_', '-')}: {match[1][:1].lower()}{match[1][1:]}"
    return error
