"""What the drivers in Python have in common: requests as JSON lines on standard input, an answer each on standard output.

The package clients, in Go, describes the requests.
"""

import json
import sys
import time

LIMIT = 60  # seconds; ends an operation that hangs, and is far above what any of them takes


class Unsupported(Exception):
    """The client has no way to carry the request out; the text says why."""


class Failed(Exception):
    """The client got an error of Kafka's, with its code."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def each(r):
    """The records that a request asks to produce: number, key, value, headers, milliseconds."""
    for i in range(r["first"], r["first"] + r["count"]):
        value = "%s-%d" % (r["codec"], i)
        yield i, b"k%d" % i, value.ljust(r["size"], ".").encode(), [("i", b"%d" % i)], r["time"] + i


def read(offset, millis, key, value, headers):
    """A record as it was read."""
    header = headers[0][1] if headers and len(headers) == 1 and headers[0][0] == "i" else b""
    return {"o": offset, "t": millis, "k": key.decode(), "v": value.decode().rstrip("."), "n": len(value), "h": header.decode()}


def tell(i, offset):
    """Prints the acknowledgement of a record of a stream."""
    print(json.dumps({"acked": i, "offset": offset}), flush=True)


class Guard:
    """Ends a loop that waits for what never comes."""

    def __init__(self):
        self.end = time.monotonic() + LIMIT

    def left(self):
        left = self.end - time.monotonic()
        if left <= 0:
            raise Failed(0, "nothing came for %d s" % LIMIT)
        return left


def serve(operations, code):
    """Answers requests until the input ends. code finds Kafka's error code in a client's exception, 0 if it has none."""
    for line in sys.stdin:
        r = json.loads(line)
        try:
            answer = operations[r["op"]](r) or {}
            answer["ok"] = True
        except Unsupported as e:
            answer = {"unsupported": str(e)}
        except Exception as e:  # whatever a client throws is an answer
            answer = {"error": "%s: %s" % (type(e).__name__, e), "code": e.code if isinstance(e, Failed) else code(e)}
        print(json.dumps(answer), flush=True)
