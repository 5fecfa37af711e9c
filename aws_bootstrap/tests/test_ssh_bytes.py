"""The readers of what a box sends as bytes, cut anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_bootstrap.ssh_bytes import AfterMark, Errors, Frames, Lines, Prefixed
from aws_bootstrap.ssh_frame import CONNECTED, ENDED

CUTS = st.lists(st.integers(0, 400), max_size=6)


def feed(take: Callable[[bytes], object], data: bytes, cuts: list[int]) -> None:
    """Give the data in parts, then its end."""
    places = [0, *sorted(cuts), len(data)]
    for start, end in zip(places, places[1:], strict=False):
        if data[start:end]:
            take(data[start:end])
    take(b"")


@given(st.binary(max_size=200), CUTS)
def test_output_begins_after_its_mark(output, cuts):
    got = bytearray()
    feed(AfterMark(got.extend).take, b"Welcome!\nno end" + f"{CONNECTED}\r\n".encode() + output, cuts)
    assert bytes(got) == output


@given(st.binary(max_size=200), CUTS)
def test_lines_are_whole_and_nothing_is_lost(data, cuts):
    got: list[bytes] = []
    feed(Lines(got.append).take, data, cuts)
    assert b"".join(got) == data
    assert all(line.endswith(b"\n") for line in got[:-1])


def test_a_line_without_an_end_is_written_once_it_is_long():
    got: list[bytes] = []
    lines = Lines(got.append)
    lines.take(b"." * 65537)
    assert got == [b"." * 65537]


def test_each_line_has_the_name_of_its_box():
    got = bytearray()
    feed(Lines(Prefixed("aws-gpu1", got.extend).take).take, b"a\n\nend", [])
    assert bytes(got) == b"aws-gpu1: a\naws-gpu1: \naws-gpu1: end\n"


def test_names_of_boxes_are_a_column():
    got = bytearray()
    Prefixed("a", got.extend, 8).take(b"x\n")
    assert bytes(got) == b"a:        x\n"


@pytest.mark.parametrize("before", [b"", b"no end", b"line\n"])
def test_the_exit_code_is_taken_out_of_the_errors(before):
    got = bytearray()
    errors = Errors(got.extend)
    feed(Lines(errors.take).take, before + f"{ENDED} 42\n".encode(), [])
    assert (errors.exit_code, bytes(got)) == (42, before)


@given(st.binary(min_size=1, max_size=200), CUTS)
def test_frames_have_data_and_facts(data, cuts):
    got = bytearray()
    frames = Frames(got.extend)
    sent = json.dumps({"id": "1", "offset": 7}).encode() + b"\n"
    sent += json.dumps({"size": len(data)}).encode() + b"\n" + data + b'{"end": null}\n'
    feed(frames.take, sent, cuts)
    assert bytes(got) == data
    assert frames.known == {"id": "1", "offset": 7, "end": None}
    assert frames.offset == 7 + len(data)


def test_half_a_frame_is_counted_and_then_forgotten():
    got = bytearray()
    frames = Frames(got.extend)
    frames.take(b'{"id": "1", "offset": 0}\n{"size": 10}\nhalf')
    assert (frames.offset, bytes(got)) == (4, b"half")
    frames.forget()
    frames.take(b'{"id": "1", "offset": 4}\n{"size": 2}\n..{"end": null}\n')
    assert (frames.offset, bytes(got)) == (6, b"half..")


def test_what_is_no_frame_is_an_error():
    frames = Frames(bytes)
    with pytest.raises(ValueError, match="no frame"):
        frames.take(b"x" * (1024 * 1024 + 1))
