"""What ``bitwren deploy`` runs on a board, in its raw REPL: MicroPython, each piece a function that the next line calls."""

_HASH = """
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
    _HASH
    + """
def inventory(root, name, wanted):
    import gc, os
    gc.collect()
    finish(root + "/lib/bitwren.todo")
    files, extra, bundles = {}, [], []
    def names(folder):
        try:
            return [(entry[0], entry[1] & 0x4000) for entry in os.ilistdir(folder or "/")]
        except OSError:
            return []
    def note(path, package):
        base = path[:-4] if path[-4:] == ".new" else path
        if base in wanted:
            size = os.stat(path)[6]
            files[path[len(root) + 1:]] = [size, digest(path) if size == wanted[base] else ""]
        elif path[-4:] == ".new":
            files[path[len(root) + 1:]] = [os.stat(path)[6], ""]
        elif package:
            extra.append(path[len(root) + 1:])
    def walk(folder, package):
        for entry, inner in names(folder):
            if inner:
                walk(folder + "/" + entry, package)
            else:
                note(folder + "/" + entry, package)
    walk(root + "/lib/bitwren", True)
    walk(root + "/" + name, False)
    for path in (root + "/lib/bitwren_native.mpy", root + "/main.py"):
        for tried in (path, path + ".new"):
            try:
                os.stat(tried)
            except OSError:
                continue
            note(tried, False)
    main = "none"
    try:
        with open(root + "/main.py") as file:
            main = "ours" if "bitwren" in file.read(4096) else "other"
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
    return {"files": files, "extra": extra, "bundles": bundles, "main": main, "writable": writable}
"""
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

CHECK = (
    _HASH
    + """
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

def commit(path, lines):
    import os
    with open(path + ".part", "w") as file:
        file.write("\\n".join(lines))
    os.rename(path + ".part", path)
    finish(path)
"""
)
