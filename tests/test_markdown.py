"""Words of people where Streamlit takes Markdown: seen as they were written."""

import pytest

from pages.parts.widgets.markdown import JOINER, as_text

HOSTILE = [
    "**bold** *soft* __b__ _i_ ~~gone~~ `code`", "[a link](https://example.org) ![a picture](https://example.org/a.png)",
    "<b>tag</b> <!-- x --> &amp; &lt;", "$a^2$ costs $5 or $6", ":red[red] :blue-background[b] :small[s] :violet-badge[v]",
    ":smile: :+1: :material/home: :streamlit:", "https://example.org www.example.org somebody@example.org",
    "a -> b <- c <-> d -- e >= f <= g ~= h", "# no heading", "> no quote", "- no list", "+ no list", "1. no list", "2) no list",
    "---", "===", "| a | b |", "back\\slash \\* \\$", "{braces} [^1] [ref]: x", "12:30, own:abc, C:\\Users\\me_too_",
    "猫 собака 🐈", "",
]


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
    ("**a** [b](c) <d> $e$ :f: ![g](h)", r"\*\*a\*\* \[b\](c) \<d\> \$e\$ \:_f\: !\[g\](h)"),
    ("~ | # & { } ` \\", r"\~ \| \# \& \{ \} \` \\"),
    (":material/home:", r"\:_material/home\:"), (":red[x]", r"\:red\[x\]"), ("12:30 own:a Error: b", r"12\:30 own\:a Error\: b"),
    ("https://a.b www.a.b c@a.b", r"https\:_//a.b www_.a.b c@_a.b"), ("a -> b -- c", r"a -_\> b -_- c"), ("a->b -5", r"a-\>b -5"),
    ("1. a", "1_. a"), ("1.5", "1.5"), ("- a", "-_ a"), ("-5", "-5"), ("---", "-_--"), ("  two\n\n  lines ", "two lines"),
])
def test_what_has_a_meaning_is_taken_apart(text, shown):
    """_ stands for a joiner here."""
    assert as_text(text) == shown.replace("_", JOINER)
