"""What a class, a file or a run may be called that Markdown, or Streamlit after it, would take for something of its own."""

HOSTILE = [
    "**bold** *soft* __b__ _i_ ~~gone~~ `code`", "[a link](https://example.org) ![a picture](https://example.org/a.png)",
    "<b>tag</b> <!-- x --> &amp; &lt;", "$a^2$ costs $5 or $6", ":red[red] :blue-background[b] :small[s] :violet-badge[v]",
    ":smile: :+1: :material/home: :streamlit:", "https://example.org www.example.org somebody@example.org",
    "a -> b <- c <-> d -- e >= f <= g ~= h", "# no heading", "> no quote", "- no list", "+ no list", "1. no list", "2) no list",
    "---", "===", "| a | b |", "back\\slash \\* \\$", "{braces} [^1] [ref]: x", "12:30, own:abc, C:\\Users\\me_too_",
    "_a_ __init__ a__b__c out_features snake_case_name 2_ _3_4_ *_x_*", "猫_соба_ка_ 🐈", "",
]
