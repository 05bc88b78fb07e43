"""Load test of a served model with 1, 8 and 32 clients; REST, loopback.

    python scripts/load_test.py --pictures='photos/*.jpg' \
        --model=flowers --address=http://127.0.0.1:8501

Each client keeps one connection and sends its next picture when it has the
answer to the last one; after status 503 it waits and tries again. Prints a
table. Bounded: `--requests` for each number of clients; the server must be on
this machine. Needs only Python, and works with TensorFlow Serving too.
"""

import argparse
import base64
import concurrent.futures
import glob
import http.client
import itertools
import json
import pathlib
import statistics
import sys
import threading
import time
import urllib.parse

_HERE = ("127.0.0.1", "localhost", "::1")


class Client:
    """One connection, with the durations of its requests."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=60)
        self._path = path
        self.seconds: list[float] = []
        self.refused_options = 0

    def send(self, body: bytes) -> None:
        """Sends a request until it is answered; records the whole duration."""
        start = time.perf_counter()
        while True:
            self._connection.request("POST", self._path, body)
            response = self._connection.getresponse()
            content = response.read()
            if response.status != 503:
                break
            self.refused_options += 1
            time.sleep(float(response.headers.get("Retry-After", "1")))
        if response.status != 200:
            sys.exit(f"Error: status {response.status}: {content[:300]!r}")
        self.seconds.append(time.perf_counter() - start)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


def measure(
    address: urllib.parse.SplitResult,
    path: str,
    bodies: list[bytes],
    *,
    clients: int,
    requests: int,
) -> dict[str, float]:
    """Measures requests per second and milliseconds per request.

    Args:
        address: Of the server.
        path: Of the model.
        bodies: Requests, sent in turn.
        clients: How many send at the same time.
        requests: How many are sent, all clients together.
    """
    turn = itertools.cycle(bodies)
    left = iter(range(requests))
    lock = threading.Lock()
    crowd = [
        Client(address.hostname, address.port, path) for _ in range(clients)
    ]

    def work(client: Client) -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
                body = next(turn)
            client.send(body)

    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, crowd))
    wall = time.perf_counter() - start
    for client in crowd:
        client.close()
    times = sorted(itertools.chain(*(client.seconds for client in crowd)))
    return {
        "rate": len(times) / wall,
        "p50": 1000 * statistics.median(times),
        "p99": 1000 * times[min(len(times) - 1, int(0.99 * len(times)))],
        "refused": sum(client.refused_options for client in crowd),
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pictures", required=True, help="a glob pattern")
    parser.add_argument("--address", default="http://127.0.0.1:8501")
    parser.add_argument(
        "--model", required=True, help="its name, as the server prints it"
    )
    parser.add_argument("--clients", default="1,8,32")
    parser.add_argument("--requests", type=int, default=400, help="per row")
    arguments = parser.parse_args()
    address = urllib.parse.urlsplit(arguments.address)
    if address.hostname not in _HERE:
        sys.exit(f"Error: --address must be this machine: {', '.join(_HERE)}.")
    paths = sorted(glob.glob(arguments.pictures, recursive=True))[:64]
    if not paths:
        sys.exit(f"Error: no picture matches {arguments.pictures}.")
    bodies = [_build_body(pathlib.Path(path).read_bytes()) for path in paths]
    path = f"/v1/models/{arguments.model}:predict"
    # Warm-up, not counted: the first call of each batch size is slower.
    for clients in map(int, arguments.clients.split(",")):
        measure(address, path, bodies, clients=clients, requests=4 * clients)
    print("| clients | requests/s | p50, ms | p99, ms | told to wait |")
    print("|---|---|---|---|---|")
    for clients in map(int, arguments.clients.split(",")):
        found = measure(
            address, path, bodies, clients=clients,
            requests=arguments.requests,
        )  # fmt: skip
        print(
            f"| {clients} | {found['rate']:.0f} | {found['p50']:.1f} | "
            f"{found['p99']:.1f} | {found['refused']} |",
            flush=True,
        )


def _build_body(picture: bytes) -> bytes:
    content = base64.b64encode(picture).decode()
    return json.dumps({"instances": [{"b64": content}]}).encode()


if __name__ == "__main__":
    main()
