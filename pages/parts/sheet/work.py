"""Read a sheet: what is known of the sheet that is looked at, from the file to the corrected labels."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import streamlit as st
import torch
from torch import Tensor

from core.data.drawing import Box, DrawingError
from core.data.drawing.as_kept import Preparation
from core.data.drawing.photograph import read_upload
from core.data.drawing.sheet import SHEET_LONGEST, find_sheet
from core.data.own.sheet import LabelledSheet
from core.evaluation.sheet_reading import FEWEST, Turn, seems_turned
from core.memory import trim_heap
from pages.parts.shell import keys

Ask = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Reader:
    """Who reads: a run's model.

    ask: images (N, C, H, W) to probabilities (N, K). unlike: images to (N,), above 1 where they are unlike its training data;
    None where that can't be known. how: marks are prepared for it; None as MNIST was made.
    """

    run_id: str
    classes: tuple[str, ...]
    ask: Ask
    unlike: Callable[[Tensor], Tensor] | None
    how: Preparation | None = None


@dataclass
class Work:
    """A sheet in work.

    digest: of the file. quarters: by how many times 90° it was turned, clockwise. run_id: whose answers. turn: how it seems to
    lie. strange: the share of marks that are unlike what the model learned from. seen: the canvas's last message that was taken,
    and edited: the time of the last correction. drawing: what the canvas begins with, {} to have it drawn anew: its
    version-th, and answered: which the last message was about. background: its JPEG. All for `view`, a part of the picture,
    `width` pixels wide.
    """

    digest: str
    quarters: int
    run_id: str
    labelled: LabelledSheet | None
    turn: Turn | None = None
    strange: float = 0.0
    problem: str = ""
    seen: str = ""
    edited: int = 0
    width: int = 0
    drawing: dict = field(default_factory=dict)
    version: int = 0
    answered: int = 0
    view: Box | None = None
    background: bytes = b""
    note: str = ""  # about the last message of the canvas
    saved: str = ""  # title of the data set it was kept as


def work_on(content: bytes, reader: Reader) -> Work:
    """What has been found on this file's sheet, with this model's answers; read only where it was not."""
    digest = hashlib.sha256(content).hexdigest()
    work: Work | None = st.session_state.get(keys.SHEET)
    if work is None or work.digest != digest:
        work = read(content, digest, 0, reader)
    elif work.labelled is not None and work.labelled.classes != reader.classes:
        work = read(content, digest, work.quarters, reader)  # its labels mean nothing to the other model
    elif work.run_id != reader.run_id:
        work.run_id = reader.run_id
        if work.labelled is not None:
            work.labelled = work.labelled.asked_again(reader.ask, reader.how)
            work.drawing = {}
    st.session_state[keys.SHEET] = work
    return work


def turn_by(content: bytes, quarters: int, reader: Reader) -> None:
    """Read the sheet again, turned; corrections are gone with the marks they were of."""
    work: Work = st.session_state[keys.SHEET]
    st.session_state[keys.SHEET] = read(content, work.digest, (work.quarters + quarters) % 4, reader)


def read(content: bytes, digest: str, quarters: int, reader: Reader) -> Work:
    """Find and read a sheet's marks; what can't be read becomes a line, not an error."""
    try:
        with st.spinner("Looking for marks…"):
            sheet = find_sheet(read_upload(content, SHEET_LONGEST), quarters)
            labelled = LabelledSheet.read(sheet, reader.classes, reader.ask, reader.how)
    except DrawingError as error:
        return Work(digest, quarters, reader.run_id, None, problem=str(error))
    finally:
        trim_heap()
    images = torch.stack([entry.image for entry in labelled.entries if entry.image is not None])
    strange = float((reader.unlike(images) > 1).float().mean()) if reader.unlike and len(images) >= FEWEST else 0.0
    return Work(digest, quarters, reader.run_id, labelled, seems_turned(images, reader.ask), strange)
