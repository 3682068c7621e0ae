"""The service as a process of its own."""

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import nibabel
import numpy as np
import pytest
from thresholds import ids, levels, model, save

pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
pytest.importorskip("python_multipart", reason="the extra 'serve' is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx

from delineate.errors import ConfigError, MissingExtra
from delineate.serve import Service, require_packages, serve
from delineate.serve.start import is_loopback

CODE = """
from delineate.serve import Limits, Service, serve
from thresholds import model
service = Service(predictor=model(), name="demo.zip", limits=Limits(max_bytes=10_000_000))
serve(service, host="{host}", port=0)
"""


@pytest.fixture
def start(tmp_path):
    running = []

    def begin(host):
        (tmp_path / "disk").mkdir()
        env = os.environ | {
            "TMPDIR": str(tmp_path / "disk"),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]),
        }
        command = [sys.executable, "-c", CODE.format(host=host)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def first_lines(process, pattern):
    told = ""
    while (found := re.search(pattern, told)) is None:
        line = process.stderr.readline()
        assert line, told
        told += line
    return told, found


@pytest.mark.slow
def test_a_started_service_predicts_and_ends_without_a_trace(start, tmp_path):
    process = start("127.0.0.1")
    told, found = first_lines(process, r"demo\.zip on (http://127\.0\.0\.1:\d+) \(cpu\)")
    assert "WARNING" not in told
    image = levels((9, 8, 10))
    scan = save(tmp_path / "DOE.nii.gz", image).read_bytes()
    with httpx.Client(base_url=found[1], timeout=60) as client:
        assert client.get("/health").json()["status"] == "ok"
        answer = client.post("/predict", files={"image": ("DOE.nii.gz", scan)})
        mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.content))
        np.testing.assert_array_equal(mask.dataobj, ids(image))

        def pieces():
            yield b"--x\r\nContent-Disposition: form-data; name=image\r\n\r\n"
            yield from (bytes(1 << 20) for _ in range(30))

        # Refused on the way: the connection may close before the answer is read.
        kind = {"content-type": "multipart/form-data; boundary=x"}
        with suppress(httpx.TransportError):
            assert client.post("/predict", content=pieces(), headers=kind).status_code == 413
        assert client.get("/health").json()["jobs"]["arriving"] == 0
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert list((tmp_path / "disk").glob("delineate-*")) == []
    assert "POST /predict 200" in log
    assert "POST /predict 413" in log
    assert "DOE" not in log


@pytest.mark.slow
def test_whoever_opens_the_service_to_the_network_is_warned(start):
    told, _ = first_lines(start("0.0.0.0"), r"demo\.zip on http://0\.0\.0\.0:\d+")
    assert "there is no log-in and no encryption" in told


def test_a_port_that_is_taken_is_a_message():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"--host 127.0.0.1 --port {port}: Address already"):
            serve(Service(predictor=model(), name="demo"), host="127.0.0.1", port=port)


def test_without_its_packages_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r'pip install "delineate\[serve\]"'):
        require_packages()


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.4", False), ("ward-7", False)],
)  # fmt: skip
def test_only_addresses_of_the_machine_itself_are_local(host, local):
    assert is_loopback(host) is local
