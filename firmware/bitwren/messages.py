"""What people are told. The sentences about a query and about k are, word for word, the host's (bitwren/queries.py)."""

MAX_QUERY_BYTES = 4096

EMPTY = "the query is empty: type a few words"
NO_WORDS = "the query has no words, only punctuation: type a few words"
NO_DOCUMENTS = "the table holds no documents, all of them are deleted: append some, or build it again"
K_TOO_SMALL = "k must be at least 1"
K_NOT_A_NUMBER = "k must be a whole number"
EFFORT = "effort must be a whole number from 1 to 100, percent of the table to read"
STAGES = "stages must be one of hamming, vectors, words, all"
OTHER_ENCODER = "the table was made with another encoder: build the bundle again, or put back the encoder it was made with"
NO_ENCODER = (
    "this table's codes are from elsewhere, and it has no encoder for text: search it by code (search_code, or bitwren "
    "search --vector); to add to it, import it again (bitwren import)"
)
NO_BUNDLE = "no bundle here: copy a directory with encoder.bwe and table.bwt to this board (bitwren deploy)"
NOT_AN_OBJECT = 'the line is not a JSON object: send {"query": "...", "k": 3}'
NOT_UTF8 = "the line is not UTF-8: send UTF-8, or escape as JSON does"
NO_QUERY = 'the object has no text under "query": send {"query": "...", "k": 3} or {"cmd": "info"}'
QUERY_AND_CODE = "the object has both a query and a code: send one of them"
CODE_STAGES = "a code is searched by distance alone: leave stages out"
NO_TEXT = 'the object has no text under "text": send {"cmd": "append", "text": "..."}'
UNKNOWN_COMMAND = 'the commands are {"cmd": "info"}, "append" and "delete"'
ID_NOT_TEXT = "a document's id must be text, and not empty"
ANSWER_NOT_TEXT = "a document's answer must be text"
NO_ROOM = "not enough memory for this change: build the table again with bitwren build, all documents in it"
OUT_OF_MEMORY = "not enough memory for this: ask for fewer results, or restart the board"

# The error codes of firmware/native/bitwren.h, as what is the matter with a file.
READ, MAGIC, VERSION, FORMAT = -1, -2, -3, -5
_FILE = {
    READ: "cannot be read, or ends early",
    MAGIC: "is not the kind of file its name says",
    VERSION: "has a format version that this bitwren does not know: update it or build the file again",
    -4: "is damaged: a checksum does not match",
    FORMAT: "is damaged or truncated: a field is out of its range",
}


class Error(ValueError):
    """What is wrong, and what to do, in a sentence."""


def too_long(size):
    """A query of so many bytes."""
    return "the query is {} bytes long; at most {} are possible: shorten it".format(size, MAX_QUERY_BYTES)


def k_too_large(k, documents):
    """More results than there are documents."""
    return "k is {} but the table holds {} documents: ask for 1 to {}".format(k, documents, documents)


def no_stages(name):
    """Stages that the table does not have."""
    return "the table was built without what {} needs: leave stages out, or build it again".format(name)


def not_a_code(size):
    """Something else than a code, which has so many bytes."""
    return "a code of this table is {} bytes, as bytes or bytearray: give that".format(size)


def not_digits(size):
    """Something else than the digits of a code, which has so many bytes."""
    return 'a code of this table is {} bytes: send {{"code": "..."}} with their {} hexadecimal digits'.format(size, 2 * size)


def used_id(id):
    """An id that a document has already."""
    return "there is a document with the id {} already: delete it first, or take another id".format(id)


def unknown_id(id):
    """An id that no document has."""
    return "no document has the id {}: nothing was deleted".format(id)


def line_too_long(limit):
    """A line that the console cannot hold."""
    return "the line is longer than {} bytes: shorten it".format(limit)


def missing(path):
    """A file of a bundle that is not there."""
    return "{} is not there: copy the bundle again (bitwren deploy)".format(path)


def bad_file(path, code):
    """A file for which the native module gave an error code."""
    sentence = _FILE.get(code, "cannot be used (error {})".format(code))
    return "{} {}{}".format(path, sentence, "" if code == VERSION else "; copy or build it again")


def no_storage(path, kind):
    """A way of reading that was insisted on and does not work for a file."""
    ways = {"ram": "held in RAM", "file": "read as a file", "partition": "read from a partition"}
    return '{} cannot be {} here: open it with storage="auto"'.format(path, ways.get(kind, "mapped"))


def no_partition(label):
    """A partition that is not there."""
    return "this board has no data partition {}: copy a bundle as a directory, or flash an image with that partition".format(
        label
    )


def no_flash():
    """A board whose flash is not mapped, or not known to be."""
    return "this board's flash cannot be read in place: copy a bundle as a directory (bitwren deploy)"


def no_bundle_in_flash(begin, end):
    """No bundle outside the filesystem."""
    return "no bundle lies in flash from 0x{:x} to 0x{:x}: flash one (bitwren image), or copy it as a directory".format(
        begin, end
    )


def no_address(given, begin, end):
    """Something else than an address of a page of flash."""
    return 'flash: takes an address in steps of 4096 from 0x{:x} to 0x{:x}, as in "flash:0x10060000"; this is "{}"'.format(
        begin, end, given
    )


def unknown_storage(kind):
    """A way of reading that does not exist."""
    return 'storage is "{}" but must be "auto", "mapped", "ram", "file" or "partition"'.format(kind)


def unknown_engine(name):
    """A way of computing that does not exist."""
    return 'engine is "{}" but must be "auto", "native", "viper" or "python"'.format(name)


def no_viper():
    """Viper code does not run here."""
    return 'this firmware compiles no viper code, or fast.mpy is for another board: open it with engine="auto"'


def no_native(arch, version, trouble):
    """No native module for this board; trouble: with the one that is here, or None."""
    if arch == "none":
        return "this MicroPython loads no native modules: use a firmware that does"
    sentence = "this board needs bitwren_native_{}.mpy (.mpy version {}), and {}: copy it to /lib (bitwren deploy does)"
    return sentence.format(arch, version, trouble or "none is here")


def made_for(path, arch, version):
    """A native module of another board or MicroPython."""
    return "{} is for {} (.mpy version {})".format(path, arch, version)


def no_module(path):
    """A file that does not load, and does not say why."""
    return "{} is damaged".format(path)


def other_version(name):
    """A native module that does not fit the rest of bitwren."""
    return "{}.mpy is of another version of bitwren".format(name)


def slow(engine, wanted):
    """The native module is not what computes; wanted: which one is missing."""
    return "slow, since {} does it; {}".format(engine, wanted)
