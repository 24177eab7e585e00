"""What ``bitwren deploy`` runs on a board, in its raw REPL: MicroPython, in pieces that a small board can compile."""

# What ran before takes RAM that is wanted.
FORGET = """
import gc, sys
for name in [name for name in sys.modules if name.split(".")[0] in ("bitwren", "bitwren_native", "main")]:
    del sys.modules[name]
for name in [name for name in globals() if name[:2] != "__" and name not in ("gc", "json", "say")]:
    del globals()[name]
gc.collect()
"""


HASH = """
def digest(path):
    import binascii, hashlib
    sha, buffer = hashlib.sha256(), bytearray(1024)
    view = memoryview(buffer)
    with open(path, "rb") as file:
        while True:
            count = file.readinto(buffer)
            if not count:
                return binascii.hexlify(sha.digest()).decode()
            sha.update(view[:count])
"""

# Only what has the wanted size is hashed: hashing is what takes time.
INVENTORY = (
    """
import os
wanted = {}
def names(folder):
    try:
        return [(entry[0], entry[1] & 0x4000) for entry in os.ilistdir(folder or "/")]
    except OSError:
        return []
""",
    """
def inventory(root, name):
    import gc
    def note(path, package):
        base = path[:-4] if path[-4:] == ".new" else path
        size, sha = os.stat(path)[6], None
        if base in wanted:
            sha = digest(path) if size == wanted[base] else ""
        elif path[-4:] != ".new" and not package:
            return
        say([path[len(root) + 1:], size, sha])
    def walk(folder, package):
        for entry, inner in names(folder):
            if inner:
                walk(folder + "/" + entry, package)
            else:
                note(folder + "/" + entry, package)
            gc.collect()
    walk(root + "/lib/bitwren", True)
    walk(root + "/" + name, False)
    for path in (root + "/lib/bitwren_native.mpy", root + "/main.py"):
        for tried in (path, path + ".new"):
            try:
                os.stat(tried)
            except OSError:
                continue
            note(tried, False)
    say()
""",
    """
def rest(root):
    main, bundles = "none", []
    try:
        with open(root + "/main.py") as file:
            main = "ours" if "bitwren.console.main(" in file.read(4096) else "other"
    except OSError:
        pass
    for entry, inner in names(root):
        if inner:
            try:
                os.stat(root + "/" + entry + "/table.bwt")
                bundles.append(entry)
            except OSError:
                pass
    try:
        with open(root + "/bitwren.new", "w"):
            pass
        os.remove(root + "/bitwren.new")
        writable = True
    except OSError:
        writable = False
    return {"bundles": bundles, "main": main, "writable": writable}
""",
)

PREPARE = """
def prepare(root, remove, folders):
    import os
    for path in remove:
        os.remove(root + "/" + path)
    for path in folders:
        try:
            os.mkdir(root + "/" + path)
        except OSError:
            os.stat(root + "/" + path)
"""

CHECK = """
def check(expected):
    wrong = []
    for path in expected:
        try:
            right = digest(path) == expected[path]
        except OSError:
            right = False
        if not right:
            wrong.append(path)
    return wrong
"""

COMMIT = """
def commit(path, lines):
    import os
    with open(path + ".part", "w") as file:
        file.write("\\n".join(lines))
    os.rename(path + ".part", path)
    finish(path)
"""
