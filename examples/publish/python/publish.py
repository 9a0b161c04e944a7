"""Publishes one event: python3 publish.py "hello". Nothing but the standard library."""

import json
import os
import sys
from urllib.request import Request, urlopen

hub = os.environ.get("HUB", "http://localhost:3000")
event = {"topic": "news", "data": sys.argv[1] if len(sys.argv) > 1 else "hello from Python"}

request = Request(
    f"{hub}/events",
    data=json.dumps(event).encode(),
    headers={"Content-Type": "application/json"},
)
with urlopen(request, timeout=10) as response:  # raises HTTPError if the hub refuses
    print(json.load(response)["id"])
