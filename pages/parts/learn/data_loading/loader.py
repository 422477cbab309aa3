"""Third view: what a DataLoader makes of a Dataset: batches, their order, and who fetches them."""

import streamlit as st

from core.devices import usable_cores
from core.figures.data_loading import answers_figure, batches_figure, learning_figure, timeline_figure, timing_figure
from core.figures.in_words import in_words
from core.labs.data_folder import COUNT, Item
from core.labs.data_loading import BATCH, EPOCHS, RATE, Epoch, Learning, epochs, learning
from core.labs.data_loading_code import loader_code
from core.labs.loader_timeline import timeline
from core.labs.loader_timing import KINDS, Timing, TimingFailed, measure, verdict
from core.wording import percent, plural
from pages.parts.learn.data_loading.shared import PATH, STILL, SWITCH, folder, from_address, numbers
from pages.parts.learn.lab import covered, predict, show_code, tried
from pages.parts.learn.questions import LOADING
from pages.parts.widgets.metrics import metrics_row

LARGEST = 64
SHOWN = 8  # batches of the timeline


@st.cache_data(max_entries=4, show_spinner="Training twice…")
def trained(seed: int) -> tuple[Learning, Learning]:
    """With shuffle and without."""
    return learning(True, seed), learning(False, seed)


@st.cache_data(ttl=3600, show_spinner="Measuring, about five seconds…")
def measured(asked: int) -> list[Timing]:
    """This machine's figures, for all who look within the hour; asked: another number measures anew. Raises TimingFailed."""
    return measure()


def show() -> None:
    """Batches, shuffle, num_workers."""
    truth = folder()
    st.markdown("A **DataLoader** asks a Dataset for samples and stacks them into batches, epoch after epoch. It knows nothing "
                "of images: it only decides who comes when, and who fetches them.")
    seen = predict(PATH, LOADING["sizes"])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        from_address("loading.batch_size", "batch_size", numbers(1, LARGEST), 8)
        size = st.number_input("batch_size", 1, LARGEST, key="loading.batch_size", persist_state="session", width=150,
                               on_change=tried, args=(PATH,), help="Samples in a batch: the weights change once for each batch.")
        from_address("loading.seed", "seed", numbers(0, 999), 0)
        seed = st.number_input("Seed", 0, 999, key="loading.seed", persist_state="session", width=130,
                               help="Of the generator that shuffles; another seed is another order.")
        from_address("loading.shuffle", "shuffle", SWITCH, True)
        shuffle = st.toggle("shuffle", key="loading.shuffle", persist_state="session", on_change=tried, args=(PATH,))
        from_address("loading.drop_last", "drop_last", SWITCH, False)
        drop_last = st.toggle("drop_last", key="loading.drop_last", persist_state="session", on_change=tried, args=(PATH,))
    if seen:
        _epochs(truth, epochs(truth, size, shuffle, drop_last, seed), size, shuffle)
    else:
        covered(480)
    _shuffle()
    _workers()
    show_code(loader_code(size, shuffle, drop_last, seed))


def _epochs(truth: list[Item], found: list[Epoch], size: int, shuffle: bool) -> None:
    """Two epochs' batches, sample by sample."""
    _counts(found[0], size)
    for number, (column, epoch) in enumerate(zip(st.columns(2, gap="large"), found, strict=True), start=1):
        with column:
            st.markdown(f"**Epoch {number}**")
            if epoch.batches:
                drawn = batches_figure(epoch, [item.label for item in truth])
                st.plotly_chart(drawn, key=f"loading.epoch.{number}", config=STILL,
                                alt=in_words(drawn, f"Labels in the batches of epoch {number + 1}"))
            if dropped := epoch.dropped(COUNT):
                st.caption(f"In no batch: sample{'s' if len(dropped) > 1 else ''} {', '.join(map(str, dropped))}.")
    others = ", and others are left out." if found[0].dropped(COUNT) else "."
    st.caption("Each row is a batch, each cell a sample with its number, in the colour of its class. "
               + (f"The second epoch has an order of its own: other samples meet{others}" if shuffle else
                  "Both epochs have the same batches, and each batch has neighbours: here one or few classes."))


def _counts(epoch: Epoch, size: int) -> None:
    if not epoch.batches:
        st.warning(f"No batch at all: {COUNT} samples don't fill one of {size}, and drop_last leaves the rest out. A training "
                   "loop over this would do nothing, without an error. Choose a smaller batch_size.", icon=":material/warning:")
        return
    last = len(epoch.batches[-1])
    metrics_row({"Batches an epoch": (str(len(epoch.batches)), "len(loader)."),
                 "In the last": (str(last), "Its gradient is a mean over fewer samples, so it is noisier."),
                 "Left out": (str(len(epoch.dropped(COUNT))), "Samples that no batch of this epoch has."),
                 "First batch": (str(epoch.shape), "Shape of its images: batch, channels, height, width.")})


def _shuffle() -> None:
    """The same training with shuffle and without."""
    st.header("What shuffle is for")
    seen = predict(PATH, LOADING["order"])
    from_address("loading.train", "train", SWITCH, False)
    if not st.toggle("Train with shuffle and without", key="loading.train", persist_state="session", on_change=tried,
                     args=(PATH,)):
        return
    if not seen:
        covered(640)
        return
    seed = st.number_input("Seed of weights and order", 0, 999, 0, key="loading.train_seed", bind="query-params", width=210)
    shuffled, in_order = trained(seed)
    ends = [found.of_epochs()[-1] for found in (shuffled, in_order)]
    figure = learning_figure(shuffled, in_order)
    st.plotly_chart(figure, key="loading.learning", config=STILL, alt=in_words(figure, "Accuracy over epochs"))
    st.markdown(f"After {EPOCHS} epochs **{percent(ends[0], 1)}** of {sum(in_order.truth)} held-out digits are right with "
                f"shuffle, **{percent(ends[1], 1)}** without. What the network without shuffle answers:")
    figure = answers_figure(in_order)
    st.plotly_chart(figure, key="loading.answers", config=STILL, alt=in_words(figure, "What the network without shuffle answers"))
    st.caption(f"A real training of 64-32-10 on 1,437 of scikit-learn's digits, sorted by class as a folder is read, SGD with "
               f"learning rate {RATE}, batches of {BATCH}. The curve has a point after every step: without shuffle it goes up "
               "and down with each class that passes. Files that come mixed, as MNIST's do, hide this mistake. On Train model, "
               "“All settings” have a Shuffle for runs.")


def _timeline() -> None:
    """What workers would save, calculated."""
    with st.container(horizontal=True, gap="medium"):
        load = st.slider("ms to load a batch", 1, 100, 30, key="loading.load_ms", bind="query-params", width=185)
        train = st.slider("ms to train on it", 1, 100, 10, key="loading.train_ms", bind="query-params", width=185)
        from_address("loading.workers", "num_workers", numbers(0, 4), 2)
        workers = st.slider("num_workers", 0, 4, key="loading.workers", persist_state="session", width=185, on_change=tried,
                            args=(PATH,))
    found, alone = timeline(load, train, workers, SHOWN), timeline(load, train, 0, SHOWN)
    figure = timeline_figure(found)
    st.plotly_chart(figure, key="loading.timeline", config=STILL, alt=in_words(figure, "Who works when"))
    st.markdown(f"{SHOWN} batches take **{found.total:,.0f} ms**, without workers {alone.total:,.0f} ms. "
                + (f"Of these the training process waits {found.waiting:,.0f} ms for a batch." if workers else
                   "The training process never waits, as it does all the loading itself."))
    st.caption("Calculated, with a core for each process, and without what it costs to start workers and to hand batches over. "
               "Each worker is asked for two batches ahead (prefetch_factor=2). More workers than it takes to keep the training "
               "process busy save nothing.")


def _workers() -> None:
    """num_workers, measured here."""
    st.header("num_workers: who fetches the samples")
    st.markdown("With num_workers=0 the training process itself calls `dataset[idx]` for every sample and trains only in "
                "between. With 2, two helper processes do so ahead of time. That pays where a sample takes long to make ready "
                "and cores are free; processes have to be started, though, and each batch handed over.")
    _timeline()
    if st.button("Measure on this machine", key="loading.measure", icon=":material/timer:", on_click=tried, args=(PATH,)):
        st.session_state["loading.measured"] = st.session_state.get("loading.measured", 0) + 1
    if not (asked := st.session_state.get("loading.measured", 0)):
        return
    try:
        timings = measured(asked)
    except TimingFailed as error:
        st.error(str(error), icon=":material/timer_off:")
        return
    for column, (kind, title) in zip(st.columns(2, gap="large"), KINDS.items(), strict=True):
        with column:
            st.markdown(f"**{title}**")
            figure = timing_figure([timing for timing in timings if timing.kind == kind])
            st.plotly_chart(figure, key=f"loading.timing.{kind}",
                            config=STILL, alt=in_words(figure, f"Seconds for an epoch, {kind}"))
            st.markdown(verdict(timings, kind))
    st.caption(f"One epoch each in batches of 10, loading alone, nothing trained; {plural(usable_cores(), 'core')} here, shared "
               "with whatever else runs, so another time gives other figures. In a script of your own put what starts workers "
               "below `if __name__ == \"__main__\":`, which Windows and macOS need. The pages of this app train from memory, "
               "where there is nothing to fetch.")
