"""The one visual language of .streamlit/config.toml: what it promises of contrast, computed by WCAG 2.2's formulas."""

import tomllib
from itertools import product
from pathlib import Path

import pytest

from core.figures import building_blocks, data_loading, diagram, evaluation, explore, grids, linear_regression, troubles
from core.figures.answers import answer_strip
from core.figures.palette import BLUE_TEXT, CLASSES, GREY, GREY_TEXT, ON_BARS, ORANGE_TEXT, TRAIN, VALIDATION

ROOT = Path(__file__).parents[1]
CONFIG = tomllib.loads((ROOT / ".streamlit/config.toml").read_text(encoding="utf-8"))
THEMES = {name: CONFIG["theme"][name] for name in ("light", "dark")}
GROUNDS = [(name, ground) for name in THEMES for ground in ("backgroundColor", "secondaryBackgroundColor")]
LINES = {*CLASSES, TRAIN, VALIDATION, GREY, *evaluation.MODEL_COLORS, *linear_regression.COLORS, *building_blocks.COLORS.values(),
         *troubles.COLOURS.values()}
FADED = 0.6  # of the text's colour: Streamlit's captions


def rgb(color: str) -> tuple[float, ...]:
    return tuple(int(color[place:place + 2], 16) / 255 for place in (1, 3, 5))


def luminance(color: tuple[float, ...]) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    return sum(share * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
               for share, part in zip((0.2126, 0.7152, 0.0722), color, strict=True))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mixed(text: tuple[float, ...], ground: tuple[float, ...], share: float) -> tuple[float, ...]:
    return tuple(share * one + (1 - share) * other for one, other in zip(text, ground, strict=True))


def test_contrast_by_hand():
    assert contrast(rgb("#000000"), rgb("#ffffff")) == pytest.approx(21)
    assert contrast(rgb("#777777"), rgb("#ffffff")) == pytest.approx(4.48, abs=0.005)  # the well-known grey that just fails


@pytest.mark.parametrize(("name", "ground"), GROUNDS)
def test_text_captions_and_links_can_be_read(name, ground):
    theme = THEMES[name]
    text, under = rgb(theme["textColor"]), rgb(theme[ground])
    assert contrast(text, under) >= 7
    assert contrast(mixed(text, under, FADED), under) >= 4.5
    assert contrast(rgb(theme["linkColor"]), under) >= 4.5


@pytest.mark.parametrize("name", THEMES)
def test_a_button_can_be_read_and_seen(name):
    button = rgb(THEMES[name]["primaryColor"])
    assert contrast(rgb("#ffffff"), button) >= 4.5  # Streamlit writes white on it, whatever its colour is
    assert contrast(button, rgb(THEMES[name]["backgroundColor"])) >= 3


@pytest.mark.parametrize(("color", "name"), sorted(product(LINES, THEMES)))
def test_a_line_of_a_chart_is_seen_in_both_themes(color, name):
    assert contrast(rgb(color), rgb(THEMES[name]["backgroundColor"])) >= 3


@pytest.mark.parametrize(("name", "ground"), GROUNDS)
@pytest.mark.parametrize("text", [BLUE_TEXT, ORANGE_TEXT, GREY_TEXT], ids=["blue", "orange", "grey"])
def test_small_coloured_text_can_be_read(text, name, ground):
    assert contrast(rgb(text[name == "dark"]), rgb(THEMES[name][ground])) >= 4.5


@pytest.mark.parametrize("name", THEMES)
def test_captions_of_example_answers_can_be_read(name):
    """Right and wrong ones, in the option that is sent to the browser, where words are as opaque as their points."""
    strip = answer_strip(["a", "b"], ["7", "8"], ["7", "3"], [0.98, 0.6], dark=name == "dark")
    assert strip["series"][0]["itemStyle"] == {"opacity": 1}
    colours = [point["label"]["color"] for point in strip["series"][0]["data"]]
    assert len(set(colours)) == 2
    assert all(contrast(rgb(colour), rgb(THEMES[name]["backgroundColor"])) >= 4.5 for colour in colours)


def by_plotly(ground: str) -> str:
    """The text that Plotly writes on a cell: white on what its brightness calls dark, else a dark grey."""
    red, green, blue = rgb(ground)
    return "#ffffff" if 0.299 * red + 0.587 * green + 0.114 * blue < 128 / 255 else "#444444"


@pytest.mark.parametrize(("text", "ground"), [
    *(("#ffffff", colour) for colour in sorted({*diagram.COLOURS.values(), diagram.ACTIVATION, diagram.FUNCTION, diagram.OTHER})),
    *((by_plotly(colour), colour) for colour in grids.COLORS), *((ON_BARS, colour) for colour in (TRAIN, VALIDATION, GREY)),
    *(("#000000", data_loading.pale(colour)) for colour in explore.class_colors(10)),
    *(("#000000", colour) for _, colour in evaluation.SHARES)])
def test_text_on_a_colour_can_be_read(text, ground):
    assert contrast(rgb(text), rgb(ground)) >= 4.5


def test_charts_without_colours_of_their_own_take_the_palette():
    assert tuple(CONFIG["theme"]["chartCategoricalColors"]) == CLASSES and len(set(CLASSES)) == 10


def test_the_headings_font_ships_with_the_app():
    [face] = CONFIG["theme"]["fontFaces"]
    assert face["url"].startswith("app/static/") and CONFIG["server"]["enableStaticServing"]
    assert (ROOT / face["url"].removeprefix("app/")).read_bytes()[:4] == b"wOF2"
    assert f"'{face['family']}'" in CONFIG["theme"]["headingFont"]
    assert "SIL OPEN FONT LICENSE" in (ROOT / "static/fonts/OFL.txt").read_text(encoding="utf-8").upper()
