"""Reading archives and pictures of unknown origin. Nothing here imports torch: the process that does it must be small.

core.data.import_images starts `python -m core.importing.child` with limits on memory and time; these are its parts.
"""
