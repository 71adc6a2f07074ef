"""Says what a test wants to find in the log: text, JSON, bytes that are no text, a flood."""

import os
import sys
import time

out = sys.stdout.buffer
out.write(b"plain words\n")
out.write(b'{"severity": "error", "trace_id": "t-1", "msg": "it broke", "http": {"status": 503}}\n')
out.write(b"bad \xff\x00 bytes\n")
out.flush()
sys.stderr.write("to stderr\n")
sys.stderr.flush()
flood = int(os.environ.get("FLOOD_MB", "0"))
if flood:
    began = time.monotonic()
    block = (b"x" * 999 + b"\n") * 1000
    for _ in range(flood):
        out.write(block)
    out.write(b"y" * 2_000_000)  # and one line that does not end
    out.write(f"\nflooded in {time.monotonic() - began:.1f} s\n".encode())
    out.flush()
while True:
    time.sleep(1000)
