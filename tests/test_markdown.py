"""Words of people where Streamlit takes Markdown: seen as they were written."""

import pytest

from core.training import Started
from pages.parts.widgets.markdown import JOINER, as_text
from tests.helpers import tiny
from tests.hostile import HOSTILE
from tests.test_pages import assert_whole, page, runs, texts  # noqa: F401 (runs is a fixture)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_is_added_but_backslashes_and_joiners(text):
    """Read back by the rule that Markdown has: a backslash before a sign stands for the sign."""
    shown = as_text(text).replace(JOINER, "")
    read, place = "", 0
    while place < len(shown):
        place += shown[place] == "\\"
        read += shown[place]
        place += 1
    assert read == text


@pytest.mark.parametrize(("text", "shown"), [
    ("_a_ __init__ a__b out_features 2_", r"\¯a\¯ \¯\¯init\¯\¯ a\¯\¯b out¯features 2\¯"),
    ("**a** [b](c) <d> $e$ :f: ![g](h)", r"\*\*a\*\* \[b\](c) \<d\> \$e\$ \:_f\: !\[g\](h)"),
    ("~ | # & { } ` \\", r"\~ \| \# \& \{ \} \` \\"),
    (":material/home:", r"\:_material/home\:"), (":red[x]", r"\:red\[x\]"), ("12:30 own:a Error: b", r"12\:30 own\:a Error\: b"),
    ("https://a.b www.a.b c@a.b", r"https\:_//a.b www_.a.b c@_a.b"), ("a -> b -- c", r"a -_\> b -_- c"), ("a->b -5", r"a-\>b -5"),
    ("1. a", "1_. a"), ("1.5", "1.5"), ("- a", "-_ a"), ("-5", "-5"), ("---", "-_--"), ("  two\n\n  lines ", "two lines"),
])
def test_what_has_a_meaning_is_taken_apart(text, shown):
    """_ stands for a joiner here, and ¯ for _."""
    assert as_text(text) == shown.replace("_", JOINER).replace("¯", "_")


TITLE, REASON = "**8** :material/home: [a](https://b.c) $x$", "Class <b>one_</b> is $5 [x](y)."


@pytest.mark.parametrize("path", ["app.py", "pages/train_model.py", "pages/compare_runs.py"])
def test_a_run_with_such_a_title_and_reason_is_shown_as_it_is(runs, path):  # noqa: F811
    run = runs.create_running(tiny(), "someone", "here", TITLE)
    runs.begin(run.id, Started(20, 60, 6370, "cpu", "float32"))
    runs.finish(run.id, "failed", REASON)
    at = page(path, run.id)
    assert_whole(at)
    shown = "\n".join([texts(at), *(button.label for button in at.button), *(line.value for line in at.error)])
    assert as_text(TITLE) in shown and as_text(REASON) in shown
    assert TITLE not in shown and REASON not in shown
