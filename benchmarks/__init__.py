"""Side-by-side timings that print their conditions.

Importing this package configures the process: the first thing that each of its programs and their child processes do.
"""

from core.process import configure

configure("other")
