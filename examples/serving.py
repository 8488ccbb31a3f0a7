"""Serving: a saved learner behind HTTP.

Training and answering are apart in most systems. Here a learner is saved to a folder of plain files
(safetensors and JSON), loaded where nothing is learned, frozen, and asked by eight clients at once
over HTTP. A request may name its task or not. Run it: `python examples/serving.py`.
"""

# %%
# Something to serve: three tasks of scikit-learn's digits.
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import Request, urlopen

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner

TASKS = {"0 to 3": (0, 1, 2, 3), "4 to 6": (4, 5, 6), "7 to 9": (7, 8, 9)}
x, y = load_digits(return_X_y=True)
x = (x / 16).astype(np.float32)
new = np.arange(len(y)) % 4 == 0  # not learned from
learner = ContinualLearner(
    nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 4)), iterations=300, lr=3e-3
)
for name, classes in TASKS.items():
    rows = np.isin(y, classes) & ~new
    learner.fit(x[rows], y[rows], task=name)

# %%
# The other machine has the model's code and the folder.
with tempfile.TemporaryDirectory() as folder:
    learner.save(f"{folder}/digits")
    model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 4))
    serving = ContinualLearner.load(f"{folder}/digits", model).freeze()


class Answers(BaseHTTPRequestHandler):
    """A list of images in, their labels out; any number of threads may ask at once."""

    def do_POST(self):
        """Answer."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = serving.predict(np.array(asked["images"], np.float32), asked["task"]).tolist()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_):
        """Say nothing."""


def ask(image, task=None):
    """A label from the server, and milliseconds."""
    start, content = time.perf_counter(), {"images": [image.tolist()], "task": task}
    with urlopen(Request(address, json.dumps(content).encode())) as answer:
        return json.loads(answer.read())[0], 1000 * (time.perf_counter() - start)


# %%
# 200 requests by eight clients, on a port of this machine that is free.
with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server, ThreadPoolExecutor(8) as clients:
    address = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    told, times = map(np.array, zip(*clients.map(ask, x[new][:200]), strict=True))
    server.shutdown()
print("as the learner answers:", bool((told == learner.predict(x[new][:200])).all()))
print(f"right: {(told == y[new][:200]).mean():.3f}; the median took {np.median(times):.1f} ms")
plt.hist(times, 40, range=(0, np.quantile(times, 0.98)))
plt.xlabel("milliseconds to an answer, eight clients at once")
plt.ylabel("requests")
plt.show()
