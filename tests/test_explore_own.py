"""Explore data, Bring your own: from an upload over its report to a data set, and back."""

import io
import zipfile
from pathlib import Path

import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.testing.v1 import AppTest

from core.config import read_config
from core.data import default_config, import_images, load, spec_of
from core.data.own.sets import FOLDER, own_sets
from pages.parts.shell import keys
from tests.archives import png, two_classes, zipped

ROOT = Path(__file__).parents[1]


@pytest.fixture
def root(tmp_path, places, monkeypatch) -> Path:
    """Data and runs folders of the test's own; what is started stays in the queue."""
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return tmp_path / "data"


def section(dataset: str = "digits") -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run().switch_page("pages/explore_data.py").run()
    at.session_state["explore.dataset"] = dataset
    at.session_state["explore.section"] = "Bring your own"
    return whole(at.run())


def whole(at: AppTest) -> AppTest:
    assert [error.value for error in at.exception] == []
    return at


def upload(at: AppTest, files: dict[str, bytes], name: str = "pets.zip") -> AppTest:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    key = f"explore.own.file.{at.session_state[keys.OWN_VERSION]}"
    at.file_uploader(key=key).set_value((name, packed.getvalue(), "application/zip")).run()
    return whole(at.button(key="explore.own.check").click().run())


def click(at: AppTest, key: str) -> AppTest:
    return whole(at.button(key=key).click().run())


def written(at: AppTest) -> str:
    kinds = (at.header, at.markdown, at.caption, at.info, at.success, at.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def test_it_says_what_to_bring_and_who_sees_it_before_anything_is_uploaded(root):
    at = section()
    assert "everybody who can open this page" in at.info[0].value
    assert any("labels.csv" in code.value for code in at.code) and at.button(key="explore.own.check").disabled
    assert not root.exists()  # looking writes nothing


def test_from_an_upload_over_the_report_to_a_draft_that_trains_on_it(root):
    at = upload(section(), two_classes(10) | {"cat/broken*[x](y).png": b"\x89PNG", "cat/copy.png": png(seed=0)})
    assert own_sets(root) == []  # not before it is wanted
    assert {"Accepted": "21", "Resized": "21", "Rejected": "1", "Exact copies": "1"}.items() <= metrics(at).items()
    frames = [frame.value for frame in at.dataframe]
    assert frames[0].iloc[0].tolist() == ["cat/broken*[x](y).png", "damaged: it begins like a picture and isn't one"]
    assert frames[1].iloc[0].tolist() == ["cat/0.png", "cat/copy.png", "exact"]
    assert at.text_input(key="explore.own.title").value == "pets"
    at.text_input(key="explore.own.title").set_value("My *pets*")
    click(at, "explore.own.keep")
    own = own_sets(root)[0]
    assert own.title == "My *pets*" and r"My \*pets\*" in at.success[0].value
    assert not list((root / FOLDER).glob(".*"))
    click(at, "explore.own.look")
    assert at.session_state["explore.dataset"] == own.name and metrics(at)["Training images"] == "15"
    at.session_state["explore.section"] = "Bring your own"
    click(whole(at.run()), "explore.own.train")
    config = read_config(at.session_state[keys.DRAFT])
    assert config.data.dataset == own.name and len(load(config.data, root).train) == 15
    at.switch_page("pages/train_model.py").run()
    whole(at)
    assert not at.button(key="train.start").disabled
    click(at, "train.start")


def test_it_can_be_dropped_again_and_a_new_check_drops_the_last_one(root):
    at = upload(section(), two_classes())
    first = at.session_state[keys.OWN_CHECKED].folder
    at = upload(at, two_classes(5))
    second = at.session_state[keys.OWN_CHECKED].folder
    assert not first.exists() and second.exists() and metrics(at)["Accepted"] == "10"
    click(at, "explore.own.discard")
    assert list((root / FOLDER).iterdir()) == [] and "What was found" not in written(at)


def files_removed(monkeypatch) -> list[str]:
    """Uploads whose memory is given back from now on, by their ids."""
    removed: list[str] = []
    remove = MemoryUploadedFileManager.remove_file
    monkeypatch.setattr(MemoryUploadedFileManager, "remove_file",
                        lambda manager, session, file: (removed.append(file), remove(manager, session, file)))
    return removed


def test_an_uploads_memory_is_given_back(root, monkeypatch):
    """A private part of Streamlit, see `free`."""
    removed = files_removed(monkeypatch)
    assert metrics(upload(section(), two_classes()))["Accepted"] == "8"
    assert len(removed) == 1


@pytest.mark.parametrize("part", ["streamlit.runtime.scriptrunner.get_script_run_ctx",
                                  "streamlit.runtime.memory_uploaded_file_manager.MemoryUploadedFileManager.remove_file"])
def test_an_upload_is_read_where_its_memory_can_not_be_given_back(part, root, monkeypatch):
    at = section()
    removed = files_removed(monkeypatch)
    monkeypatch.delattr(part)
    assert metrics(upload(at, two_classes()))["Accepted"] == "8"
    assert removed == []


def test_what_cannot_be_kept_gets_one_line_and_its_files(root):
    at = upload(section(), {"one*/a.png": png(), "one*/b.txt": b"x"})
    assert r"one class, “one\*”" in at.error[0].value
    assert at.dataframe[0].value.iloc[0].tolist() == ["one*/b.txt", "not a picture (PNG, JPEG, WebP, BMP, GIF, TIFF or PGM)"]
    assert list((root / FOLDER).iterdir()) == []
    at = upload(at, two_classes())
    assert not at.error and metrics(at)["Accepted"] == "8"


def test_a_data_directory_that_cannot_be_written_to_gets_one_line(root):
    at = section()
    root.write_text("a file, not a folder", encoding="utf-8")
    at = upload(at, two_classes())
    assert len(at.error) == 1 and "PLAYGROUND_DATA" in at.error[0].value


def test_it_is_there_where_the_chosen_data_set_is_missing(root):
    at = section("mnist")
    assert at.button(key="explore.download") and at.button(key="explore.own.check")


def test_deleting_asks_first_and_a_draft_on_it_falls_back(root, tmp_path):
    report = import_images(zipped(tmp_path / "a.zip", two_classes(10)), root, title="Pets")
    at = section(report.name)
    assert "Pets" in written(at) and "yours" not in written(at)
    at.session_state[keys.DRAFT] = at.session_state[keys.DRAFT] | {
        "data": default_config(report.name, root).model_dump(mode="json")}
    own = report.name.removeprefix("own:")
    assert "for everybody" in written(at)
    click(at, f"explore.own.delete.{own}.sure")
    assert own_sets(root) == [] and at.session_state["explore.dataset"] == "digits"
    assert at.session_state[keys.DRAFT]["data"]["dataset"] == "digits"
    for path in ("pages/train_model.py", "pages/build_model.py"):
        whole(at.switch_page(path).run())


def test_forms_offer_it_and_hold_back_what_suits_it(root, tmp_path):
    report = import_images(zipped(tmp_path / "a.zip", two_classes(10)), root, title="Pets")
    at = AppTest.from_file(str(ROOT / "pages/build_model.py"), default_timeout=60).run()
    version = at.session_state[keys.DRAFT_VERSION]
    box = at.selectbox(key=f"form.{version}.data.dataset")
    assert "Pets" in box.options
    whole(box.set_value(report.name).run())
    data = read_config(at.session_state[keys.DRAFT]).data
    assert (data.dataset, data.validation, data.variations, data.target) == (report.name, 2, 0, 1)
    assert "of Pets to 2 outputs" in written(at) and spec_of(report.name).title == "Pets"


def test_an_option_that_changes_after_the_report_is_what_is_kept(root):
    """Colour, chosen while the report is shown: the archive is read again, the report is of that, and the title typed stays."""
    at = upload(section(), two_classes(6))
    at.text_input(key="explore.own.title").set_value("My pets").run()
    assert at.session_state[keys.OWN_CHECKED].samples().shape[1] == 1
    at.segmented_control(key="explore.own.channels").set_value(3).run()
    assert whole(at).session_state[keys.OWN_CHECKED].samples().shape[1] == 3
    assert at.text_input(key="explore.own.title").value == "My pets" and metrics(at)["Accepted"] == "12"
    click(at, "explore.own.keep")
    (own,) = own_sets(root)
    assert own.input_shape == (3, 28, 28) and own.title == "My pets"
    assert not list((root / FOLDER).glob(".*")), "what was checked in gray is gone"
    assert keys.OWN_ARCHIVE not in at.session_state, "and so is the upload"
    at.segmented_control(key="explore.own.channels").set_value(1).run()
    assert keys.OWN_CHECKED not in whole(at).session_state, "nothing is read again once it is kept"


def test_another_reading_is_chosen_and_read_at_once(root):
    """Names of files are offered where folders say nothing, also after a refusal."""
    at = upload(section(), {f"train/{kind}.{n}.png": png(seed=10 * n + len(kind)) for kind in ("cat", "horse") for n in range(4)})
    assert "All images are of one class" in at.error[0].value and "Accepted" not in metrics(at)
    box = at.selectbox(key="explore.own.reading")
    assert [option for option in box.options if "“cat”, “horse”" in option]
    at = whole(box.select("names").run())
    assert metrics(at)["Accepted"] == "8" and not at.error
    assert "The first word of each file's name is its class" in written(at)
    click(at, "explore.own.keep")
    assert own_sets(root)[0].classes == ("cat", "horse")


def test_a_tables_other_column_is_the_class_and_the_next_upload_begins_anew(root):
    rows = "\n".join(f"{n}.png,{('cup', 'jug')[n % 2]},{('red', 'blue', 'blue')[n % 3]}" for n in range(8))
    at = upload(section(), {f"{n}.png": png(seed=n) for n in range(8)} | {"what.csv": f"file,class,colour\n{rows}".encode()})
    assert "“class” is the class" in written(at)
    at = whole(at.selectbox(key="explore.own.reading").select("table:colour").run())
    assert "“colour” is the class" in written(at)
    at = upload(at, two_classes())
    assert metrics(at)["Accepted"] == "8" and "“colour”" not in written(at)
