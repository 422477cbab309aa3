"""Why?, Smallest change: how little has to be different before the network says something else."""

import streamlit as st
from torch import Tensor

from core.figures.attribution import difference_picture, plain_picture
from core.inspection.activations.windows import number
from core.inspection.explain.smallest_change import STEPS, SmallestChange, smallest_change
from core.runs import TrainedModel
from core.wording import chance, percent
from pages.parts.explain.asked import Asked
from pages.parts.shell.markdown import as_text

ANY = -1
CARD = 208  # pixels


def change_section(model: TrainedModel, image: Tensor, probabilities: list[float], key: str, ask: Asked) -> None:
    """Before, difference, after."""
    order = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])
    names = dict(enumerate(model.classes)) | {ANY: "anything else"}  # not the model: a session keeps what its widgets are given
    with st.container(horizontal=True, vertical_alignment="bottom"):
        target = st.selectbox("Make it say", [ANY, *order[1:]], key=f"{key}.target.{ask.stamp}", width=260,
                              format_func=names.__getitem__)
        steps = st.number_input("Steps at most", 1, 200, STEPS, key=f"{key}.change_steps", persist_state="session", width=160,
                                help="How many gradients may be taken on the way.")
    what = ("change", target, int(steps))
    if not ask.after_click("Look for the smallest change", f"{key}.look", *what):
        return
    with st.spinner("Following the gradients…"):
        found: SmallestChange = ask.result(
            lambda: smallest_change(ask.scores(), image, None if target == ANY else target, int(steps)), *what)
    if found.found:
        _pictures(model, image, found, key, ask)
    else:
        _not_found(model, found, target)


def _not_found(model: TrainedModel, found: SmallestChange, target: int) -> None:
    wanted = "anything else" if target == ANY else as_text(model.classes[target])
    if found.l2 == 0:
        st.warning("The gradients are zero here, so they point nowhere: no small change can be found this way.",
                   icon=":material/block:")
        return
    st.warning(f"Within {found.steps} steps it was not brought to say {wanted}; the last try still says "
               f"{as_text(model.classes[found.after])}. Allow more steps, or choose another answer.", icon=":material/block:")


def _pictures(model: TrainedModel, image: Tensor, found: SmallestChange, key: str, ask: Asked) -> None:
    strength = st.slider("How much of the change (%)", 0, 300, 100, 5, key=f"{key}.strength.{ask.stamp}", width=420,
                         help="100 % is just enough to flip the answer.")
    shown = (image + found.difference * (strength / 100)).clamp(0, 1)
    before, after = model.predict(image.unsqueeze(0))[0], model.predict(shown.unsqueeze(0))[0]
    said = int(after.argmax())
    cards = ((plain_picture(image), "Before", f"{as_text(model.classes[found.before])}, {chance(float(before[found.before]))}"),
             (difference_picture(found.difference), "Difference", ":red[Red] gets brighter, :blue[blue] darker; full colour is "
              "the largest change."),
             (plain_picture(shown), "After", f"{as_text(model.classes[said])}, {chance(float(after[said]))}"))
    with st.container(horizontal=True, gap="medium"):
        for picture, title, line in cards:
            with st.container(width=CARD):
                st.image(picture, output_format="PNG", alt=title)
                st.markdown(f"**{title}**  \n{line}")
    total = float(image.double().norm())
    share = f", {percent(found.l2 / total)} of the image's own length" if total > 0 else ""
    st.markdown(f"At 100 % no pixel changes by more than **{255 * found.largest:.1f} of 255** grey levels. All changes together "
                f"have the length {number(found.l2)} (root of their summed squares, black to white = 1){share}. Then it says "
                f"**{as_text(model.classes[found.after])}** instead of **{as_text(model.classes[found.before])}**, by a hair.")
    st.caption(f"Found with {found.steps} gradients (DeepFool and steps back towards the image). There may be a smaller change "
               "that these steps have missed. Often an eye would hardly change its mind: the network looks at other things than "
               "we do, and can often be fooled like this.")
