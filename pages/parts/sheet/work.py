"""Read a sheet: what is known of the sheet that is looked at, from the file to the corrected labels."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import streamlit as st
import torch
from torch import Tensor

from core.data.drawing import Box, DrawingError
from core.data.drawing.photograph import read_upload
from core.data.drawing.sheet import SHEET_LONGEST, find_sheet
from core.data.own.sheet import LabelledSheet
from core.evaluation.sheet_reading import Turn, seems_turned
from core.memory import trim_heap
from pages.parts.shell import keys

Ask = Callable[[Tensor], Tensor]


@dataclass
class Work:
    """A sheet in work.

    digest: of the file. quarters: by how many times 90° it was turned, clockwise. run_id: whose answers. turn: how it seems to
    lie. seen: the canvas's last message that was taken, and edited: the time of the last correction. drawing: what the canvas
    begins with, {} to have it drawn anew, and background, its JPEG: both for `view`, a part of the picture, `width` pixels wide.
    """

    digest: str
    quarters: int
    run_id: str
    labelled: LabelledSheet | None
    turn: Turn | None = None
    problem: str = ""
    seen: str = ""
    edited: int = 0
    width: int = 0
    drawing: dict = field(default_factory=dict)
    view: Box | None = None
    background: bytes = b""
    note: str = ""  # about the last message of the canvas
    saved: str = ""  # title of the data set it was kept as


def work_on(content: bytes, run_id: str, classes: tuple[str, ...], ask: Ask) -> Work:
    """What has been found on this file's sheet, with this model's answers; read only where it was not."""
    digest = hashlib.sha256(content).hexdigest()
    work: Work | None = st.session_state.get(keys.SHEET)
    if work is None or work.digest != digest:
        work = read(content, digest, 0, run_id, classes, ask)
    elif work.labelled is not None and work.labelled.classes != classes:
        work = read(content, digest, work.quarters, run_id, classes, ask)  # its labels mean nothing to the other model
    elif work.run_id != run_id:
        work.run_id = run_id
        if work.labelled is not None:
            work.labelled = work.labelled.asked_again(ask)
            work.drawing = {}
    st.session_state[keys.SHEET] = work
    return work


def turn_by(content: bytes, quarters: int, run_id: str, classes: tuple[str, ...], ask: Ask) -> None:
    """Read the sheet again, turned; corrections are gone with the marks they were of."""
    work: Work = st.session_state[keys.SHEET]
    st.session_state[keys.SHEET] = read(content, work.digest, (work.quarters + quarters) % 4, run_id, classes, ask)


def read(content: bytes, digest: str, quarters: int, run_id: str, classes: tuple[str, ...], ask: Ask) -> Work:
    try:
        with st.spinner("Looking for marks…"):
            sheet = find_sheet(read_upload(content, SHEET_LONGEST), quarters)
            labelled = LabelledSheet.read(sheet, classes, ask)
    except DrawingError as error:
        return Work(digest, quarters, run_id, None, problem=str(error))
    finally:
        trim_heap()
    return Work(digest, quarters, run_id, labelled, seems_turned(torch.stack([mark.image for mark in sheet.marks]), ask))
