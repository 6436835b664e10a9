"""Servers on loopback: S3, the web, and a proxy through which either is reached badly."""

from __future__ import annotations

import http.client
import os
import random
import re
import socket
import struct
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

KEYS = {"AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}


class S3:
    """An S3 server in a thread of this process."""

    def __init__(self) -> None:
        server = pytest.importorskip("moto.server", reason="needs moto: pip install 'moto[s3]' flask flask-cors")
        self._server = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.address = "{}:{}".format(*self._server.get_host_and_port())
        options = {"scheme": "http", "region": "us-east-1", "allow_bucket_creation": True}
        self.filesystem = fs.S3FileSystem(
            access_key="loopback", secret_key="secret", endpoint_override=self.address, **options
        )

    def put(self, folder: Path, bucket: str) -> None:
        """Copy a folder's files into a new bucket."""
        self.filesystem.create_dir(bucket)
        fs.copy_files(str(folder), bucket, fs.LocalFileSystem(), self.filesystem)

    def uri(self, path: str, address: str = "") -> str:
        """Where a path is, for those who know of this server."""
        return f"s3://{path}?endpoint_override={address or self.address}&scheme=http"

    @contextmanager
    def strict(self) -> Iterator[None]:
        """Access keys are checked, and there are none."""
        self._check_after("0")
        try:
            yield
        finally:
            self._check_after("inf")

    def _check_after(self, requests: str) -> None:
        url = f"http://{self.address}/moto-api/reset-auth"
        call = urllib.request.Request(url, requests.encode(), {"Content-Type": "text/plain"})
        urllib.request.urlopen(call, timeout=10).close()

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in KEYS.items():
            patch.setenv(name, value)
        server = S3()
        yield server
        server.stop()


class Served:
    """A server in a thread of its own, on a free port."""

    def __init__(self, handle: Any) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                handle(self)

            do_HEAD = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # the other side hung up

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Proxy(Served):
    """Hands requests on to a server, and spoils a share of them, by a seed."""

    def __init__(self, target: str, share: float, seed: int = 0) -> None:
        self.target, self.share = target, share
        self.requests: list[str] = []
        self.faults: Counter[str] = Counter()
        self.dead_after = 1 << 60  # requests after which every one is reset
        self._random, self._lock = random.Random(seed), threading.Lock()
        super().__init__(self._handle)

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.requests.append(f"{request.command} {request.path}")
            dead = len(self.requests) > self.dead_after
            kinds = ["500", "503", "reset", "cut", "delay"]
            fault = self._random.choice(kinds) if self._random.random() < self.share else ""
            fault = "reset" if dead else fault
            self.faults[fault] += 1
        if fault in ("500", "503"):
            request.send_response(int(fault))
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if fault == "reset":
            return self._reset(request)
        if fault == "delay":
            time.sleep(0.2)
        behind = http.client.HTTPConnection(self.target, timeout=30)
        behind.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            behind.putheader(name, value)
        behind.endheaders()
        answer = behind.getresponse()
        body = answer.read()
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                request.send_header(name, value)
        request.send_header("Content-Length", answer.headers.get("Content-Length") or str(len(body)))
        request.end_headers()
        behind.close()
        if fault == "cut":
            request.wfile.write(body[: len(body) // 2])
            return self._reset(request)
        request.wfile.write(body)

    def _reset(self, request: BaseHTTPRequestHandler) -> None:
        request.wfile.flush()
        # Closing a socket that must not linger resets the connection.
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.close_connection = True
        request.connection.close()


class Web(Served):
    """Serves a folder: files, ranges of files, and a page of links for each folder, as web servers do."""

    def __init__(self, folder: Path, ranges: bool = True) -> None:
        self.folder, self.ranges = folder, ranges
        super().__init__(self._handle)

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        path = self.folder / request.path.partition("?")[0].strip("/")
        if path.name == "secret.parquet":
            return self._answer(request, 403)
        if path.is_dir():
            names = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in path.iterdir()]
            links = [f'<a href="{name}">{name}</a>' for name in names]
            page = f'<a href="../">up</a> <a href="?C=N;O=D">name</a> {" ".join(links)}'
            return self._answer(request, 200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})
        if not path.is_file():
            return self._answer(request, 404)
        body = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if wanted and self.ranges:
            first, last = int(wanted[1]), min(int(wanted[2]), len(body) - 1)
            return self._answer(
                request, 206, body[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
            )
        return self._answer(request, 200, body)

    def _answer(
        self, request: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)
