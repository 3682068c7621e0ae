import gzip
import zlib

import numpy as np
import pytest

from delineate.io.compressed import BrokenGzipError, deflate, inflate, inflate_start

DATA = np.random.default_rng(0).integers(0, 40, 300_000).astype(np.int16).tobytes()


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_decompression_gives_the_same_bytes_as_zlib(level):
    packed = gzip.compress(DATA, level)
    assert inflate(packed).data == zlib.decompress(packed, 31) == DATA
    assert inflate(packed).complete


def test_what_is_compressed_here_zlib_can_read():
    assert zlib.decompress(deflate(DATA), 31) == DATA
    assert len(deflate(DATA)) < 1.2 * len(gzip.compress(DATA, 6))


def test_several_members_and_padding_are_read_as_one():
    packed = gzip.compress(DATA) + gzip.compress(DATA[:100]) + bytes(512)
    assert inflate(packed).data == DATA + DATA[:100]
    assert inflate(packed).complete


def test_a_stream_cut_anywhere_is_incomplete():
    packed = gzip.compress(DATA[:5000])
    for length in range(0, len(packed), 11):
        assert not inflate(packed[:length]).complete


def test_a_wrong_checksum_and_rubbish_after_the_stream_are_errors():
    packed = bytearray(gzip.compress(DATA))
    with pytest.raises(BrokenGzipError):
        inflate(bytes(packed) + b"rubbish after the end")
    packed[-7] ^= 1
    with pytest.raises(BrokenGzipError):
        inflate(bytes(packed))


def test_the_start_needs_only_the_first_bytes():
    packed = gzip.compress(DATA)
    assert inflate_start(packed[:16384], 540) == DATA[:540]
