"""Reading prepared cases."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import numpy as np
import pytest

from delineate.data import Cache, prepare
from delineate.data.foreground import find_foreground, rows_of
from delineate.data.store import Facts, open_case, write_case
from delineate.errors import DataError
from delineate.plan.main_memory import MainMemory


def places_by_channel(table, sampled) -> dict[int, np.ndarray]:
    return {channel: table[slice(*rows_of(sampled, channel)), 1:] for channel in sampled}


BOXES = [((0, 0, 0), (3, 4, 5)), ((-3, 2, 8), (5, 20, 12)), ((10, 10, 8), (15, 12, 10))]


@pytest.fixture
def cache(plan, make_cases, tmp_path) -> Cache:
    return prepare(make_cases(3), plan, tmp_path / "cache")


@pytest.mark.parametrize("ram_gb", [0.0, 1.0])
@pytest.mark.parametrize(("start", "stop"), BOXES)
def test_a_box_is_a_part_of_the_whole_and_zero_over_the_border(cache, ram_gb, start, stop):
    cache = cache.with_ram(ram_gb)
    wide = [(8, 8)] * 3
    inside = tuple(slice(a + 8, b + 8) for a, b in zip(start, stop, strict=True))
    whole = np.pad(cache.read_image("case_1"), [(0, 0), *wide])
    np.testing.assert_array_equal(
        cache.read_image("case_1", start, stop), whole[(0, *inside)][None]
    )
    whole = np.pad(cache.read_mask("case_1"), wide)
    np.testing.assert_array_equal(cache.read_mask("case_1", start, stop), whole[inside])


def test_images_are_read_as_float32_and_writing_to_them_changes_nothing(cache):
    first = cache.read_image("case_0")
    assert first.dtype == np.float32
    kept = first.copy()
    first[...] = 7
    np.testing.assert_array_equal(cache.read_image("case_0"), kept)
    mask = cache.read_mask("case_0")
    mask[...] = 1
    assert not (cache.read_mask("case_0") == 1).all()


def test_memory_stays_within_its_budget(cache):
    size = cache.read_image("case_0").nbytes / 2
    small = cache.with_ram(2.5 * size / 1e9)
    for case in cache.cases:
        np.testing.assert_array_equal(small.read_image(case.id), cache.read_image(case.id))
    assert 0 < small._kept.nbytes <= 2.5 * size
    nothing = cache.with_ram(0.0)
    nothing.read_image("case_0")
    assert not nothing._kept.nbytes


def test_many_threads_read_the_same(cache):
    expected = {c.id: cache.read_image(c.id) for c in cache.cases}
    for ram_gb in (0.0, 5e-6, 1.0):
        shared = cache.with_ram(ram_gb)
        with ThreadPoolExecutor(8) as pool:
            ids = [c.id for c in cache.cases] * 20
            for case, found in zip(ids, pool.map(shared.read_image, ids), strict=True):
                np.testing.assert_array_equal(found, expected[case])
        held = sum(a.nbytes for a in shared._kept._arrays.values())
        assert shared._kept.nbytes == held


def test_a_pickled_copy_starts_with_empty_memory_and_reads_the_same(cache):
    cache.read_image("case_0")
    data = pickle.dumps(cache)
    copy = pickle.loads(data)
    assert not copy._kept.nbytes
    assert copy.ram_gb == cache.ram_gb
    np.testing.assert_array_equal(copy.read_image("case_0"), cache.read_image("case_0"))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (lambda data: data[:-1], "its end is missing"),
        (lambda data: b"x" + data[1:], "it is no prepared case"),
        (lambda data: data[:20], "Expecting|Unterminated|delimiter"),
    ],
)
def test_a_broken_file_says_what_to_delete(cache, broken, reason):
    file = next(cache.folder.glob("case_0-*.case"))
    file.write_bytes(broken(file.read_bytes()))
    with pytest.raises(
        DataError, match=rf"^{file} cannot be read \(.*({reason}).*\)\. Fix: delete it; the case is"
    ):
        Cache(cache.folder, cache.cases[:1], {"case_0": file}, ram_gb=1.0)


def test_a_chunk_that_cannot_be_unpacked_is_an_error_not_noise(cache):
    file = next(cache.folder.glob("case_0-*.case"))
    data = bytearray(file.read_bytes())
    begin = cache._stored["case_0"].arrays["image"].offsets[0]
    data[begin : begin + 16] = bytes(16)
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"case cannot be read \(.*Fix: delete it"):
        cache.read_image("case_0")


@pytest.mark.parametrize("shape", [(1, 70, 81, 33), (3, 300, 250), (2, 190, 9, 200), (5000, 4)])
def test_any_slice_of_a_stored_array_is_that_of_the_array(tmp_path, shape):
    rng = np.random.default_rng(0)
    array = rng.normal(size=shape).astype(np.float16)
    facts = Facts(shape=shape[1:], labelled=False, counts={}, sampled={})
    write_case(tmp_path / "a.case", [("mask", array[..., :3]), ("image", array)], facts)
    opened = open_case(tmp_path / "a.case")
    stored = opened.arrays["image"]
    assert opened.facts == facts
    assert np.prod(stored.chunk) <= 2 * shape[0] * 32768
    np.testing.assert_array_equal(stored[...,], array)
    for _ in range(30):
        ends = [np.sort(rng.integers(0, n + 1, 2)) for n in shape[1:]]
        index = (..., *(slice(int(a), int(b)) for a, b in ends))
        np.testing.assert_array_equal(stored[index], array[index])


def test_arrays_are_written_one_by_one_and_not_held(tmp_path):
    import tracemalloc

    def arrays():
        for number in range(50):
            yield f"distance_{number}", np.random.default_rng(number).normal(size=(40, 40, 40))

    facts = Facts(shape=(40, 40, 40), labelled=True, counts={}, sampled={})
    tracemalloc.start()
    write_case(tmp_path / "a.case", arrays(), facts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    stored = open_case(tmp_path / "a.case").arrays
    assert peak < 6 * stored["distance_0"].nbytes
    for name, array in arrays():
        np.testing.assert_array_equal(stored[name][...,], array)


def test_a_forecast_says_what_memory_is_needed_and_what_stays(cache):
    total = sum(a.nbytes for c in cache.cases for a in cache.arrays(c.id).values()) / 1e9
    assert cache.with_ram(1.0).forecast() == (
        f"3 cases take {total:.2g} GB unpacked; all of it stays in memory (budget 1 GB)"
    )
    assert cache.with_ram(total / 4).forecast() == (
        f"3 cases take {total:.2g} GB unpacked; 25% of it stays in memory, the rest is read for "
        f"each patch (budget {total / 4:.2g} GB)"
    )


def test_a_cache_may_keep_an_eighth_of_the_free_memory(cache, monkeypatch):
    kept = import_module("delineate.data.kept")
    monkeypatch.setattr(kept, "measure_memory", lambda: MainMemory(total=64.0, free=40.0))
    assert kept.default_ram_gb() == 5.0
    monkeypatch.setattr(kept, "measure_memory", lambda: None)
    assert kept.default_ram_gb() == 2.0


def test_a_file_that_has_gone_says_what_to_do(cache):
    next(cache.folder.glob("case_0-*.case")).unlink()
    with pytest.raises(DataError, match=r"case cannot be read \(.*No such file.*Fix: delete it"):
        cache.with_ram(0.0).read_image("case_0")


def test_an_unknown_case_is_named(cache):
    with pytest.raises(DataError, match=r"^case_9: no such case in "):
        cache.read_image("case_9")


def test_the_foreground_of_a_large_structure_is_a_seeded_sample():
    mask = np.zeros((40, 40, 40), np.int8)
    mask[:30] = 1
    mask[35, 1:3, 4] = 3
    mask[0, 0, 0] = -1
    table, counts, sampled = find_foreground(mask, overlapping=False, case="a")
    assert counts == {1: 30 * 1600 - 1, 3: 2}
    assert sampled == {1: 10_000, 3: 2}
    places = places_by_channel(table, sampled)
    assert len(np.unique(places[1], axis=0)) == 10_000
    assert (mask[tuple(places[1].T)] == 1).all()
    np.testing.assert_array_equal(places[3], [[35, 1, 4], [35, 2, 4]])
    # Even over the structure: the mean of 10,000 places in 0..29 is within 5 deviations of 14.5.
    assert abs(places[1][:, 0].mean() - 14.5) < 5 * 8.66 / 100
    again, *_ = find_foreground(mask, overlapping=False, case="a")
    other, *_ = find_foreground(mask, overlapping=False, case="b")
    np.testing.assert_array_equal(again, table)
    assert (other != table).any()


def test_a_piece_a_hundred_times_larger_is_drawn_ten_times_as_often():
    mask = np.zeros((60, 40, 40), np.int8)
    mask[0:20, 0:20, 0:20] = 1  # 8000 voxels
    mask[30:34, 30:34, 30:35] = 1  # 80 voxels
    mask[40, 5, 5] = mask[41, 6, 6] = 1  # two voxels that share a corner are one piece
    table, counts, sampled = find_foreground(mask, overlapping=False, case="a")
    assert counts == {1: 8082}
    places = places_by_channel(table, sampled)[1]
    assert (mask[tuple(places.T)] == 1).all()
    drawn = [
        np.sum((places[:, 0] >= a) & (places[:, 0] < b)) for a, b in [(0, 20), (30, 34), (40, 42)]
    ]
    due = np.sqrt([8000, 80, 2])
    np.testing.assert_allclose(drawn, 8082 * due / due.sum(), atol=1)
    # Within a piece no place is drawn twice more than another.
    repeats = np.unique(places[places[:, 0] >= 30], axis=0, return_counts=True)[1]
    assert len(repeats) == 82
    assert np.ptp(repeats[:80]) <= 1


def test_every_speck_can_be_drawn_beside_a_huge_structure():
    mask = np.zeros((60, 60, 60), np.int8)
    mask[:, :, :58] = 1
    mask[::4, ::4, 59] = 1
    table, _, sampled = find_foreground(mask, overlapping=False, case="a")
    places = places_by_channel(table, sampled)[1]
    assert len(np.unique(places[places[:, 2] == 59], axis=0)) == 225
    assert len(places) == pytest.approx(10_000, abs=113)


def test_overlapping_layers_have_their_own_foreground():
    layers = np.zeros((3, 5, 5), np.int8)
    layers[0, 1:3, 1] = 1
    layers[2, 1:3, 1:4] = 1
    table, counts, sampled = find_foreground(layers, overlapping=True, case="a")
    assert counts == {0: 2, 2: 6}
    for channel, places in places_by_channel(table, sampled).items():
        np.testing.assert_array_equal(places, np.argwhere(layers[channel]))
