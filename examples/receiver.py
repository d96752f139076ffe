#!/usr/bin/env python3
"""A small webhook receiver: checks the signature when it knows the secret,
forgets repetitions, prints one line per event.

    python3 examples/receiver.py [PORT] [SECRET]

Port 0 takes a free one. The first line says where it listens.
"""

import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port = int(sys.argv[1]) if len(sys.argv) > 1 else 9090
secret = sys.argv[2].encode() if len(sys.argv) > 2 else None
seen = set()


def genuine(headers, body):
    """X-Webhook-Signature is over "<timestamp>.<body>": a captured delivery gets old."""
    if secret is None:
        return True
    timestamp = headers.get("X-Webhook-Timestamp", "")
    given = headers.get("X-Webhook-Signature", "")
    expected = "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return (
        hmac.compare_digest(given.encode(), expected.encode())
        and timestamp.isdigit()
        and abs(time.time() - int(timestamp)) < 300
    )


def line(event):
    data = event["data"]
    kind = event["event"]
    if kind == "session.status":
        return data["status"]
    if kind == "message.received":
        return f"from {data.get('pushName') or data['from']}: {data['body']}"
    if kind == "message.sent":
        return f"to {data['to']}: {data['body']}"
    if kind == "message.ack":
        return f"{data['messageId']} {data['ackName']}"
    return json.dumps(data)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not genuine(self.headers, body):
            self.answer(401)
            return
        given = json.loads(body)
        for event in given["events"] if given.get("batch") else [given]:
            # delivered at least once: the id makes it exactly once
            if event["id"] in seen:
                continue
            seen.add(event["id"])
            print(f"{event['event']:<17} {event['instanceName']}  {line(event)}", flush=True)
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
print(f"http://127.0.0.1:{server.server_port}/hook", flush=True)
server.serve_forever()
