"""The composer: a network's layers as rows to add, move, copy, delete and change, each with its shapes or what is wrong."""


import streamlit as st

from core.config import RunConfig
from core.fields import ConfigError, describe
from core.models import ARCHITECTURES, LeNet5Config, ModelError, SmallResNetConfig, StackConfig
from core.models.base import Shape
from core.models.composer import (
    Edit,
    History,
    Place,
    RowCheck,
    add,
    apply,
    check,
    delete,
    duplicate,
    from_json,
    from_model_config,
    layer_at,
    move,
    problems,
    replace,
    row_number,
    siblings,
    to_json,
    with_fields,
)
from core.models.layers import LAYERS, LayerConfig, ResidualConfig, settings_of
from core.models.stack import size
from core.presets import PRESETS
from pages.parts.draft import draft
from pages.parts.draft.fields import CHOICES
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.versions import Form
from pages.parts.widgets.setting import setting_widget

FORM = Form("compose", keys.COMPOSE_VERSION)
EMPTY = "empty"
STARTS = {EMPTY: "Empty", **{f"preset.{name}": entry.title for name, entry in PRESETS.items()},
          **{name: ARCHITECTURES[name].title for name in ("softmax_regression", "lenet5", "small_resnet")}}
MODELS = {"lenet5": LeNet5Config(), "small_resnet": SmallResNetConfig(),
          "softmax_regression": ARCHITECTURES["softmax_regression"].config()}


def composer(config: RunConfig, input_shape: Shape, outputs: int) -> list[RowCheck]:
    """Draw the composer for the draft's stack. Returns its rows; one with a problem means that the network can't be built."""
    stack = config.model
    assert isinstance(stack, StackConfig)
    past = st.session_state.get(keys.HISTORY)
    st.session_state[keys.HISTORY] = History(stack) if past is None else past.then(stack)  # it may have changed elsewhere
    st.session_state.setdefault(keys.COMPOSE_VERSION, 0)
    rows = check(stack, input_shape, outputs)
    _tools(stack, input_shape, outputs)
    if (wrong := problems(rows)) and all(row.unfinished for row in wrong):
        st.caption(":material/pending: Unfinished: the end is still to come.")
    elif wrong:
        numbers = ", ".join(row_number(row.place) for row in wrong)
        which = f"Rows {numbers} do" if len(wrong) > 1 else f"Row {numbers} does"
        st.caption(f":red[{which} not fit yet.] After a wrong row, shapes are as they will be once it is fixed.")
    else:
        st.caption(f"All {len(rows)} rows fit. Press a row to change it." if len(rows) > 1 else "Press a row to change it.")
    opened = st.session_state.get(keys.COMPOSE_PLACE)
    with st.container(border=True, gap="xxsmall"):
        for row in rows:
            _row(stack, row, outputs, row.place == opened)
    _add(stack, opened if opened in {row.place for row in rows} else None)
    return rows


def last_that_fitted(input_shape: Shape, outputs: int) -> StackConfig | None:
    """The newest of the stacks that a person came by whose rows all fit; None where there is none."""
    history: History = st.session_state[keys.HISTORY]
    return next((stack for stack in reversed(history.before) if not problems(check(stack, input_shape, outputs))), None)


def _tools(stack: StackConfig, input_shape: Shape, outputs: int) -> None:
    """Undo, what to start from, and the composition as a file or text."""
    history: History = st.session_state[keys.HISTORY]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        st.selectbox("Start from", list(STARTS), None, format_func=STARTS.__getitem__, placeholder="a preset or a classic",
                     key=FORM.key("start"), on_change=_start, args=(FORM.key("start"), input_shape, outputs), width=180,
                     help="Replaces all rows; undo brings them back.")
        st.button("Undo", icon=":material/undo:", key="compose.undo", disabled=not history.before, on_click=_step, args=(False,))
        st.button("Redo", icon=":material/redo:", key="compose.redo", disabled=not history.after, on_click=_step, args=(True,))
        with st.popover("Save or load", icon=":material/share:"):
            _share(stack)
    if problem := st.session_state.get(keys.COMPOSE_PROBLEM):
        st.error(as_text(problem), icon=":material/error:")


def _share(stack: StackConfig) -> None:
    st.download_button("Download as JSON", to_json(stack), "network.json", "application/json", key="compose.download",
                       icon=":material/download:", on_click="ignore")
    st.file_uploader("Load a file", type="json", key=FORM.key("file"), on_change=_load_file, args=(FORM.key("file"),),
                     max_upload_size=1)
    st.text_area("Or copy this text to share it, or paste another over it", to_json(stack), key=FORM.key(f"text.{hash(stack)}"),
                 height=140)
    st.button("Load this text", key="compose.load", on_click=_load_text, args=(FORM.key(f"text.{hash(stack)}"),))


def _row(stack: StackConfig, row: RowCheck, outputs: int, opened: bool) -> None:
    """One layer: its name to open it, what it is, what it returns; what is wrong with it and the button that mends it."""
    number = row_number(row.place)
    if row.name:
        turn = ":material/expand_less:" if opened else ":material/expand_more:"
        icon = ":material/pending:" if row.unfinished else ":material/error:" if row.problem else turn
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.button(f"{'↳ ' * (len(row.place) - 1)}{number} · **{row.name}** · {row.title}", key=f"compose.row.{number}",
                      type="tertiary", icon=icon, on_click=_open, args=(None if opened else row.place,))
            returned = f"→ {size(row.output_shape)}" if row.output_shape is not None else ""
            st.caption(f"{settings_of(layer_at(stack, row.place), outputs)} {returned}")
    if row.problem:
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            line = f"{row.name} {as_text(row.problem)}.".strip()
            st.markdown(f":gray[:material/pending: {line}]" if row.unfinished else f":red[:material/error: {line}]",
                        width="stretch")
            if row.fix:
                st.button(f"Fix: {row.fix.label}", key=f"compose.fix.{number}", icon=":material/build:",
                          on_click=_make, args=(row.fix,))
    if row.warning:
        st.markdown(f":orange[:material/warning: {row.warning}]")
    if opened and row.name:
        _editor(stack, row.place, outputs)


def _editor(stack: StackConfig, place: Place, outputs: int) -> None:
    """The open row's fields and what can be done with it."""
    layer, count = layer_at(stack, place), len(siblings(stack, place))
    number = row_number(place)
    with st.container(border=True, key="compose.editor"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            kinds = [kind for kind in LAYERS if len(place) == 1 or kind != "residual"]
            st.selectbox("Layer", kinds, kinds.index(layer.kind), format_func=lambda kind: LAYERS[kind].title, width=180,
                         key=FORM.key(f"kind.{number}"), on_change=_change_kind, args=(place, FORM.key(f"kind.{number}")))
            for name in type(layer).model_fields:
                if name not in {"kind", "layers"}:
                    _field(layer, name, place)
        st.caption(LAYERS[layer.kind].summary)
        before, after = (*place[:-1], place[-1] - 1), (*place[:-1], place[-1] + 1)
        with st.container(horizontal=True):
            st.button("Up", icon=":material/arrow_upward:", key="compose.up", disabled=place[-1] == 0,
                      on_click=_move, args=(place, before))
            st.button("Down", icon=":material/arrow_downward:", key="compose.down", disabled=place[-1] == count - 1,
                      on_click=_move, args=(place, after))
            st.button("Duplicate", icon=":material/content_copy:", key="compose.duplicate", on_click=_duplicate, args=(place,))
            st.button("Delete", icon=":material/delete:", key="compose.delete", on_click=_delete, args=(place,))


def _field(layer: LayerConfig, name: str, place: Place) -> None:
    """One field of a layer as a widget."""
    key = FORM.key(f"{row_number(place)}.{layer.kind}.{name}")
    setting_widget(describe(type(layer), name), getattr(layer, name), key, _change_field, (place, name, key), names=CHOICES,
                   number_width=140, choice_width=260)


def _add(stack: StackConfig, opened: Place | None) -> None:
    """A new layer after the open row, or at the end."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.selectbox("Add a layer", list(LAYERS), format_func=lambda kind: LAYERS[kind].title, key="compose.kind",
                            width=220)
        after = (*opened[:-1], opened[-1] + 1) if opened else (len(stack.layers),)
        st.button(f"Add after row {row_number(opened)}" if opened else "Add at the end", icon=":material/add:", key="compose.add",
                  on_click=_insert, args=(kind, after), disabled=len(after) > 1 and kind == "residual")
        if opened and len(opened) == 1 and isinstance(block := layer_at(stack, opened), ResidualConfig):
            st.button("Add inside the block", icon=":material/subdirectory_arrow_right:", key="compose.add_inside",
                      on_click=_insert, args=(kind, (*opened, len(block.layers))), disabled=kind == "residual")
    st.caption(LAYERS[kind].summary)


# What buttons do, before the page is drawn again


def _stack() -> StackConfig:
    return st.session_state[keys.HISTORY].now


def _open(place: Place | None) -> None:
    st.session_state[keys.COMPOSE_PLACE] = place
    FORM.renew()


def _take(history: History, place: Place | None = None, keep_widgets: bool = False) -> None:
    """Make the history's stack the draft's network."""
    st.session_state.pop(keys.COMPOSE_PROBLEM, None)
    st.session_state[keys.HISTORY] = history
    draft.take_model(history.now)
    if not keep_widgets:
        _open(place)


def _then(stack: StackConfig, place: Place | None = None, keep_widgets: bool = False) -> None:
    _take(st.session_state[keys.HISTORY].then(stack), place, keep_widgets)


def _step(forth: bool) -> None:
    history: History = st.session_state[keys.HISTORY]
    _take(history.redone() if forth else history.undone())


def _refused(error: Exception) -> None:
    st.session_state[keys.COMPOSE_PROBLEM] = str(error)
    FORM.renew()


def _make(fix: Edit) -> None:
    try:
        _then(apply(_stack(), fix))
    except ConfigError as error:
        _refused(error)


def _insert(kind: str, place: Place) -> None:
    try:
        _then(add(_stack(), LAYERS[kind].config(), place), place)
    except ConfigError as error:
        _refused(error)


def _move(place: Place, to: Place) -> None:
    _then(move(_stack(), place, to), to)


def _duplicate(place: Place) -> None:
    try:
        _then(duplicate(_stack(), place), (*place[:-1], place[-1] + 1))
    except ConfigError as error:
        _refused(error)


def _delete(place: Place) -> None:
    _then(delete(_stack(), place))


def _change_kind(place: Place, key: str) -> None:
    if not FORM.hears(key):
        return
    try:
        _then(replace(_stack(), place, LAYERS[st.session_state[key]].config()), place)
    except ConfigError as error:
        _refused(error)


def _change_field(place: Place, name: str, key: str) -> None:
    if not FORM.hears(key):
        return
    try:
        _then(replace(_stack(), place, with_fields(layer_at(_stack(), place), **{name: st.session_state[key]})), place,
              keep_widgets=True)
    except ConfigError as error:
        _refused(error)


def _start(key: str, input_shape: Shape, outputs: int) -> None:
    if not FORM.hears(key) or (name := st.session_state[key]) is None:
        return
    if name == EMPTY:
        return _then(StackConfig(layers=()))
    model = PRESETS[name.removeprefix("preset.")].config.model if name.startswith("preset.") else MODELS[name]
    try:
        _then(from_model_config(model, input_shape, outputs))
    except (ModelError, ConfigError) as error:
        _refused(error)


def _load_file(key: str) -> None:
    if FORM.hears(key) and (file := st.session_state[key]) is not None:
        _load(file.getvalue())


def _load_text(key: str) -> None:
    _load(st.session_state[key])


def _load(text: str | bytes) -> None:
    try:
        _then(from_json(text))
    except ConfigError as error:
        _refused(error)
