"""Whether a serial port can be used: it is there, this user may open it, and no other program holds it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .serial_link import LinkError

if sys.platform != "win32":
    import fcntl
    import grp


class PortMissing(LinkError):
    """No such port."""


class PortForbidden(LinkError):
    """A port that this user may not open."""


class PortBusy(LinkError):
    """A port that another program holds."""


def check_port(port: str) -> None:
    """See that a port can be opened, without sending anything to it.

    :raises LinkError: a sentence on why it cannot, and what to do.
    """
    if sys.platform == "win32" or "://" in port:
        return  # there pyserial's own error has to do
    try:
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise PortMissing(f"{port} is not there: is the board plugged in? `bitwren ports` lists the ports there are") from error
    except PermissionError as error:
        raise PortForbidden(_forbidden(port)) from error
    except OSError as error:
        if Path(port).is_char_device():  # a program may ask the system to let nobody else in
            raise PortBusy(_busy(port)) from error
        raise PortMissing(f"{port} is no serial port ({error.strerror}): `bitwren ports` lists them") from error
    try:
        if not os.isatty(descriptor):
            raise PortMissing(f"{port} is no serial port: `bitwren ports` lists them")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # mpremote and esptool hold this lock while they work
    except BlockingIOError as error:
        raise PortBusy(_busy(port)) from error
    finally:
        os.close(descriptor)


def _forbidden(port: str) -> str:
    if sys.platform != "linux":
        return f"you may not open {port}: see who owns it (ls -l {port})"
    try:
        group = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (OSError, KeyError):
        group = "dialout"
    if group == "root":
        return (
            f"you may not open {port}, and no group may: a udev rule gives it to one, such as "
            'SUBSYSTEM=="tty", GROUP="dialout", MODE="0660" in /etc/udev/rules.d/50-boards.rules'
        )
    return (
        f"you may not open {port}, which belongs to the group {group}: sudo usermod -aG {group} $USER, then log out and in again "
        '(on a desktop without that group, a udev rule with TAG+="uaccess" does it)'
    )


def _busy(port: str) -> str:
    holders = _holders(port)
    who = f"{', '.join(holders)} has it open" if holders else "another program has it open (mpremote, a serial terminal, an IDE)"
    return f"{port} is busy: {who}. Close that, and try again"


def _holders(port: str) -> list[str]:
    """Programs that have a port open, as far as Linux shows them to this user."""
    found = []
    try:
        target = os.path.realpath(port)
        for process in Path("/proc").glob("[0-9]*"):
            if int(process.name) == os.getpid():
                continue
            try:
                if any(os.path.realpath(link) == target for link in (process / "fd").iterdir()):
                    found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
            except OSError:
                continue
    except OSError:
        return []
    return found
