"""Whether a server answers in its own protocol. No client library needed."""

import json
import socket
import struct
import subprocess


def _ask(port, question, enough):
    """Sends and reads until `enough(answer)` or the connection's end; b"" when there is no connection."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(question)
            while not enough(answer):
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
    except OSError:
        pass
    return answer


def redis(port):
    return _ask(port, b"PING\r\n", lambda answer: answer.endswith(b"\r\n")) == b"+PONG\r\n"


def nats(port):
    """Says PONG and has JetStream on."""
    question = b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n'
    answer = _ask(port, question, lambda answer: b"PONG\r\n" in answer or b"-ERR" in answer)
    if b"PONG\r\n" not in answer or not answer.startswith(b"INFO "):
        return False
    return json.loads(answer[5 : answer.index(b"\r\n")]).get("jetstream", False)


def mongodb(port):
    """Answers `hello` (an OP_MSG with one BSON document) as a primary or a standalone server."""
    fields = b"\x10hello\0" + struct.pack("<i", 1) + b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0"
    document = struct.pack("<i", len(fields) + 5) + fields + b"\0"
    body = struct.pack("<I", 0) + b"\0" + document
    question = struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body

    def enough(answer):
        return len(answer) >= 4 and len(answer) >= struct.unpack_from("<i", answer)[0]

    return b"\x08isWritablePrimary\0\x01" in _ask(port, question, enough)


def smtp(port):
    """Greets."""
    return _ask(port, b"QUIT\r\n", lambda answer: b"221 " in answer).startswith(b"220 ")


def postgres(pg_isready, port):
    command = [pg_isready, "--quiet", "--host", "127.0.0.1", "--port", str(port), "--timeout", "1"]
    return subprocess.run(command, capture_output=True).returncode == 0
