"""What the lab on text looks at: which reviews, which network has learned from them, and the words that lean one way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from torch import nn

from core.config import DataConfig, RunConfig
from core.data import DataError, Dataset, Texts, default_config, read_texts, spec_for, spec_of
from core.data.sources.text_files import own_texts
from core.importing.text_labels import CLASSES
from core.labs.text import QUICK, Decision, Lean, decide, leans, learn, telling
from core.models import TextEmbeddingConfig
from core.presets import PRESETS
from core.runs import CheckpointError, Run, has_checkpoint
from core.settings import Settings
from core.training import build_for
from pages.parts.learn.lab import predict
from pages.parts.learn.questions import TEXT
from pages.parts.runs.panel import current_run
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset, trained_model

PATH = "pages/learn_text.py"
PRESET = PRESETS["reviews-embedding"].config
BUILT_IN = "reviews"
SHOWN = 12  # words of each side on the map


@dataclass(frozen=True)
class TextModel:
    """config: of the run that is or would be looked at. run: where its weights come from; None for a network that the page
    taught itself. model, before: trained and untrained, None where nobody has trained on these texts yet."""

    config: RunConfig
    data: Dataset
    texts: Texts
    model: nn.Module | None
    before: nn.Module | None
    run: Run | None

    @property
    def what(self) -> str:
        """What one of its texts is called."""
        return "review" if self.config.data.dataset in {BUILT_IN, "imdb"} else "text"

    @property
    def has_sides(self) -> bool:
        """Whether the classes are negative and positive."""
        return self.data.classes == CLASSES

    def decide(self, model: nn.Module, text: str, label: int) -> Decision:
        """How likely a class is, and what each word does to that."""
        return decide(model, text, self.texts.vocabulary, self.config.data.text_length, label, self.config.training.loss)


def guess(subject: TextModel, name: str) -> bool:
    """A question whose answer is measured on the built-in reviews; nothing is asked of other texts. True where the answer may be
    seen."""
    return subject.config.data.dataset != BUILT_IN or predict(PATH, TEXT[name])


def title(name: str) -> str:
    """A class's name as it begins a line."""
    return name[:1].upper() + name[1:]


@st.cache_resource(max_entries=4, show_spinner="Reading the texts…")
def read(config: DataConfig, settings: Settings) -> Texts:
    """Texts and vocabulary, shared by all sessions. Raises DataError."""
    return read_texts(config, settings.data_dir)


@st.cache_resource(max_entries=8, show_spinner="Learning from the reviews…")
def taught(config: RunConfig, settings: Settings) -> nn.Module:
    """A network that has learned here, for reading."""
    return learn(config, dataset(config.data, settings))


@st.cache_resource(max_entries=8, show_spinner=False)
def fresh(config: RunConfig, settings: Settings) -> nn.Module:
    """The same network before it has learned."""
    return build_for(config, dataset(config.data, settings)).eval()


@st.cache_data(max_entries=8, show_spinner=False)
def word_leans(config: DataConfig, settings: Settings) -> list[Lean]:
    """Words by how one-sided they are in the training texts."""
    return leans(dataset(config, settings), read(config, settings).vocabulary)


def telling_words(subject: TextModel, settings: Settings) -> list[Lean]:
    return telling(word_leans(subject.config.data, settings), SHOWN)


def network(config: RunConfig) -> TextEmbeddingConfig:
    """Its network, which in this lab is always a text embedding."""
    assert isinstance(config.model, TextEmbeddingConfig)
    return config.model


def run_config(data: DataConfig, root: Path) -> RunConfig:
    """The preset's network and training for other texts."""
    if data == PRESET.data:
        return PRESET
    usual = network(PRESET)
    model = TextEmbeddingConfig(words=data.vocabulary, width=usual.width, fc_width=usual.fc_width)
    spec = spec_for(data, root)
    changes: dict[str, Any] = {"epochs": 5, "batch_size": 64} if spec.counts[0] > QUICK else {}
    if len(spec.classes) > 2:  # a loss for yes or no asks as many questions as there are classes
        changes["loss"] = "cross_entropy"
    training = PRESET.training.model_copy(update=changes)
    return PRESET.model_copy(update={"data": data, "model": model, "training": training})


def title_of_own(name: str) -> str:
    """What a file of texts is called that somebody has brought: this session, or another one."""
    whose = "Your own" if name in st.session_state.get(keys.OWN_TEXTS, []) else "Brought here"
    return f"{whose}, {name[:6]}"


def choose(server: Services) -> TextModel | None:
    """The texts and the network that has learned from them; None, with a line, where they can't be used."""
    root = server.settings.data_dir
    kept = own_texts(root, server.actor)
    options = [BUILT_IN, *(["imdb"] if spec_of("imdb").is_available(root) else []), *kept]
    titles = {BUILT_IN: spec_of(BUILT_IN).title, "imdb": spec_of("imdb").title}
    run = current_run(server)
    ours = run is not None and not run.is_active and has_checkpoint(server.store, run.id) and _name(run) in options
    first = _name(run) if ours and run else BUILT_IN
    titles |= {name: title_of_own(name) for name in kept}
    chosen = st.selectbox("Texts", options, options.index(first), format_func=lambda name: titles[name],
                          key=f"text.source.{first}.{len(options)}", bind="query-params") if len(options) > 1 else BUILT_IN
    if ours and run and _name(run) == chosen:
        return _from_run(server, run)
    return _quick(server, chosen)


def _name(run: Run) -> str:
    data = run.config.data
    return data.text_file if data.dataset == "own_texts" else data.dataset


def _from_run(server: Services, run: Run) -> TextModel | None:
    try:
        data, texts = dataset(run.config.data, server.settings), read(run.config.data, server.settings)
        trained = trained_model(server.store, run.id)
    except (DataError, CheckpointError) as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return None
    return TextModel(run.config, data, texts, trained.model, fresh(run.config, server.settings), run)


def _quick(server: Services, name: str) -> TextModel | None:
    """A network that the page teaches itself, where that takes less than a second."""
    try:
        data_config = default_config(name) if name in (BUILT_IN, "imdb") else _own_config(name, server.settings)
        config = run_config(data_config, server.settings.data_dir)
        data, texts = dataset(config.data, server.settings), read(config.data, server.settings)
    except DataError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return None
    quick = len(data.train) <= QUICK
    trained = taught(config, server.settings) if quick else None
    return TextModel(config, data, texts, trained, fresh(config, server.settings), None)


def _own_config(name: str, settings: Settings) -> DataConfig:
    """A fifth of what is not for testing is for validation."""
    start = DataConfig(dataset="own_texts", text_file=name, validation=1, vocabulary=5000, text_length=200)
    return start.model_copy(update={"validation": max(1, (len(read(start, settings).train) + 1) // 5)})
