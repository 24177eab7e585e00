"""The console on a board's serial line, for people and for programs; docs/protocol.md specifies it.

A line that begins with { is a program's: it is not echoed, and its answer is one line of JSON. Any other line is a
person's question.
"""

import gc
import json
import os
import sys
import time
from collections import OrderedDict

from . import Error, messages, open

LINE = 8192 + 128  # bytes of a line: an object with a query of 4096 bytes, each behind a backslash, fits
PROMPT = "> "
AGAIN = "import bitwren.console; bitwren.console.main()"

_CTRL_C, _CTRL_D, _BACKSPACE, _TAB, _NEWLINE, _RETURN, _ESCAPE, _DELETE = 3, 4, 8, 9, 10, 13, 27, 127
_BRACE, _COLON = ord("{"), ord(":")


def main(path=None):
    """Serve a bundle, the first that is found when no path is given, until Ctrl-C or Ctrl-D."""
    try:
        path = path or find_bundle()
        if path is None:
            print("bitwren:", messages.NO_BUNDLE)
            return
        Console(open(path), getattr(sys.stdin, "buffer", sys.stdin), sys.stdout, echo=_has_raw_terminal()).serve()
    except Error as error:
        print("bitwren:", error)
    except MemoryError:
        print("bitwren:", messages.OUT_OF_MEMORY)
    except KeyboardInterrupt:
        pass
    print("\nbitwren: the console is closed. Again:", AGAIN)


def find_bundle():
    """The first directory, by name, that holds a table; else what lies in flash outside the filesystem."""
    for name in sorted(os.listdir()):
        try:
            os.stat(name + "/table.bwt")
            return name
        except OSError:
            pass
    # A chip loads only the module that can find something there.
    if sys.platform == "rp2":
        from . import flash as elsewhere
    else:
        try:
            import esp32  # noqa: F401
        except ImportError:
            return None
        from . import partition as elsewhere
    return elsewhere.path_of_bundle()


def _has_raw_terminal():
    # A board's line is raw, so the console echoes; a terminal under Unix echoes and edits by itself.
    return sys.platform not in ("linux", "darwin")


class Console:
    """One open bundle, the bytes that come in and where text goes."""

    def __init__(self, wren, source, sink, echo):
        """:param source: has readinto(); 0 bytes are its end. :param sink: has write() for str and bytes."""
        self._wren, self._source, self._sink, self._echo = wren, source, sink, echo
        self._line = bytearray(LINE)
        self._byte = bytearray(1)
        self._effort, self._stages = wren.effort, None  # of a person's questions
        self._after_return = False  # a newline that follows is the same line's end
        self._prompted = False  # the cursor stands behind a prompt

    def serve(self):
        """Answer lines until the stream ends or somebody ends it."""
        self._banner()
        self._prompt()
        while True:
            length = self._read_line()
            if length is None:
                return
            line = memoryview(self._line)[: min(length, LINE)]
            if length and self._line[0] == _BRACE:
                self._reply(self._program(line, length > LINE))
            else:
                self._person(line, length > LINE)
                self._prompt()

    def _read_line(self):
        """Fill the line; returns its length, more than LINE when not all of it was kept, or None at the end."""
        length = 0
        while True:
            byte = self._next()
            if byte is None or byte == _CTRL_C or byte == _CTRL_D:
                return length if byte is None and length else None
            if byte == _BRACE and not length:
                return self._read_program_line()
            newline_of_return = byte == _NEWLINE and self._after_return
            self._after_return = byte == _RETURN
            if newline_of_return:
                continue
            if byte == _NEWLINE or byte == _RETURN:
                if self._echo:
                    self._sink.write("\n")
                return length
            if byte == _BACKSPACE or byte == _DELETE:
                length = self._rub_out(length)
            elif byte == _ESCAPE:
                self._skip_escape()
            elif byte >= 32 or byte == _TAB:
                if length < LINE:
                    self._line[length] = byte
                    self._show()
                length = min(length + 1, LINE + 1)

    def _read_program_line(self):
        """The rest of _read_line for a line that begins with a brace; nothing to echo or edit, so 7 times as fast."""
        if self._prompted:
            self._sink.write("\n")  # so that the answer begins a line
            self._prompted = False
        line, one, readinto = self._line, self._byte, self._source.readinto
        line[0] = _BRACE
        length = 1
        while readinto(one):
            byte = one[0]
            if byte < 32:
                if byte == _NEWLINE or byte == _RETURN:
                    self._after_return = byte == _RETURN
                    break
                if byte == _CTRL_C or byte == _CTRL_D:
                    return None
            if length < LINE:
                line[length] = byte
            length += 1
        return length

    def _next(self):
        return self._byte[0] if self._source.readinto(self._byte) else None

    def _show(self):
        """Echo the byte just read."""
        if self._echo:
            if not self._prompted:
                self._prompt()
            self._sink.write(b" " if self._byte[0] == _TAB else bytes(self._byte))

    def _rub_out(self, length):
        """Take the last character, of 1 to 4 bytes, from the line."""
        if not 0 < length <= LINE:
            return length
        length -= 1
        while length and self._line[length] & 0xC0 == 0x80:
            length -= 1
        if self._echo:
            self._sink.write("\b \b")
        return length

    def _skip_escape(self):
        """Pass over what an arrow or function key sends."""
        byte = self._next()
        if byte == ord("[") or byte == ord("O"):
            byte = self._next()
            while byte is not None and 32 <= byte < 64:
                byte = self._next()

    def _prompt(self):
        self._sink.write(PROMPT)
        self._prompted = True

    def _banner(self):
        info = self._wren.info()
        storage = info["storage"]
        encoder = "encoder {}".format(info["encoder"]) if "encoder" in storage else "codes from elsewhere"
        read = ", ".join("{} {}".format(name, storage[name]) for name in ("encoder", "table") if name in storage)
        self._sink.write(
            "bitwren: {}, {} documents, {} bits, {}; read from: {}\n".format(
                info["name"], info["documents"], info["bits"], encoder, read
            )
        )
        if self._wren.notice:
            self._sink.write("bitwren: {}\n".format(self._wren.notice))
        self._sink.write("Type a question. Ctrl-C gives the REPL.\n")

    def _person(self, line, too_long):
        if not len(line):
            return
        self._prompted = False
        began = time.ticks_ms()
        try:
            if too_long:
                raise Error(messages.line_too_long(LINE))
            said = self._aside(line) if line[0] == _COLON else None
            if said:
                self._sink.write("  {}\n".format(said))
                return
            hits = self._wren.search(line, None, self._effort, self._stages)
        except Exception as error:
            self._sink.write("  {}\n".format(_sentence(error)))
            return
        took = time.ticks_diff(time.ticks_ms(), began)
        for rank, hit in enumerate(hits, 1):
            answer = hit.answer.replace("\r", "").replace("\n", "\n     ")
            score = ""
            if hit.score is not None:
                from .stages import decimal

                score = "score {}, ".format(decimal(hit.score))
            self._sink.write("  {}. {}  [{}distance {}, id {}]\n".format(rank, answer, score, hit.distance, hit.id))
        doubt = "" if hits.confident else "; not confident: nothing is near enough"
        self._sink.write("  {} ms{}\n".format(took, doubt))

    def _aside(self, line):
        """What is said to a person who appended or deleted a document, or set something; None for any other line."""
        words = _text(line).split(None, 1)
        if words == [":info"]:
            return self._about()
        if words[0] == ":effort":
            return self._set_effort(words[1].strip() if len(words) > 1 else "")
        if words[0] == ":stages":
            return self._set_stages(words[1].strip() if len(words) > 1 else "")
        if len(words) < 2 or words[0] not in (":append", ":delete"):
            return None
        wren, rest = self._wren, words[1].strip()
        if words[0] == ":delete":
            if not wren.delete(rest):
                raise Error(messages.unknown_id(rest))
            return "deleted until the power is off; {} documents".format(len(wren))
        text, _, answer = rest.partition(" = ")
        id = wren.append(text.strip(), answer.strip() or None)
        return "added until the power is off, with the id {}; {} documents".format(id, len(wren))

    def _command(self, request):
        """The object that answers {"cmd": ...}."""
        wren, command = self._wren, request["cmd"]
        if command == "info":
            return wren.info()
        if command == "append":
            given = [request.get(name) for name in ("text", "answer", "id")]
            text, answer, id = [_strict(value) if isinstance(value, str) else value for value in given]
            if not isinstance(text, str):
                raise Error(messages.NO_TEXT)
            return OrderedDict((("id", wren.append(text, answer, id)), ("documents", len(wren))))
        if command == "delete":
            id = request.get("id")
            if not isinstance(id, str):
                raise Error(messages.ID_NOT_TEXT)
            deleted = wren.delete(_strict(id))
            if not deleted:
                raise Error(messages.unknown_id(id))
            return OrderedDict((("deleted", deleted), ("documents", len(wren))))
        raise Error(messages.UNKNOWN_COMMAND)

    def _set_effort(self, value):
        if value:
            if not value.isdigit() or not 1 <= int(value) <= 100:
                raise Error(messages.EFFORT)
            self._effort = int(value)
        exact = "" if self._effort < 100 and self._wren.info()["layout"] == "residual" else ": exact"
        return "effort is {} %{}".format(self._effort, exact)

    def _set_stages(self, name):
        if name:
            self._wren.choose(name)
            self._stages = name
        return "stages: {}".format(self._stages or self._wren.info()["stages"])

    def _about(self):
        """All that info() tells, a line each."""
        info = self._wren.info()
        info["storage"] = ", ".join("{} {}".format(*pair) for pair in info["storage"].items())
        info["ram"] = "{} bytes taken by this, {} free".format(info["ram"], gc.mem_free())
        if self._wren.notice:
            info["notice"] = self._wren.notice
        return "\n  ".join("{:<10} {}".format(key, "-" if value is None else value) for key, value in info.items())

    def _program(self, line, too_long):
        """The object that answers a program's line."""
        query = None
        try:
            if too_long:
                raise Error(messages.line_too_long(LINE))
            request = _parse(line)
            if "cmd" in request:
                return self._command(request)
            if "code" in request:
                return self._by_code(request)
            query = request.get("query")
            if not isinstance(query, str):
                query = None
                raise Error(messages.NO_QUERY)
            query = _strict(query)
            began = time.ticks_ms()
            return _timed(
                self._wren.answer(query, request.get("k"), request.get("effort"), request.get("stages")), request, began
            )
        except Exception as error:  # whatever it is: a client waits for one line
            return OrderedDict((("query", query), ("error", _sentence(error))))

    def _by_code(self, request):
        """The object that answers {"code": ...}."""
        code = request["code"]
        try:
            if "query" in request:
                raise Error(messages.QUERY_AND_CODE)
            if request.get("stages") not in (None, "hamming"):
                raise Error(messages.CODE_STAGES)
            code = _strict(code) if isinstance(code, str) else None
            began = time.ticks_ms()
            return _timed(self._wren.answer_code(code, request.get("k"), request.get("effort")), request, began)
        except Exception as error:
            return OrderedDict((("code", code if isinstance(code, str) else None), ("error", _sentence(error))))

    def _reply(self, answer):
        try:
            pieces = _pieces(answer)
        except MemoryError:
            pieces = _pieces(OrderedDict((("query", None), ("error", messages.OUT_OF_MEMORY))))
        for piece in pieces:
            self._sink.write(piece)
        self._sink.write("\n")


def _timed(answer, request, began):
    if request.get("time") is True:
        answer["ms"] = time.ticks_diff(time.ticks_ms(), began)
    return answer


def _text(line):
    try:
        return str(line, "utf-8")
    except ValueError:
        raise Error(messages.NOT_UTF8)


def _parse(line):
    text = _text(line)
    try:
        # MicroPython's parser accepts an object that breaks off: a line cut short must not pass for a shorter query.
        request = json.loads(text) if text.rstrip().endswith("}") else None
    except ValueError:
        request = None
    if not isinstance(request, dict):
        raise Error(messages.NOT_AN_OBJECT)
    return request


def _pieces(answer):
    """An answer's JSON, hit by hit: for all of many hits there is seldom memory in one piece."""
    hits = answer.get("hits")
    if not hits:
        return [json.dumps(answer)]
    for index, hit in enumerate(hits):
        hits[index] = (", " if index else "") + json.dumps(hit)  # in place, so that the hit's memory is free again
    asked = "code" if "code" in answer else "query"
    hits.insert(0, '{{"{}": {}, "hits": ['.format(asked, json.dumps(answer[asked])))
    rest = [', "{}": {}'.format(key, json.dumps(answer[key])) for key in ("confident", "exact", "ms") if key in answer]
    hits.append("]" + "".join(rest) + "}")
    return hits


def _strict(text):
    """Text whose UTF-8 is valid: JSON's escaped surrogate pairs as their character, lone surrogates as U+FFFD.

    MicroPython keeps surrogates as they come. The host joins them, and what is echoed must be readable for every
    client.
    """
    if all(ord(character) < 0xD800 for character in text):
        return text
    joined, high = [], 0
    for character in text:
        code = ord(character)
        if high and 0xDC00 <= code < 0xE000:
            joined[-1] = chr(0x10000 + (high - 0xD800 << 10) + code - 0xDC00)
            high = 0
            continue
        high = code if 0xD800 <= code < 0xDC00 else 0
        joined.append("\ufffd" if 0xD800 <= code < 0xE000 or code > 0x10FFFF else character)
    return "".join(joined)


def _sentence(error):
    if isinstance(error, MemoryError):
        return messages.OUT_OF_MEMORY
    return str(error) if isinstance(error, Error) else "{}: {}".format(type(error).__name__, error)
