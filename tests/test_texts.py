"""Texts as data: words and numbers by hand, vocabularies from training texts alone, readers, and every way a CSV can be bad."""

import csv
import io
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from core.config import DataConfig
from core.data import DATASETS, DataDamaged, DataError, DataMissing, default_config, load, outline, read_texts, spec_for
from core.data.sources.text_files import delete_own, import_csv, own_texts
from core.data.sources.texts import build_vocabulary, encode, tokens, words
from core.importing.text_labels import CLASSES
from core.importing.text_lines import MOST_TEXTS, TextsRefused
from core.importing.texts import TextsFile
from core.models import ARCHITECTURES, ModelError, TextEmbeddingConfig, build, check_kind
from core.presets import PRESETS
from core.runs import RunStore, load_model
from core.training import build_for, prepare
from tests.helpers import run_here

NOWHERE, CASES = Path("no files needed"), Path(__file__).parent / "cases"
PRESET = PRESETS["reviews-embedding"].config


@pytest.mark.parametrize(("text", "found"), [
    ("It wasn't good.", ["it", "wasn't", "good"]), ("It wasn’t", ["it", "wasn't"]), ("", []), ("42 !?", []),
    ("L'été, ÉTÉ", ["l'été", "été"]), ("'quoted' don''t x'", ["quoted", "don", "t", "x"]), ("a_b1c", ["a", "b", "c"]),
    ("很好 film", ["很好", "film"])])
def test_words_by_hand(text, found):
    assert words(text) == found


def test_the_most_frequent_words_get_the_smallest_numbers():
    vocabulary = build_vocabulary(["b a b", "c b a", "d"], size=3)
    assert (vocabulary.words, vocabulary.counts) == (("b", "a", "c"), (3, 2, 1))  # c before d: equal counts by the alphabet
    assert len(vocabulary) == 5 and vocabulary.numbers == {"b": 2, "a": 3, "c": 4}
    assert [vocabulary.word(number) for number in range(5)] == ["(end)", "(unknown)", "b", "a", "c"]
    rows = encode(["A d b", "", "c c c c c"], vocabulary, length=4)
    assert rows.dtype == torch.int64 and rows.tolist() == [[3, 1, 2, 0], [0, 0, 0, 0], [4, 4, 4, 4]]


def test_tokens_know_their_places():
    vocabulary = build_vocabulary(["a b"], size=9)
    text = "İ A, b c"
    found = tokens(text, vocabulary, length=3)
    assert [(token.word, token.number, text[token.start:token.end]) for token in found][1:] == [
        ("a", 2, "A"), ("b", 3, "b"), ("c", 0, "c")], "the fourth word lies beyond the length"


def test_the_built_in_reviews():
    data, texts = load(PRESET.data, NOWHERE), read_texts(PRESET.data, NOWHERE)
    everything = texts.train + texts.validation + texts.test
    assert [len(part) for part in (texts.train, texts.validation, texts.test)] == [180, 100, 120]
    assert len(set(everything)) == 400 and all(1 <= len(words(text)) <= 40 for text in everything)
    assert data.test.counts(2) == [60, 60]
    assert [a + b for a, b in zip(data.train.counts(2), data.validation.counts(2), strict=True)] == [140, 140]
    assert data.kind == "text" and data.mean == () and data.classes == ("negative", "positive")
    assert data.input_shape == outline(PRESET.data).input_shape == (64,)
    for name in ("train", "validation", "test"):  # numbers and texts are in the same order
        numbers, _ = data.split(name).take(torch.arange(len(data.split(name))))
        assert torch.equal(numbers, encode(texts.split(name), texts.vocabulary, 64))


def test_only_training_texts_make_the_vocabulary():
    texts = read_texts(PRESET.data, NOWHERE)
    assert set(texts.vocabulary.words) == {word for text in texts.train for word in words(text)}
    unseen = {word for text in texts.validation + texts.test for word in words(text)} - set(texts.vocabulary.words)
    assert len(unseen) > 50
    other = read_texts(PRESET.data.model_copy(update={"split_seed": 1}), NOWHERE)
    assert other.test == texts.test and other.train != texts.train, "no split seed moves a test text"
    few = read_texts(PRESET.data.model_copy(update={"vocabulary": 10}), NOWHERE)
    assert few.vocabulary.words == texts.vocabulary.words[:10]


@pytest.mark.parametrize(("values", "line"), [
    ({"validation": 280}, "280 training texts"), ({"variations": 1}, "Set it to 0"), ({"task": "is_target"}, "classes 0 to 1")])
def test_what_texts_can_not_be(values, line):
    with pytest.raises(DataError, match=line):
        load(DataConfig(dataset="reviews", **({"validation": 100} | values)), NOWHERE)


def test_points_have_no_texts():
    with pytest.raises(DataError, match="Circle has no texts"):
        read_texts(DataConfig(dataset="circle"), NOWHERE)


# --- IMDB's folders

def test_imdb_is_read_from_its_folders(tmp_path):
    config = DataConfig(dataset="imdb", validation=2, vocabulary=50, text_length=5)
    with pytest.raises(DataMissing, match="aclImdb_v1.tar.gz"):
        load(config, tmp_path)
    for part in ("train", "test"):
        for label, word in (("pos", "good"), ("neg", "bad")):
            folder = tmp_path / "aclImdb" / part / label
            folder.mkdir(parents=True)
            for number in range(3):
                (folder / f"{number}_1.txt").write_text(f"A {word} film.<br /><br />Truly {part}.", encoding="utf-8")
    assert DATASETS["imdb"].is_available(tmp_path)
    data, texts = load(config, tmp_path), read_texts(config, tmp_path)
    assert (len(data.train), len(data.validation), data.test.counts(2)) == (4, 2, [3, 3])
    assert "br" not in texts.vocabulary.words and "test" not in texts.vocabulary.words
    positive = data.test.images[data.test.labels == 1]
    assert (positive[:, 1] == texts.vocabulary.numbers["good"]).all() and (positive[:, 4] == 1).all()
    (tmp_path / "aclImdb/train/pos/9_9.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataDamaged, match=r"9_9\.txt is not UTF-8"):
        load(config, tmp_path)


# --- CSV files of one's own

def read_csv(content: bytes, taken: tuple[int, int] | None = None) -> SimpleNamespace:
    """How a file is understood, and its texts."""
    file = TextsFile(io.BytesIO(content), taken)
    return SimpleNamespace(**vars(file.found), rows=list(file.rows()))


def csv_of(rows: int = 12, head: str = "text,label") -> str:
    return head + "\n" + "".join(f'"good, film {i}",positive\n"a bad film {i}",neg\n' for i in range(rows))


@pytest.mark.parametrize("content", [
    csv_of().encode(), csv_of().encode("utf-8-sig"), csv_of().encode("utf-16"), csv_of().replace("\n", "\r\n").encode(),
    csv_of(head="Text, Label").encode(),
    ("label;text\n" + "1;good, film\n0;bad film\n" * 12).encode(),
    ("text\tid\tlabel\n" + "good\t1\t1\nbad\t2\t0\n" * 12).encode()])
def test_good_files_in_many_forms(content):
    rows = read_csv(content).rows
    assert [label for _, label in rows] == [1, 0] * 12 and all(("good" in text) == bool(label) for text, label in rows)


@pytest.mark.parametrize(("name", "note"), [
    ("text-cp1252", "Western European"), ("text-float", ""), ("text-html-br", ""),
    ("text-imdb-kaggle", "“review” was taken for the text, “sentiment” for the label."),
    ("text-one-empty", "Line 26 has an empty text."),
    ("text-sentiment140", "column 6 was taken for the text, column 1 for the label"),
    ("text-spam", "“v2” was taken for the text, “v1” for the label.")])
def test_files_as_people_have_them(name, note):
    found = read_csv((CASES / f"{name}.csv").read_bytes())
    rows, notes = found.rows, found.notes
    assert len(rows) == 24 and sum(label for _, label in rows) == 12 and not any("<br" in text for text, _ in rows)
    assert {text.split()[0] for text, label in rows if label} == {"a", "so", "what", "great"}, "the kind ones"
    assert (note in " ".join(notes)) if note else not notes
    assert found.classes == {
        "text-spam": ("ham", "spam"), "text-sentiment140": CLASSES, "text-imdb-kaggle": CLASSES}.get(
        name, ("0", "1")), "numbers are called what the file calls them, unless it says that they are sentiment"


def many(classes: tuple[str, ...], each: int = 12, head: str = "text,label") -> bytes:
    """A CSV of texts whose last word is their class's."""
    return (head + "\n" + "".join(f"some words of number {i} about {name.lower()},{name}\n" for i in range(each)
                                  for name in classes)).encode()


@pytest.mark.parametrize(("content", "classes", "note"), [
    (many(("Sport", "Art", "Law", "sea")), ("Art", "Law", "sea", "Sport"), ""),
    (many(("10", "9.0", "-2")), ("-2", "9", "10"), ""), (many(("Spam", "ham")) + b"more of it,SPAM\n", ("ham", "Spam"), ""),
    (many(("0", "1"), head="text,polarity"), CLASSES, "0 was taken for negative, 1 for positive."),
    (many(("true", "false")), ("false", "true"), ""), (many(("a", "b"), head="Inhalt,Thema"), ("a", "b"), "“Inhalt” was taken"),
    (many(("a", "b")).split(b"\n", 1)[1], ("a", "b"), "There are no titles: column 1 was taken for the text"),
    (many(("a", "b")) + b"one,c\n", ("a", "b"), "1 line left out whose label has fewer than 10 texts: “c”."),
    (many(("a", "b"), head="sms,note"), ("a", "b"), "“sms” was taken for the text, “note” for the label")], ids=str)
def test_any_classes(content, classes, note):
    found = read_csv(content)
    assert found.classes == classes and (note in " ".join(found.notes) if note else not found.notes)
    for text, place in found.rows:
        assert text == "more of it" or classes is CLASSES or text.split()[-1] in {
            classes[place].lower(), f"{classes[place]}.0"}, "each text keeps its class"


@settings(max_examples=15)
@given(st.lists(st.sampled_from(["a", "Bé", "3", "3.0", "no label", "<b>", "=1+1"]), min_size=2, max_size=4, unique=True))
def test_what_is_kept_is_read_as_it_was(labels):
    """Names of any kind survive the way through the file that is kept, and say the same class."""
    found = read_csv(many(tuple(labels))) if len({str(label).removesuffix(".0") for label in labels}) > 1 else None
    if found:
        with TemporaryDirectory() as folder:
            kept = import_csv(many(tuple(labels)), Path(folder))
            config = DataConfig(dataset="own_texts", text_file=kept.name, validation=1)
            spec, data = spec_for(config, Path(folder)), load(config, Path(folder))
            assert spec.classes == data.classes == found.classes and spec.counts[0] == len(data.train) + 1
            assert kept.counts == tuple(a + b + c for a, b, c in zip(*(part.counts(len(found.classes)) for part in (
                data.train, data.validation, data.test)), strict=True))


def test_columns_that_somebody_has_chosen():
    content = b"title,text,topic,label\n" + b"".join(b"short %d,some longer words,%c,%d\n" % (i, b"ab"[i % 2], i % 3)
                                                    for i in range(60))
    assert read_csv(content).taken == (1, 3) and read_csv(content).columns == ("title", "text", "topic", "label")
    other = read_csv(content, taken=(0, 2))
    assert other.rows[0] == ("short 0", 0) and other.classes == ("a", "b") and other.taken == (0, 2)
    with pytest.raises(TextsRefused, match="60 labels of 60 have too few texts") as caught:
        read_csv(content, taken=(1, 0))
    assert caught.value.columns == ("title", "text", "topic", "label"), "so that other ones can be chosen"
    for wrong in ((0, 0), (0, 9), (-1, 0)):
        with pytest.raises(TextsRefused, match="two different columns"):
            read_csv(content, taken=wrong)


def test_lines_that_can_not_be_used_are_left_out_as_long_as_they_are_few():
    found = read_csv((csv_of() + "one,too,many\nfine,\nfine,neutral\n").encode())
    assert len(found.rows) == 24 and found.classes == CLASSES and found.notes == (
        "1 line left out whose label has fewer than 10 texts: “neutral”.",
        "2 lines left out. The first: Line 26 has 3 columns and the first line 2. Put a text with commas in quotation marks.")
    with pytest.raises(TextsRefused, match="Line 26 has 3 columns"):
        read_csv((csv_of() + "one,too,many\n" * 3).encode())


@pytest.mark.parametrize(("content", "line"), [
    (b"", "The file is empty"), (b" \n\n", "The file is empty"), (b",,\n", "The file is empty"),
    (b"\xff\xfe", "The file is empty"), (b"\xef\xbb\xbf", "The file is empty"), (b"text,label\n", "no texts"),
    (b"review,author\nfine,5\n", "no column label; its first line is “review”, “author”"),
    (b"text,text,label\na,b,1\n", "more than one column text"), (b"text\nfine\n", "no column label"),
    (csv_of().replace("neg", "positive").encode(), "All texts have the label “positive”"),
    (csv_of(3).encode(), "2 labels of 2 have too few texts: 3 with “neg”, 3 with “positive”"),
    (b"text,label\nfine,meh\n", "All texts have the label “meh”"), (b"text,label\nfine,\n", "Line 2 has no label"),
    (b"text,label\n" + b"".join(b"t%d,%d\n" % (i, i) for i in range(300)), "300 different values; at most 200"),
    (b"text,label\n" + b"a," + b"long " * 30 + b"\n", "149 characters, and a class's name has 60"),
    (b"," * 10_000_000, "more than 101,000 commas or tabs; at most 1,000 columns"),
    (b'"\n",' * 200_000, "more than 101,000 commas or tabs"),
    (b"text,label\n" + (b"x" * 100_000 + b",") * 21, "more than 2,000,000 characters"),
    (csv_of().encode() + b"\xe9\0,a\n", "NUL bytes"), (b"a," * 1200 + b"\n", "1,201 columns"),
    (b"text,label\n,positive\n", "Line 2 has an empty text"),
    (b"text,label\nok,1\na,b,1\na,c,1\n", "Line 3 has 3 columns"), (b'text,label\n"never closed,1\n', "opened and never closed"),
    (b'text,label\n"a"b,1\n', "Line 2 can't be read"),
    (bytes(range(128, 256)) * 9 + b",1\n", "not UTF-8 text (byte 0x80"),
    (csv_of().encode() + b"a\0b,1\n", "NUL bytes"), (b"\xff\xfe\x00", "not UTF-8 text"),
    (b"text,label\n" + b"x" * 100_001 + b",1\n", "100,001 characters"),
    (b"text,label\n" + b"y" * 200_000 + b",1\n", "field limit"),
    (b"\x89PNG\r\n\x1a\n", "not UTF-8 text"), (b"text,label\n" + b"a,1\n" * (MOST_TEXTS + 1), "more than 100,000 texts"),
    (b"a" * 100_000_001, "100 MB"), (b"text,label\nfine," + b"z" * 90_000 + b"\n", "…”")],
    ids=lambda value: value if isinstance(value, str) else "")
def test_bad_files_get_one_line(content, line):
    with pytest.raises(TextsRefused) as caught:
        read_csv(content)
    said = str(caught.value)
    assert line in said and "\n" not in said and len(said) < 300 and said.isprintable()


CELLS = st.text(alphabet='ab,;\t"\n\r é0.1<>', max_size=8)


@settings(max_examples=60)
@given(st.binary(max_size=300) | st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join), max_size=40).map(
    lambda lines: "\n".join(["text,label", *lines]).encode()), st.sampled_from([None, (0, 1), (1, 0), (2, 0)]))
def test_any_bytes_are_texts_or_one_line(content, taken):
    try:
        found = read_csv(content, taken)
    except TextsRefused as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 400
    else:
        assert sum(found.counts) == len(found.rows) and min(found.counts) >= 10
        assert np.bincount([place for _, place in found.rows], minlength=len(found.classes)).tolist() == list(found.counts)
        assert all(text.strip() == text != "" for text, _ in found.rows)


def test_what_a_csv_writer_writes_is_read_as_it_was():
    """Quotation marks, line ends and delimiters inside texts, in each encoding."""
    rows = [(f'one "{n}", two\nthree; {"é" * (n % 3)}\tfour', "ab"[n % 2]) for n in range(30)]
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        for delimiter in ",;\t":
            file = io.StringIO(newline="")
            csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *rows])
            found = read_csv(file.getvalue().encode(encoding))
            assert found.rows == [(text, "ab".index(label)) for text, label in rows] and found.counts == (15, 15)


def test_a_large_file_is_read_in_pieces(tmp_path):
    """Of 12 MB there are never more than a few in memory, whatever is done with the file."""
    with (tmp_path / "large.csv").open("w", encoding="cp1252") as file:
        file.write("text;label\n")
        file.writelines(f"é {'word ' * 800}{n};{'ab'[n % 2]}\n" for n in range(3000))
    with (tmp_path / "large.csv").open("rb") as file:
        tracemalloc.start()
        try:
            texts = TextsFile(file)
            count = sum(1 for _ in texts.rows())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert count == 3000 and texts.found.counts == (1500, 1500) and peak < 6_000_000


def test_an_uploaded_file_is_kept_once_and_can_be_learned_from(tmp_path):
    kept = import_csv(csv_of().encode(), tmp_path)
    again = import_csv(csv_of().encode("utf-16"), tmp_path)
    assert kept == again and (kept.was_there, again.was_there) == (False, True)
    assert kept.counts == (12, 12) and kept.classes == CLASSES and own_texts(tmp_path) == [kept.name]
    config = DataConfig(dataset="own_texts", text_file=kept.name, validation=4, vocabulary=9)
    data = load(config, tmp_path)
    assert (len(data.train), len(data.validation), data.test.counts(2)) == (16, 4, [2, 2])
    other = config.model_copy(update={"split_seed": 5})
    assert read_texts(other, tmp_path).test == read_texts(config, tmp_path).test, "no split seed moves a test text"
    (tmp_path / "texts" / f"{kept.name}.json").unlink()
    assert load(config, tmp_path).classes == CLASSES, "files that were kept before there were other classes"
    (tmp_path / "texts" / f"{kept.name}.csv").write_bytes(csv_of().replace("neg", "negative").encode() + b"odd,meh\n")
    with pytest.raises(DataDamaged, match="line 26 is “meh”, which is none of its classes"):
        load(config, tmp_path)
    (tmp_path / "texts" / f"{kept.name}.csv").write_bytes(b"text,label\n")
    with pytest.raises(DataDamaged, match="is damaged: The file has a first line and no texts"):
        load(config, tmp_path)
    delete_own(tmp_path, kept.name)
    delete_own(tmp_path, kept.name)
    with pytest.raises(DataMissing, match="upload the CSV again"):
        load(config, tmp_path)


@pytest.mark.parametrize("about", [b"", b"[]", b"{}", b'{"classes": ["a"], "counts": [1, 1]}', b"\xff",
                                   b'{"classes": ["a", "[b](c)"], "counts": [1, 1]}', b'{"classes": ["a", "b"], "counts": 7}'])
def test_classes_that_are_not_ours_get_one_line(tmp_path, about):
    kept = import_csv(many(("a", "b", "c")), tmp_path)
    (tmp_path / "texts" / f"{kept.name}.json").write_bytes(about)
    with pytest.raises(DataDamaged, match="Delete these texts and upload them again"):
        outline(DataConfig(dataset="own_texts", text_file=kept.name), tmp_path)


def test_four_classes_from_the_file_through_the_worker_to_the_answers(tmp_path, settings):
    kept = import_csv(many(("Art", "Law", "Sea", "Sport"), 20), settings.data_dir)
    config = PRESET.with_values({"data.dataset": "own_texts", "data.text_file": kept.name, "data.validation": 12,
                                 "training.loss": "cross_entropy", "training.epochs": 12, "training.batch_size": 4})
    assert outline(config.data, settings.data_dir).source_classes == kept.classes == ("Art", "Law", "Sea", "Sport")
    store = RunStore(tmp_path / "runs")
    run = run_here(store, settings, config)
    assert run.status == "finished", run.message
    trained = load_model(store, run.id)
    answers = trained.predict(load(config.data, settings.data_dir).test.images)
    assert trained.classes == kept.classes and answers.shape == (16, 4) and run.test_accuracy == 1.0
    store.close()


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "x" * 64, "A" * 16, "0123456789abcde\n"])
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    with pytest.raises(DataMissing):
        load(DataConfig(dataset="own_texts", text_file=name), tmp_path)
    (tmp_path / "precious.csv").write_text("mine", encoding="utf-8")
    delete_own(tmp_path / "data", "../../precious")
    assert (tmp_path / "precious.csv").exists()


def test_without_a_file_there_is_a_line():
    with pytest.raises(DataMissing, match="upload a CSV"):
        load(DataConfig(dataset="own_texts"), NOWHERE)


# --- the network

def test_the_bag_is_the_mean_of_known_rows():
    model = build(TextEmbeddingConfig(words=5, width=3, fc_width=4), (6,), 1, seed=0)
    row = torch.tensor([[2, 3, 3, 0, 0, 0]])
    table = model.embedding.weight
    assert torch.allclose(model.embedding(row)[0], (table[2] + 2 * table[3]) / 3)
    assert torch.equal(model.embedding(torch.zeros(1, 6, dtype=torch.long)), torch.zeros(1, 3)), "no word at all"
    assert torch.allclose(model(row), model(torch.tensor([[0, 3, 0, 2, 3, 0]]))), "neither order nor gaps change anything"
    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    plain.load_state_dict({"0.weight": model.fc1.weight, "0.bias": model.fc1.bias, "2.weight": model.fc2.weight,
                           "2.bias": model.fc2.bias})
    assert torch.allclose(model(row), plain(((table[2] + 2 * table[3]) / 3)[None]))
    model(row).sum().backward()
    assert table.grad[2:4].any() and not table.grad[0].any() and not table.grad[4:].any()


@pytest.mark.parametrize("key", [key for key in ARCHITECTURES if key != "text_embedding"])
def test_other_networks_refuse_texts(key):
    with pytest.raises(ModelError) as caught:
        prepare(PRESET.with_values({"model.architecture": key}), NOWHERE)
    assert str(caught.value).endswith("set model.architecture to text_embedding.") and "can't read texts" in str(caught.value)


@pytest.mark.parametrize(("kind", "shape"), [("images", (1, 28, 28)), ("points", (2,))])
def test_a_bag_refuses_what_is_no_text(kind, shape):
    with pytest.raises(ModelError, match=r"Bag of embeddings can't read .*, only texts; set model.architecture to mlp\."):
        check_kind(TextEmbeddingConfig(), kind)
    if kind == "images":
        with pytest.raises(ModelError, match=r"needs texts \(words\), not shape \(1, 28, 28\)"):
            build(TextEmbeddingConfig(), shape, 10)


def test_a_table_that_is_too_small_is_refused():
    with pytest.raises(ModelError, match=r"model.words is 999 and data.vocabulary 1,000.*Set model.words to 1,000"):
        prepare(PRESET.with_values({"model.words": 999}), NOWHERE)


def test_the_seed_decides_the_weights():
    data = load(PRESET.data, NOWHERE)
    state = torch.get_rng_state()
    one, two = (build_for(PRESET, data).state_dict() for _ in range(2))
    assert torch.equal(state, torch.get_rng_state()) and all(torch.equal(one[name], two[name]) for name in one)
    assert one["embedding.weight"].std().item() == pytest.approx(0.1, rel=0.05) and not one["embedding.weight"][0].any()


@pytest.mark.parametrize(("name", "fields"), [
    ("reviews", {"validation": 100, "vocabulary": 1000, "text_length": 64}),
    ("imdb", {"validation": 5000, "vocabulary": 20_000, "text_length": 400})])
def test_many_texts_begin_with_more_words_and_longer_texts(name, fields):
    assert default_config(name).model_dump(include=set(fields)) == fields


def test_a_run_on_texts_from_start_to_its_trained_model(tmp_path, settings):
    store = RunStore(tmp_path / "runs")
    run = run_here(store, settings, PRESET.with_values({"training.epochs": 4}))
    assert run.status == "finished", run.message
    trained = load_model(store, run.id)
    data = load(PRESET.data, NOWHERE)
    answers = trained.predict(data.test.images)
    assert answers.shape == (120, 2) and torch.allclose(answers.sum(1), torch.ones(120))
    assert run.test_accuracy == pytest.approx(float((answers.argmax(1) == data.test.labels).float().mean()))
    with pytest.raises(ValueError, match=r"needs \(N, 64\)"):
        trained.predict(data.test.images[:, :10])
    store.close()


@pytest.mark.parametrize("change", [
    {"fraction": 0.5}, {"label_noise": 0.1}, {"imbalance": 0.5}, {"only_classes": ["positive"]}, {"join": ["imdb"]},
    {"variations": 2}], ids=str)
def test_what_is_not_for_texts_is_refused_and_not_left_out(change, tmp_path):
    config = default_config("reviews").model_copy(update={name: tuple(value) if isinstance(value, list) else value
                                                          for name, value in change.items()})
    with pytest.raises(DataError, match=next(iter(change))) as refused:
        load(config, tmp_path)
    assert "\n" not in str(refused.value)
