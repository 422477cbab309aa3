"""A run's metrics as TensorBoard's event files, written here: TensorBoard itself is only needed to look at them.

Formats: TFRecord (length, its checksum, data, its checksum; the checksum is CRC-32C of RFC 3720, turned and shifted) around
tensorflow/core/util/event.proto. TensorBoard's own writer takes 60 µs for each point; here all points of a metric are encoded
together, as rows of one table.
"""

import io
import struct
import zipfile

import numpy as np

from core.takeaway.parts import Subject

FIRST = b"brain.Event:2"  # the format's version, in a file's first event
POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
MASK_SHIFT = 0xA282EAD8
NAME = "events.out.tfevents.{:010d}.torch-playground"


def event_zip(subject: Subject) -> bytes:
    """A zip with one folder for the run: unpack it and start `tensorboard --logdir` on where it lies."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{subject.run.id}/{NAME.format(int(subject.run.created))}", event_file(subject))
    return file.getvalue()


def event_file(subject: Subject) -> bytes:
    """Every metric of a run as scalars."""
    run = subject.run
    began, took = run.started or run.created, run.seconds or 0.0
    parts = [_records(np.frombuffer(_field(1, 1, struct.pack("<d", began)) + _field(3, 2, FIRST), np.uint8)[None])[0].tobytes()]
    for name, (steps, values) in sorted(subject.store.metrics(run.id).series.items()):
        at, what = np.array(steps, np.int64), np.array(values, np.float64)
        # when each point was recorded is not kept: spread over the seconds of training
        times = began + took * at / max(run.step, 1)
        parts.append(scalars(name, times, at, what))
    return b"".join(parts)


def scalars(tag: str, times: np.ndarray, steps: np.ndarray, values: np.ndarray) -> bytes:
    """Records of one metric: (n,) seconds since 1970, (n,) steps from 0 on, (n,) values, which event files keep as float32."""
    digits = np.maximum(1, -(-np.ceil(np.log2(steps.astype(np.float64) + 1)).astype(np.int64) // 7))
    found: list[tuple[int, bytes]] = []
    for length in np.unique(digits).tolist():  # steps of as many bytes make rows of one length
        rows = np.flatnonzero(digits == length)
        count = len(rows)
        step = np.stack([(steps[rows] >> 7 * place & 0x7F) | (0x80 if place < length - 1 else 0)
                         for place in range(length)], 1).astype(np.uint8)
        with np.errstate(over="ignore"):
            value = values[rows].astype("<f4").view(np.uint8).reshape(count, 4)
        name = tag.encode()
        inner = _varint(len(name))
        body = b"\x0a" + inner + name + b"\x15"  # Summary.Value: tag = 1, simple_value = 2
        outer = b"\x0a" + _varint(len(body) + 4) + body  # Summary: value = 1
        head = b"\x2a" + _varint(len(outer) + 4) + outer  # Event: summary = 5
        table = np.concatenate([
            np.full((count, 1), 0x09, np.uint8), times[rows].astype("<f8").view(np.uint8).reshape(count, 8),  # wall_time = 1
            np.full((count, 1), 0x10, np.uint8), step,  # step = 2
            np.broadcast_to(np.frombuffer(head, np.uint8), (count, len(head))), value], axis=1)
        found += zip(rows.tolist(), map(bytes, _records(table)), strict=True)
    return b"".join(record for _, record in sorted(found))


def _records(events: np.ndarray) -> np.ndarray:
    """Events (n, bytes) uint8 as TFRecords (n, bytes + 16) uint8."""
    count, size = events.shape
    length = np.broadcast_to(np.frombuffer(struct.pack("<Q", size), np.uint8), (count, 8))
    return np.concatenate([length, _checksums(length), events, _checksums(events)], axis=1)


def _checksums(rows: np.ndarray) -> np.ndarray:
    """(n, bytes) uint8 → (n, 4) uint8: each row's CRC-32C, masked as TFRecord has it."""
    state = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows.T:
        state = TABLE[(state ^ column) & 0xFF] ^ state >> 8
    state = state ^ np.uint32(0xFFFFFFFF)
    masked = (state >> 15 | state << 17) + np.uint32(MASK_SHIFT)  # uint32 wraps around
    return masked.astype("<u4").view(np.uint8).reshape(-1, 4)


def _table() -> np.ndarray:
    """What each byte does to the checksum, (256,) uint32."""
    found = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        found = np.where(found & 1, found >> 1 ^ np.uint32(POLYNOMIAL), found >> 1)
    return found


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _field(number: int, wire: int, content: bytes) -> bytes:
    """A field of a protocol buffer, of wire type 1 (eight bytes) or 2 (with its length)."""
    return _varint(number << 3 | wire) + (_varint(len(content)) if wire == 2 else b"") + content


TABLE = _table()
