"""First view: a Dataset for a folder with a CSV, line by line, until it runs."""

import streamlit as st
import torch

from core.labs.data_folder import COUNT, first_lines, tree
from core.labs.dataset_choices import LINES, TUTORIAL, Outcome, class_code, program, run, use_code
from core.wording import plural
from pages.parts.learn.data_loading.shared import PATH, folder, from_address, place
from pages.parts.learn.lab import covered, predict, show_code, tried
from pages.parts.learn.questions import LOADING
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.pictures import picture_grid


def show() -> None:
    """The folder, the lines to choose, and what they do."""
    truth = folder()
    st.markdown("A **Dataset** answers two questions: how many samples are there (`__len__`), and what is sample number idx "
                "(`__getitem__`). Here is a folder of images with a CSV, a text file that says which image has which label. "
                "Write the Dataset that reads it: choose each line, and see what it really does.")
    names, table, images = st.columns([1, 1, 2.2], gap="medium")
    names.code(tree(truth), language=None)
    table.code(first_lines(truth), language=None)
    table.caption("labels.csv: file name and label, no header.")
    with images:
        picked = [truth[index] for index in range(2, COUNT, 5)]
        picture_grid(torch.stack([item.pixels for item in picked]), "loading.folder", "Images of the folder",
                     [item.name for item in picked], pick=False, smallest=76)
    seen = predict(PATH, LOADING["header"])
    left, right = st.columns([1, 1.25], gap="large")
    with left:
        chosen = _choices()
    with right:
        outcome = run(chosen, place(), truth) if len(chosen) == len(LINES) else None
        if outcome is None:
            missing = len(LINES) - len(chosen)
            st.info(f"{plural(missing, 'line')} still to choose. Then it runs.", icon=":material/edit_note:")
        elif not seen:
            covered()
        else:
            _result(outcome)
        st.markdown("**Your class**")
        st.code(class_code(chosen), language="python")
        st.markdown("**What is done with it**")
        st.code(use_code(chosen), language="python")
    if outcome is None or not seen:
        return
    if outcome.right:
        st.success("It runs, and every sample is what the folder holds. This is your program: it makes the folder where there is "
                   "none, so that it runs anywhere. It needs `pip install torch torchvision pandas pillow scikit-learn`.",
                   icon=":material/task_alt:")
        st.download_button("Download own_dataset.py", program(chosen), "own_dataset.py", "text/x-python", key="loading.download",
                           icon=":material/download:")
        show_code(program(chosen))
    else:
        with st.expander("The whole program as it is, with the line numbers of the error", icon=":material/code:"):
            st.code(program(chosen), language="python", line_numbers=True)


def _choices() -> dict[str, str]:
    """The lines that have been chosen so far, by name."""
    with st.container(horizontal=True):
        st.button("Fill in the tutorials' lines", key="loading.tutorial", icon=":material/menu_book:", on_click=_fill,
                  args=(TUTORIAL,), help="As most tutorials have it. It runs. Is it right?")
        st.button("Start over", key="loading.empty", icon=":material/restart_alt:", on_click=_fill, args=({},))
    chosen = {}
    for name, line in LINES.items():
        key = f"loading.line.{name}"
        from_address(key, name, {option: option for option in line.options}, None)
        option = st.radio(f"`{line.where}` · {line.what}" if line.where.startswith("__") else f"{line.what}", list(line.options),
                          index=None, format_func=lambda option, line=line: f"`{line.options[option].code}`", key=key,
                          on_change=tried, args=(PATH,), persist_state="session")
        if option is not None:
            chosen[name] = option
    return chosen


def _fill(picked: dict[str, str]) -> None:
    tried(PATH)
    for name in LINES:
        st.session_state[f"loading.line.{name}"] = picked.get(name)


def _result(outcome: Outcome) -> None:
    """What the program printed, the error if there was one, the first samples, and what is behind it."""
    st.markdown("**What comes out**")
    if outcome.printed:
        st.code("\n".join(outcome.printed), language=None, wrap_lines=True)
    if outcome.stop:
        st.code(outcome.stop.text(), language=None, wrap_lines=True)
        asked = "" if outcome.stop.at is None else f"It was asked for sample {outcome.stop.at}. "
        st.caption(f"{asked}Lines inside of libraries are left out.")
    for fact in outcome.found:
        st.warning(f"No error, but: {as_text(fact)}", icon=":material/difference:")
    for why in outcome.why:
        st.markdown(f":material/lightbulb: {as_text(why)}")
    shown = [(seen, seen.pixels) for seen in outcome.samples if seen.pixels is not None]
    if shown:
        picture_grid(torch.stack([pixels for _, pixels in shown]), "loading.samples", "The first samples",
                     [f"dataset[{index}]" for index in range(len(shown))], pick=False, smallest=72)
        st.caption("  \n".join(as_text(f"dataset[{index}]: {seen.image}; label {seen.label}")
                               for index, (seen, _) in enumerate(shown)))
