"""Reads messages with h11 for the fuzzing beside it: length-prefixed JSON in, length-prefixed JSON out, one case after the other.

Deliberately not here: what the program's own reader makes of the same bytes, and whether a difference matters.
"""

import json
import struct
import sys

import h11

EVENT_BYTES_MAX = 1 << 20


def text(value):
    return bytes(value).decode("latin-1")


def fields(headers):
    return [text(part) for pair in headers.raw_items() for part in pair]


def opened(start, event):
    return {
        "start": start,
        "headers": fields(event.headers),
        "body": "",
        "trailers": [],
        "isWhole": False,
        "left": -1,
    }


def read_message(connection, pieces, ended, messages):
    """Adds what one message, with the interim ones before it, is read as; returns whether it came to its end."""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if pieces:
                connection.receive_data(pieces.pop(0))
            elif ended:
                ended = False
                connection.receive_data(b"")
            else:
                return False
        elif isinstance(event, h11.Request):
            start = [text(event.method), text(event.target), text(event.http_version)]
            messages.append(opened(start, event))
        elif isinstance(event, (h11.InformationalResponse, h11.Response)):
            start = [text(event.http_version), str(event.status_code), text(event.reason)]
            messages.append(opened(start, event))
            messages[-1]["isWhole"] = isinstance(event, h11.InformationalResponse)
        elif isinstance(event, h11.Data):
            messages[-1]["body"] += text(event.data)
        elif isinstance(event, h11.EndOfMessage):
            rest = connection.trailing_data[0]
            messages[-1]["trailers"] = fields(event.headers)
            messages[-1]["isWhole"] = True
            messages[-1]["left"] = len(rest) + sum(len(piece) for piece in pieces)
            pieces[:] = [rest, *pieces] if rest else pieces
            return True
        else:
            return False


def read_case(case):
    pieces = [piece.encode("latin-1") for piece in case["pieces"]]
    messages = []
    try:
        if case["method"] is not None:
            connection = h11.Connection(h11.CLIENT, EVENT_BYTES_MAX)
            connection.send(h11.Request(method=case["method"], target="/", headers=[("Host", "a")]))
            connection.send(h11.EndOfMessage())
            read_message(connection, pieces, case["isEnded"], messages)
            return {"messages": messages}
        while pieces:
            connection = h11.Connection(h11.SERVER, EVENT_BYTES_MAX)
            if not read_message(connection, pieces, case["isEnded"], messages):
                break
            if connection.their_state is h11.MUST_CLOSE or messages[-1]["start"][0] == "CONNECT":
                break
        return {"messages": messages}
    except h11.RemoteProtocolError as error:
        return {"messages": messages, "refused": str(error)}
    except Exception as error:  # a fault of the reader itself says nothing about the bytes
        return {"messages": messages, "refused": f"fault: {error!r}"}


def main():
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        prefix = source.read(4)
        if len(prefix) < 4:
            return
        case = json.loads(source.read(struct.unpack(">I", prefix)[0]))
        answer = json.dumps(read_case(case)).encode("ascii")
        sink.write(struct.pack(">I", len(answer)) + answer)
        sink.flush()


main()
