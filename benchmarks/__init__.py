"""Side-by-side timings that print their conditions."""

import core  # noqa: F401 - before torch, whose threads would otherwise spin beside other programs: see there
