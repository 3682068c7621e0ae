"""The service as a client sees it."""

import asyncio
import gzip
import io
import json
import logging
import threading
import time
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor

import nibabel
import numpy as np
import pytest
import torch
from dicom_zips import series_of, slice_of, zipped
from PIL import Image
from thresholds import A, B, Threshold, flat_plan, ids, levels, model, plan, save
from torch import nn

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
pytest.importorskip("python_multipart", reason="the extra 'serve' is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from delineate.inference.model import Model
from delineate.serve import Limits, Service
from delineate.serve.app import make_app

with warnings.catch_warnings():
    # It works with httpx, and would rather have its successor.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

THICK = model(spacing=(1.0, 1.0, 2.0))
FLIPPED = np.array([[0, 0, -1.0, 5], [-1, 0, 0, 7], [0, 2, 0, 2], [0, 0, 0, 1]])


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """Where the service keeps what it is sent."""
    folder = tmp_path / "disk"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def ask(disk):
    """Starts a service; its client has every file gone when the test ends."""
    clients = []

    def start(predictor=None, **limits):
        hosts = limits.pop("hosts", None)
        service = Service(predictor=predictor or model(), name="demo", limits=Limits(**limits))
        client = TestClient(make_app(service, hosts=hosts))
        clients.append(client)
        return client.__enter__()

    yield start
    for client in clients:
        client.__exit__(None, None, None)
    assert list(disk.iterdir()) == []


def leftovers(disk):
    """Files of scans and masks on the disk; a folder that goes while it is read is one, too."""
    try:
        return [path for path in disk.rglob("*") if path.is_file()]
    except FileNotFoundError as error:
        return [error.filename]


def nifti(tmp_path, image, affine=None, name="x.nii.gz"):
    return save(tmp_path / name, image, affine).read_bytes()


def mask_of(response):
    assert response.status_code == 200, response.text
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(response.content))


def refused(response):
    told = response.json()
    assert set(told) == {"error", "fix"}
    return response.status_code, told["error"]


def test_a_mask_comes_back_in_the_scans_own_axes(ask, tmp_path, disk):
    image = levels((9, 14, 11))
    answer = ask(THICK).post("/predict", files={"image": nifti(tmp_path, image, FLIPPED)})
    found = mask_of(answer)
    np.testing.assert_array_equal(found.dataobj, ids(image))
    np.testing.assert_allclose(np.asarray(found.affine), FLIPPED)
    assert answer.headers["content-type"] == "application/gzip"
    assert leftovers(disk) == []


def test_volumes_are_voxels_times_their_size(ask, tmp_path, disk):
    image = levels((9, 14, 11))
    scan = nifti(tmp_path, image, FLIPPED)
    told = ask(THICK).post("/predict?format=json", files={"image": scan}).json()
    a, b = int((image == 1).sum()), int((image == 2).sum())
    assert told["classes"] == [
        {"name": "a", "id": A, "voxels": a, "ml": round(2 * a / 1000, 4)},
        {"name": "b", "id": B, "voxels": b, "ml": round(2 * b / 1000, 4)},
    ]
    assert (told["shape"], told["spacing_mm"], told["warnings"]) == ([9, 14, 11], [1, 2, 1], [])
    assert told["seconds"] >= 0
    assert leftovers(disk) == []


def test_a_zip_holds_both(ask, tmp_path):
    image = levels((8, 8, 8))
    answer = ask().post("/predict?format=zip", files={"image": nifti(tmp_path, image)})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == ["mask.nii.gz", "result.json"]
        mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(archive.read("mask.nii.gz")))
        facts = json.loads(archive.read("result.json"))
    np.testing.assert_array_equal(mask.dataobj, ids(image))
    assert facts["classes"][0]["voxels"] == (image == 1).sum()


@pytest.mark.parametrize("suffix", ["nii", "nrrd", "mha", "tif", "h5"])
def test_other_formats_hold_the_same_mask(ask, tmp_path, suffix):
    from delineate.io import read_mask

    image = levels((8, 9, 10))
    answer = ask().post(f"/predict?format={suffix}", files={"image": nifti(tmp_path, image)})
    assert answer.status_code == 200, answer.text
    path = tmp_path / f"mask.{suffix}"
    path.write_bytes(answer.content)
    found = read_mask(f"{path}::mask" if suffix == "h5" else path)
    assert sorted(np.unique(found.array)) == [0, A, B]


def test_uploads_at_once_give_the_masks_that_they_give_one_by_one(ask, tmp_path):
    client = ask(waiting=8)
    scans = [nifti(tmp_path, levels((9, 8, 10), seed), name=f"{seed}.nii.gz") for seed in range(8)]

    def predict(scan):
        return np.asarray(mask_of(client.post("/predict", files={"image": scan})).dataobj)

    alone = [predict(scan) for scan in scans]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(predict, scans))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({mask.tobytes() for mask in alone}) == 8


def test_channels_come_in_order_or_by_name(ask, tmp_path):
    client = ask(model(channels=("T1", "FLAIR")))
    t1, flair = (nifti(tmp_path, levels((8, 8, 8), seed)) for seed in (1, 2))
    ordered = mask_of(client.post("/predict", files=[("image", t1), ("image", flair)]))
    named = mask_of(client.post("/predict", files=[("FLAIR", flair), ("T1", t1)]))
    np.testing.assert_array_equal(ordered.dataobj, ids(levels((8, 8, 8), 1)))
    np.testing.assert_array_equal(named.dataobj, ordered.dataobj)
    told = refused(client.post("/predict", files=[("image", t1)]))
    assert told == (422, "the scan has 1 channel, but the model needs 2: T1, FLAIR.")
    told = refused(client.post("/predict", files=[("T1", t1), ("T2", flair)]))
    assert told[0] == 422
    assert "not the model's 2 channels: T1, FLAIR" in told[1]
    small = nifti(tmp_path, levels((8, 8, 7)))
    told = refused(client.post("/predict", files=[("T1", t1), ("FLAIR", small)]))
    assert told == (422, "the channels do not lie on one grid: 8x8x7 and 8x8x8 voxels.")


def test_a_picture_gives_a_picture(ask, tmp_path):
    network = Threshold()
    predictor = Model(networks=(network,), plan=flat_plan()).to("cpu")
    image = levels((20, 13)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "x.png")
    scan = (tmp_path / "x.png").read_bytes()
    client = ask(predictor)
    answer = client.post("/predict", files={"image": scan})
    found = np.asarray(Image.open(io.BytesIO(answer.content)))
    np.testing.assert_array_equal(found, ids(image))
    told = client.post("/predict?format=json", files={"image": scan}).json()
    assert told["classes"][0]["ml"] is None
    told = refused(client.post("/predict", files={"image": nifti(tmp_path, levels((8, 8, 8)))}))
    assert told == (422, "the image has 3 spatial axes, but the model is for 2.")


def test_a_zipped_series_gives_a_mask_or_a_dicom_seg_that_refers_to_it(ask, tmp_path):
    pydicom = pytest.importorskip("pydicom")
    voxels = levels((5, 8, 6))
    client, scan = ask(THICK), series_of(voxels)
    mask = mask_of(client.post("/predict", files={"image": scan}))
    # Stored (slice, row, column); the mask's file has columns, rows, slices as ITK does.
    np.testing.assert_array_equal(np.asarray(mask.dataobj), ids(voxels).transpose(2, 1, 0))
    np.testing.assert_allclose(np.asarray(mask.affine), np.diag([-1.0, -1, 2, 1]), atol=1e-6)
    answer = client.post("/predict?format=dcm", files={"image": scan})
    assert answer.headers["content-type"] == "application/dicom"
    segmentation = pydicom.dcmread(io.BytesIO(answer.content))
    assert segmentation.StudyInstanceUID == "1.2"
    assert [segment.SegmentLabel for segment in segmentation.SegmentSequence] == ["a", "b"]
    told = refused(
        client.post("/predict?format=dcm", files={"image": nifti(tmp_path, levels((8, 8, 8)))})
    )
    assert told[0] == 422
    assert "this scan is none" in told[1]


def test_of_two_series_in_a_zip_one_can_be_named(ask):
    one, two = levels((3, 8, 6), 1), levels((3, 8, 6), 2)
    files = {f"a{i}": slice_of(plane, index=i, series="1.2.3") for i, plane in enumerate(one)}
    files |= {f"b{i}": slice_of(plane, index=i, series="1.2.9") for i, plane in enumerate(two)}
    client, scan = ask(THICK), zipped(files)
    answer = client.post("/predict", files={"image": scan})
    assert refused(answer)[0] == 400
    assert answer.json()["error"].startswith("the zip: 2 series in one folder:")
    assert answer.json()["fix"] == "Name one: ?series=1.2.3"
    mask = mask_of(client.post("/predict?series=1.2.9", files={"image": scan}))
    np.testing.assert_array_equal(np.asarray(mask.dataobj), ids(two).transpose(2, 1, 0))
    told = refused(client.post("/predict?series=../../etc", files={"image": scan}))
    assert told == (422, "'series' is no SeriesInstanceUID.")


def test_a_dicom_file_that_claims_to_be_enormous_is_refused_unread(ask):
    many = slice_of(levels((8, 6)), index=0, NumberOfFrames=2**31 - 1)
    told = refused(ask().post("/predict", files={"image": many}))
    assert told == (413, "the scan, once unpacked, is larger than 2000 MB.")


def test_size_limits_hold_for_the_upload_and_for_what_it_unpacks_to(ask, tmp_path, disk):
    client = ask(max_bytes=100_000)
    large = nifti(tmp_path, levels((40, 40, 40)), name="x.nii")
    assert refused(client.post("/predict", files={"image": large})) == (
        413, "the upload is larger than 0.1 MB.",
    )  # fmt: skip
    packed = gzip.compress(large)
    assert len(packed) < 100_000
    told = refused(client.post("/predict", files={"image": packed}))
    assert told == (413, "the scan, once unpacked, is larger than 0.1 MB.")
    assert leftovers(disk) == []


def test_a_spacing_that_makes_a_scan_enormous_on_the_models_grid_is_refused(ask, tmp_path):
    scan = nifti(tmp_path, levels((8, 8, 8)), np.diag([500.0, 500, 500, 1]))
    told = refused(ask().post("/predict", files={"image": scan}))
    assert told[0] == 413
    assert told[1].startswith("the scan covers 4000x4000x4000 mm, 6.4e+10 voxels on the model's")


@pytest.mark.parametrize(
    ("scan", "status", "message"),
    [
        (b"hello", 415, "the upload is of no kind that is known here."),
        (gzip.compress(b"hello"), 415, "the upload is of no kind that is known here."),
        (b"\x1f\x8bhello" + bytes(30), 400, "the gzip stream is broken"),
        (zipped({"../../evil": b""}), 400, "the zip holds a name that leads out of the archive."),
        (b"NRRD0004\ndata file: /etc/passwd\n\n", 400, "it names another file."),
    ],
    ids=["text", "gzip of text", "broken gzip", "path that climbs out", "detached header"],
)
def test_what_is_no_scan_is_refused_with_its_reason(ask, scan, status, message):
    told = refused(ask().post("/predict", files={"image": scan}))
    assert told[0] == status
    assert message in told[1]


def test_a_truncated_scan_is_a_400_that_does_not_tell_where_it_lay(ask, tmp_path):
    scan = nifti(tmp_path, levels((8, 8, 8)), name="x.nii")[:-100]
    told = refused(ask().post("/predict", files={"image": scan}))
    assert told[0] == 400
    assert told[1].startswith("scan0.nii: truncated: ")
    assert str(tmp_path) not in told[1]


def test_errors_of_the_request_itself_have_the_same_form(ask, tmp_path):
    client = ask()
    assert refused(client.get("/nothing")) == (404, "not found.")
    assert refused(client.get("/predict")) == (405, "method not allowed.")
    told = refused(client.post("/predict?format=exe", files={"image": b"x"}))
    assert told[0] == 422
    assert told[1].startswith("'format' is wrong: ")
    assert refused(client.post("/predict", json={})) == (
        415, "the body is application/json, not multipart/form-data.",
    )  # fmt: skip
    assert refused(client.post("/predict", files={"image": b""}))[0] == 415


def test_the_model_and_its_health_are_told(ask):
    client = ask()
    told = client.get("/model").json()
    assert (told["channels"], told["spatial_axes"], told["card"]) == (["MR"], 3, "")
    assert [c["name"] for c in told["labels"]["classes"]] == ["a", "b"]
    assert told["notice"] == "Research software: not a medical device."
    told = client.get("/health").json()
    assert (told["status"], told["device"], told["jobs"]["waiting"]) == ("ok", "cpu", 0)
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/health", "/model", "/predict", "/jobs", "/jobs/{id}", "/jobs/{id}/mask"}


class Held(nn.Module):
    """Predicts background once it is let go."""

    def __init__(self):
        super().__init__()
        self.started, self.go = threading.Event(), threading.Event()

    def forward(self, image):
        self.started.set()
        assert self.go.wait(20)
        return torch.zeros(len(image), 3, *image.shape[2:])


def held():
    network = Held()
    return network, Model(networks=(network,), plan=plan())


def wait_for(client, place, state, seconds=10):
    end = time.monotonic() + seconds
    while (told := client.get(place).json())["state"] != state:
        assert time.monotonic() < end, told
        time.sleep(0.01)
    return told


def test_a_job_can_be_followed_fetched_and_deleted(ask, tmp_path, disk):
    network, predictor = held()
    client = ask(predictor)
    scan = nifti(tmp_path, levels((8, 8, 8)))
    first = client.post("/jobs", files={"image": scan})
    assert first.status_code == 202
    place = first.headers["location"]
    assert place == f"/jobs/{first.json()['id']}"
    assert network.started.wait(10)
    second = client.post("/jobs", files={"image": scan}).json()
    assert (second["state"], second["before"]) == ("waiting", 1)
    early = client.get(f"{place}/mask")
    assert refused(early) == (409, "the job is running.")
    assert early.headers["retry-after"] == "2"
    assert client.delete(f"/jobs/{second['id']}").status_code == 204
    network.go.set()
    told = wait_for(client, place, "done")
    assert [c["voxels"] for c in told["result"]["classes"]] == [0, 0]
    for _ in range(2):
        assert not np.asarray(mask_of(client.get(f"{place}/mask")).dataobj).any()
    assert [path.name for path in leftovers(disk)] == ["mask.nii.gz"]
    assert client.delete(place).status_code == 204
    assert refused(client.get(place)) == (404, "no such job.")
    assert leftovers(disk) == []


def test_a_job_that_fails_says_why(ask, tmp_path):
    client = ask()
    scan = nifti(tmp_path, levels((8, 8, 8)), name="x.nii")[:-9]
    place = client.post("/jobs", files={"image": scan}).headers["location"]
    told = wait_for(client, place, "failed")
    assert told["error"].startswith("scan0.nii: truncated")
    assert refused(client.get(f"{place}/mask"))[0] == 400


def test_a_full_service_refuses_with_the_time_to_come_back(ask, tmp_path):
    network, predictor = held()
    client = ask(predictor, waiting=1)
    scan = nifti(tmp_path, levels((8, 8, 8)))
    client.post("/jobs", files={"image": scan})
    assert network.started.wait(10)
    client.post("/jobs", files={"image": scan})
    answer = client.post("/predict", files={"image": scan})
    assert refused(answer) == (503, "the service is busy: all places (1) are taken.")
    assert int(answer.headers["retry-after"]) >= 1
    assert client.get("/health").status_code == 200
    network.go.set()


def test_who_waits_too_long_is_sent_to_the_jobs_and_its_scan_goes(ask, tmp_path, disk):
    network, predictor = held()
    client = ask(predictor, timeout_s=0.2)
    answer = client.post("/predict", files={"image": nifti(tmp_path, levels((8, 8, 8)))})
    assert refused(answer) == (503, "the mask takes longer than 0.2 s.")
    assert "/jobs" in answer.json()["fix"]
    network.go.set()
    end = time.monotonic() + 10
    while leftovers(disk):
        assert time.monotonic() < end
        time.sleep(0.01)


def call(app, *, body, disconnect_after):
    """POST /predict to the bare application; the client goes after so many messages."""
    sent = []
    pieces = [body[i : i + 100] for i in range(0, len(body), 100)][:disconnect_after]
    complete = disconnect_after * 100 >= len(body)

    async def receive():
        if pieces:
            piece = pieces.pop(0)
            return {
                "type": "http.request",
                "body": piece,
                "more_body": bool(pieces) or not complete,
            }
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict",
        "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
        "asgi": {"version": "3.0"}, "server": ("testserver", 80), "client": ("127.0.0.1", 1),
        "headers": [
            (b"host", b"testserver"),
            (b"content-type", b"multipart/form-data; boundary=xyz"),
        ],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent


@pytest.mark.parametrize("when", [1, 10**6])
def test_a_client_that_goes_leaves_nothing_behind(ask, tmp_path, disk, when):
    """In the middle of its upload, or while it waits for the mask."""
    network, predictor = held()
    client = ask(predictor)
    scan = nifti(tmp_path, levels((8, 8, 8)))
    body = b'--xyz\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    body += scan + b"\r\n--xyz--\r\n"
    sent = call(client.app, body=body, disconnect_after=when)
    assert [message["status"] for message in sent if "status" in message] == [499]
    network.go.set()
    end = time.monotonic() + 10
    while leftovers(disk):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert sum(client.get("/health").json()["jobs"].values()) == 0


def test_nothing_that_a_client_writes_reaches_the_log(ask, tmp_path, caplog):
    class Broken(nn.Module):
        def forward(self, image):
            raise RuntimeError("DOE^JANE")

    caplog.set_level(logging.DEBUG)
    client = ask(Model(networks=(Broken(),), plan=plan()))
    scan = nifti(tmp_path, levels((8, 8, 8)))
    upload = {"image": ("DOE^JANE.nii.gz", scan, "image/x-DOE")}
    assert refused(client.post("/predict", files=upload)) == (
        500, "the service failed on this scan.",
    )  # fmt: skip
    refused(client.post("/predict?format=DOE", files=upload))
    refused(client.post("/predict?series=DOE", files=upload))
    refused(client.post("/predict", files={"DOE": scan}))
    refused(client.post("/predict", files={"image": series_of(levels((3, 4, 5)))[:-9]}))
    refused(client.get("/DOE^JANE"))
    mine = "".join(r.getMessage() for r in caplog.records if r.name.startswith("delineate"))
    assert "POST /predict 500" in mine
    assert "GET (unknown path) 404" in mine
    assert "RuntimeError" in mine
    assert "DOE" not in mine


def test_the_id_of_a_job_is_not_logged_whole(ask, tmp_path, caplog):
    caplog.set_level(logging.INFO, "delineate.serve")
    client = ask()
    made = client.post("/jobs", files={"image": nifti(tmp_path, levels((8, 8, 8)))}).json()["id"]
    wait_for(client, f"/jobs/{made}", "done")
    client.delete(f"/jobs/{made}")
    assert made not in caplog.text
    assert f"DELETE /jobs/{made[:6]}... 204" in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8000"},
        {"host": "127.0.0.1", "origin": "https://evil.example"},
        {"host": "127.0.0.1", "origin": "null"},
        {"host": "[::1"},
    ],
)
def test_a_page_of_the_web_cannot_call_a_service_of_this_machine(ask, headers):
    client = ask(hosts={"127.0.0.1", "localhost"})
    told = refused(client.get("/health", headers=headers))
    assert told == (403, "this service answers to this machine alone.")
    for host in ("127.0.0.1:8000", "localhost"):
        assert client.get("/health", headers={"host": host}).status_code == 200
    origin = {"host": "localhost:8000", "origin": "http://localhost:3000"}
    assert client.get("/health", headers=origin).status_code == 200


def test_a_real_series_and_a_real_ct_get_the_masks_that_the_files_get(ask, real_data):
    from delineate.inference import predict_case
    from delineate.io.orient import to_source

    series = next(real_data.glob("dicom_series/ct_slices/**/IMG0001.dcm")).parent
    scan = zipped({file.name: file.read_bytes() for file in series.iterdir()})
    ct = real_data / "ct_many_organs" / "example_ct_sm.nii.gz"
    spacing = (8.0, 8.0, 8.0)
    bones = Model(networks=(Threshold(low=100, high=300),), plan=plan(spacing=spacing))
    client = ask(bones.to("cpu"))
    for path, upload in ((series, scan), (ct, ct.read_bytes())):
        mask = mask_of(client.post("/predict", files={"image": upload}))
        own = predict_case(bones, [path]).mask
        assert own.array.any()
        np.testing.assert_array_equal(np.asarray(mask.dataobj), to_source(own.array[0], own))
        np.testing.assert_allclose(np.asarray(mask.affine), own.source.affine, atol=1e-4)
