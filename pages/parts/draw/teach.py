"""Draw a digit, Teach it: keep drawings with what they mean, go on training with them, and see what was learned and forgotten."""

import streamlit as st

from core.config import ConstantConfig, RunConfig
from core.data import DataError, outline
from core.data.own.digits import MyDigits, as_set, zip_of
from core.evaluation import Predictions
from core.evaluation.teaching import Change, change_on_images, change_on_test
from core.figures.images import as_picture
from core.runs import CheckpointError, Run, RunNotFound, StoreError, TrainedModel
from core.runs.deleting import forget_hidden
from core.runs.evaluations import load_predictions
from core.wording import drawn_thing, percent, plural
from pages.parts.draw.answers import why_not
from pages.parts.runs.answers import compute
from pages.parts.shell import keys
from pages.parts.shell.frame import select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import icon_of, refuse
from pages.parts.shell.services import Services, trained_model
from pages.parts.widgets.canvas import new_sheet

SHOWN = 40  # drawings that are shown, the newest
MOST_BUTTONS = 30  # classes; of more one is chosen from a list
MOST_TIMES, MOST_COPIES, MOST_EPOCHS = 50, 8, 5


def teach_section(server: Services, run: Run) -> None:
    """Everything about kept drawings."""
    st.divider()
    st.header("Teach it")
    try:
        model = trained_model(server.store, run.id)
    except (CheckpointError, RunNotFound, OSError):
        return
    if why_not(model):
        st.caption("What can be taught are drawings, gray and of 28×28 pixels: choose a model that learned from such images.")
        return
    classes, kept = source_classes(model), st.session_state.get(keys.MY_DIGITS)
    if kept is None or not len(kept):
        kept = MyDigits.none_yet(classes)
    st.markdown(f"Does it get your {drawn_thing(classes)}s wrong? Keep some with what they mean, beside the drawing above, and "
                "let it go on learning with them. Five of each are a good start.")
    if kept.classes != classes:
        ours, known = (as_text(", ".join(names[:10])) for names in (kept.classes, classes))
        st.info(f"Your kept drawings are of {ours}, and this model knows {known}. Choose another model, or delete the drawings.",
                icon=":material/info:")
    browse(server, kept)
    if len(kept) and kept.classes == classes:
        train_form(server, run, kept)
    if st.session_state.get(keys.TAUGHT):
        outcome(server)


def said_class(model: TrainedModel, best: int) -> int | None:
    """What the model says, by its number among source_classes(); None for a no, which may be any of the others."""
    if model.config.data.task == "classes":
        return best
    return model.config.data.target if best == 1 else None


def keep_section(model: TrainedModel, said: int | None) -> None:
    """Keeps the drawing that is looked at with what it means, in one tap: who teaches draws many.

    said: the class that the model says, by its number among source_classes(); None where it does not know one.
    """
    kept = _kept_for(model)
    if kept is None:
        st.caption("This model knows other classes than your kept drawings have: see “Teach it” below.")
        return
    other = "No, it is" if said is not None else "It is"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="draw.keep"):
        if said is not None:  # named by its class: a tap on what another answer offered keeps nothing
            st.button(f"Right, {as_text(kept.classes[said])}", icon=":material/check:", key=f"draw.teach.right.{said}",
                      on_click=_keep, args=(model, said))
        st.markdown(other, width="content")  # beside them, and not above: on a phone they would stand below the fold
        if len(kept.classes) <= MOST_BUTTONS:
            st.pills(other, range(len(kept.classes)), default=None, key=keys.KEEP_AS,
                     format_func=lambda label: as_text(kept.classes[label]), on_change=_keep, args=(model, None),
                     label_visibility="collapsed")
        else:
            st.selectbox(other, range(len(kept.classes)), None, key=keys.KEEP_AS, format_func=kept.classes.__getitem__,
                         on_change=_keep, args=(model, None), placeholder="Choose", label_visibility="collapsed")


def told_of_kept() -> None:
    """What became of the last tap, with a way back."""
    told = st.session_state.get(keys.KEPT_NOTE)
    if told is None:
        return
    line, count = told
    kept = st.session_state.get(keys.MY_DIGITS)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(line)
        if count and kept is not None and len(kept) == count:  # it is still the last one
            st.button("Take it back", icon=":material/undo:", type="tertiary", key="draw.teach.undo", on_click=_forget_last)


def _kept_for(model: TrainedModel) -> MyDigits | None:
    """The kept drawings; None where they have other classes than this model's data."""
    classes, kept = source_classes(model), st.session_state.get(keys.MY_DIGITS)
    if kept is None or not len(kept):
        return MyDigits.none_yet(classes)
    return kept if kept.classes == classes else None


def _keep(model: TrainedModel, label: int | None) -> None:
    """Keep what is looked at as the class `label`, or the tapped one where it is None, and put the drawing away."""
    if label is None:
        label = st.session_state[keys.KEEP_AS]
        st.session_state[keys.KEEP_AS] = None  # the next drawing has none yet
    kept, image = _kept_for(model), st.session_state.get(keys.DRAW_NOW)
    if kept is None or label is None:
        return
    if image is None:
        st.session_state[keys.KEPT_NOTE] = "There is nothing to keep yet: draw something first.", 0
        return
    try:
        kept = kept.keep(image, label)
    except DataError as error:
        st.session_state[keys.KEPT_NOTE] = as_text(str(error)), 0
        return
    st.session_state[keys.MY_DIGITS] = kept
    st.session_state[keys.KEPT_NOTE] = (f"Kept as {as_text(kept.classes[label])}: {plural(len(kept), 'drawing')} to teach "
                                        "it with, below.", len(kept))
    st.session_state[keys.DRAW_NOW] = None
    st.session_state[keys.KEPT_CHANGED] = True
    new_sheet()


def _forget_last() -> None:
    kept = st.session_state[keys.MY_DIGITS]
    st.session_state[keys.MY_DIGITS] = kept.without(len(kept) - 1)
    st.session_state[keys.KEPT_NOTE] = "Taken back: it is not kept.", 0
    st.session_state[keys.KEPT_CHANGED] = True


def source_classes(model: TrainedModel) -> tuple[str, ...]:
    """What a drawing can be said to show: the data set's own classes, also where the model only says yes or no."""
    if model.config.data.task == "classes":
        return model.classes
    try:
        return outline(model.config.data).source_classes
    except DataError:
        return model.classes


def browse(server: Services, kept: MyDigits) -> None:
    """The kept drawings: pictures, and what can be done with them."""
    count, thing = len(kept), drawn_thing(kept.classes)
    st.markdown(f"**My {thing}s: {count}**")
    if not count:
        st.caption("None yet. They stay in this browser tab alone, and are gone when it is reloaded; download them to keep them.")
        return
    st.caption("Kept in this browser tab alone, and gone when it is reloaded: download them to keep them. "
               + ", ".join(f"{as_text(name)}: {n}" for name, n in zip(kept.classes, kept.counts(), strict=True) if n) + ".")
    with st.container(horizontal=True, gap="small"):
        for place in range(max(0, count - SHOWN), count):
            with st.container(width=62, gap=None):
                name = as_text(kept.classes[int(kept.labels[place])])
                st.image(as_picture(kept.images[place], 2), width=56, alt=f"Kept drawing {place + 1}: {name}")
                st.button(name, key=f"draw.teach.drop.{place}", icon=":material/close:",
                          type="tertiary", help="Delete this drawing", on_click=_drop, args=(place,))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button("Download (.zip)", lambda: zip_of(kept), f"my-{thing}s.zip", "application/zip", on_click="ignore",
                           icon=":material/folder_zip:", key="draw.teach.download",
                           help="PNG files in a folder for each class. Explore data → Bring your own takes them back.")
        if st.button("Save as a data set", icon=":material/save:", key="draw.teach.save",
                     help=server.about_saving):
            try:
                own = as_set(kept, server.settings.data_dir, f"My {thing}s", actor=server.actor)
                st.toast(f"Kept as “{as_text(own.title)}”, on Explore data.", icon=":material/check:")
            except DataError as error:
                st.error(as_text(str(error)), icon=":material/folder_off:")
        st.button("Delete all", icon=":material/delete:", key="draw.teach.delete", on_click=_drop, args=(None,))


def _drop(place: int | None) -> None:
    kept = st.session_state[keys.MY_DIGITS]
    st.session_state[keys.MY_DIGITS] = kept.without(place) if place is not None and place < len(kept) else \
        MyDigits.none_yet(kept.classes)


def train_form(server: Services, run: Run, kept: MyDigits) -> None:
    """How the drawings are used, and the button that starts."""
    st.markdown("**Go on learning, with them among its training images**")
    one, two, three = st.columns(3)
    times = one.slider("Repeat each", 1, MOST_TIMES, 10, key="draw.teach.times", persist_state="session",
                       help="How often each drawing comes by in an epoch. A few drawings among thousands of images hardly count "
                            "otherwise; too often, and it forgets the others.")
    copies = two.slider("Varied copies of each", 0, MOST_COPIES, 2, key="draw.teach.copies", persist_state="session",
                        help="Slanted, turned, with another pen: so that it learns your hand and not these pixels.")
    epochs = three.slider("Epochs", 1, MOST_EPOCHS, 1, key="draw.teach.epochs", persist_state="session")
    if st.button("Teach it", type="primary", icon=":material/school:", key="draw.teach.start"):
        own = None
        try:
            own = as_set(kept, server.settings.data_dir, "Drawings that were taught", copies, hidden=True,
                         actor=server.actor)
            run_id = server.engine.submit(taught_config(run, own.name, times, epochs), st.session_state[keys.OWNER],
                                          f"{run.title or run.id[:8]}, taught {plural(len(kept), 'drawing')}")
        except (DataError, StoreError) as error:
            if own is not None:  # no run knows its name
                forget_hidden(server.store, own.name, server.settings.data_dir)
            refuse(as_text(str(error)), icon_of(error))
        st.session_state[keys.TAUGHT] = (run.id, run_id, kept)
        st.rerun()


def taught_config(run: Run, name: str, times: int, epochs: int) -> RunConfig:
    """The run's config, going on from its weights with another set joined."""
    config = run.config
    data = config.data.model_copy(update={"join": (*config.data.join, name), "join_times": times})
    training = config.training.model_copy(update={"start_from": run.id, "epochs": epochs, "schedule": ConstantConfig(),
                                                  "early_stopping": 0})
    return RunConfig.model_validate(config.model_copy(update={"data": data, "training": training}).model_dump())


def outcome(server: Services) -> None:
    """The run that learns the drawings, and then what it learned and forgot. Draws itself anew each second while it goes."""
    before_id, after_id, kept = st.session_state[keys.TAUGHT]

    def panel() -> None:
        try:
            now = server.store.get(after_id)
        except RunNotFound:
            st.info("The run that learned your drawings was deleted.", icon=":material/delete:")
            return
        if now.is_active:
            st.progress(now.progress, f"Learning: step {now.step:,} of {now.steps:,}" if now.steps else "Waiting for its turn…")
        elif active:
            st.rerun()
        elif now.status != "finished":
            st.error(as_text(now.message), icon=":material/error:")
        else:
            compare(server, before_id, now, kept)

    try:
        active = server.store.get(after_id).is_active
    except RunNotFound:
        active = False
    st.fragment(panel, run_every=1.0 if active else None)()


def compare(server: Services, before_id: str, after: Run, kept: MyDigits) -> None:
    """Before and after, on the drawings and on the test images."""
    st.markdown("### Before and after")
    try:
        old, new = trained_model(server.store, before_id), trained_model(server.store, after.id)
    except (CheckpointError, RunNotFound, OSError) as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return
    labels = kept.labels if old.config.data.task == "classes" else (kept.labels == old.config.data.target).long()
    yours = change_on_images(old.predict, new.predict, kept.images, labels)
    test = change_on_test(answers_on_test(server, before_id), answers_on_test(server, after.id))
    left, right = st.columns(2)
    with left:
        show_change("Your drawings", yours, "It has learned from these very drawings: draw new ones to see whether it knows your "
                                            "hand.")
    with right:
        if test is None:
            st.metric("Test accuracy", percent(after.test_accuracy))
            st.caption("The two can't be compared: the test images are not on this machine, or have changed.")
        else:
            show_change("Test images", test, "If this falls much, it forgets: repeat the drawings less often.")
    if st.button("Ask the taught model from now on", icon=":material/swap_horiz:", key="draw.teach.use"):
        select_run(after.id)
        st.rerun()


def answers_on_test(server: Services, run_id: str) -> Predictions | None:
    """What a run says of each test image: kept, or asked now; None where the images are not here."""
    if kept := load_predictions(server.store, run_id):
        return kept
    try:
        return compute(server, server.store.get(run_id), "test")
    except (ValueError, RuntimeError, MemoryError):  # DataError and CheckpointError are ValueErrors
        return None


def show_change(title: str, change: Change, about: str) -> None:
    """Right answers before and after, what came and what went."""
    points = 100 * (change.after - change.before) / max(1, change.images)
    st.metric(title, f"{change.after:,} of {change.images:,} right", f"{points:+.2f} percentage points",
              delta_color="off" if change.after == change.before else "normal",
              delta_arrow="off" if change.after == change.before else "auto")
    st.caption(f"{change.before:,} before. {change.gained:,} newly right, {change.lost:,} newly wrong. {about}")
