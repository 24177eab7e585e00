"""A board's raw REPL for MicroPython's unix port, which has none: enough for mpremote. Runs there, on its standard input."""

import sys

ENTER, END, PASTE, WINDOW = b"\x01", b"\x04", b"\x05", b"\x00\x40"
BANNER = b"raw REPL; CTRL-B to exit\r\n>"


def until_end():
    code = b""
    while True:
        byte = sys.stdin.buffer.read(1)
        if byte == END:
            return code
        code += byte
        if len(code) % 0x4000 == 0:
            say(ENTER)  # as much again may come


def say(data):
    sys.stdout.buffer.write(data)


def run(code, names):
    error = b""
    try:
        exec(code, names)
    except Exception as trouble:
        import io

        text = io.StringIO()
        sys.print_exception(trouble, text)
        error = text.getvalue().encode()
    say(END + error + END + b">")


def serve():
    names = {}
    while byte := sys.stdin.buffer.read(1):
        if byte == ENTER:
            say(BANNER)
        elif byte == END:
            names = {}
            say(b"OK\r\nMPY: soft reboot\r\n" + BANNER)
        elif byte == PASTE:
            sys.stdin.buffer.read(2)
            say(b"R\x01" + WINDOW)
            code = until_end()
            say(END)
            run(code, names)


serve()
