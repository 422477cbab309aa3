"""The confusion matrix as cells and as a picture."""

import numpy as np

from core.figures.confusion import about_cells, cell_colors, cell_texts, confusion_picture
from tests.test_look import contrast, rgb

COUNTS = np.array([[90, 0, 10], [1, 1999, 0], [0, 0, 0]])  # no image of the third class
CLASSES = ["cat", "dog", "a long name of a class"]


def test_cells_say_counts_or_shares_of_their_row():
    assert cell_texts(COUNTS, as_shares=False) == [["90", "", "10"], ["1", "1,999", ""], ["", "", ""]]
    assert cell_texts(COUNTS, as_shares=True)[0] == ["90.0", "", "10.0"]


def test_each_cell_in_words():
    about = about_cells(COUNTS, CLASSES)
    assert about[0][2] == "true cat, said a long name of a class: 10 images, 10.0 % of class cat"
    assert about[1][0] == "true dog, said cat: 1 image, 0.1 % of class dog"
    assert about[2][2].endswith("0 images, 0.0 % of class a long name of a class")


def test_fuller_cells_are_darker_and_their_text_is_light():
    colors = cell_colors(COUNTS)
    assert colors[0][1] == ("#eef3f6", "#000000") and colors[1][1][1] == "#ffffff"
    assert int(colors[0][0][0][1:3], 16) < int(colors[0][2][0][1:3], 16) < int(colors[0][1][0][1:3], 16)


def test_every_cells_text_can_be_read():
    counts = np.array([[share, 1000 - share] for share in range(1001)])
    for share in range(0, 1001):
        for ground, text in cell_colors(counts[[share, share]])[0]:
            assert contrast(rgb(ground), rgb(text)) >= 4.5, (share, ground, text)


def test_the_picture_has_a_cell_of_its_colour_for_each_count():
    picture = confusion_picture(COUNTS, CLASSES, as_shares=False)
    assert picture.shape == (96 + 3 * 48, 96 + 3 * 48, 3) and picture.dtype == np.uint8
    for row in range(3):
        for column in range(3):
            corner = picture[96 + 48 * row + 2, 96 + 48 * column + 2].tolist()
            assert "#" + bytes(corner).hex() == cell_colors(COUNTS)[row][column][0]
