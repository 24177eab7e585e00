"""Installs a release's package with mpremote's mip, from a web server on this machine, and asks what it brought.

    python tests/try_mip.py .cache/dist

`make dist` runs this on an emulated Pico that has a bundle and nothing else of bitwren.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from board_bundle import CACHE, bundle_bytes, make_bundle, text_of

from bitwren_host.emulator import EmulatedPico, pico_image

ASK = """
import bitwren
wren = bitwren.open("faq")
print(wren.info()["native"], wren.search({!r}, k=1)[0].id)
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of what it serves."""

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """A web server for a folder; its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def try_mip(release: Path, port: str, name: str, native: str, home: Path | str = "/") -> None:
    """Install on the board at a port, and ask its bundle ``faq``, of :func:`~board_bundle.make_bundle`.

    :param name: the package's. :param native: what should compute then. :param home: where the board keeps main.py.
    :raises AssertionError: when something is not as it should be.
    """

    def mpremote(*arguments: str) -> str:
        command = [sys.executable, "-m", "mpremote", "connect", port, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.replace("\r\n", "\n")

    with serve(release) as address:
        said = mpremote("mip", "install", f"{address}/mip/{name}.json")
        assert "/lib/bitwren/console." in said, said
        mpremote("mip", "install", "--target", str(home), f"{address}/mip/main.py")
    found = mpremote("exec", ASK.format(text_of(make_bundle(), 7))).split()
    assert found == [native, "d7"], found
    main = mpremote("fs", "cat", f":{str(home).rstrip('/')}/main.py")
    assert main == (release / "mip" / "main.py").read_text(), main


if __name__ == "__main__":
    image = pico_image({f"faq/{name}": data for name, data in bundle_bytes(make_bundle()).items()})
    with EmulatedPico(CACHE / "micropython" / "pico" / "firmware.uf2", image) as pico:
        try_mip(Path(sys.argv[1]), pico.port, "pico", "armv6m")
    print("mip/pico.json: installed on an emulated Pico by mpremote mip, and it answers")
