"""Session state keys. A widget's value is forgotten when its page is left, so what must last has a key here."""

RUN = "session.run"  # id of the run that is looked at; the same as ?run= in the address
OWNER = "session.owner"  # who this browser session is, for the runs it starts
DRAFT = "session.draft"  # RunConfig that the forms edit, as a dict
DRAFT_TITLE = "session.draft_title"  # the preset it came from, "" for a person's own
DRAFT_VERSION = "session.draft_version"  # part of the form's widget keys: a new one makes them take the draft's values
HISTORY = "session.compose_history"  # the compositions a person came by, to undo
COMPOSE_PLACE = "session.compose_place"  # the row that is open for editing
COMPOSE_VERSION = "session.compose_version"  # part of the composer's widget keys: a new one makes them take the stack's values
COMPOSE_PROBLEM = "session.compose_problem"  # why a composition could not be read or changed
CANVAS = "draw.canvas"
CANVAS_VERSION = "session.canvas_version"
LAST_DRAFT = "session.last_draft"  # the draft of the last script run, to see what changed
PREVIOUS_RUN = "session.previous_run"  # id of the run whose curve stays behind in grey
PREVIOUS_CURVES = "session.previous_curves"  # (its id, its series)
NOTICE = "session.notice"  # what a toast says on the next script run
METRICS = "session.metrics"  # what has been read of the current run's metrics
LABS = "session.labs"  # lab path → "opened" or "tried"
DRAW_OTHERS = "session.draw_others"  # ids of the models that are asked beside the first
DRAW_UPLOADED = "session.draw_uploaded"  # (title of the run that an upload became, notes), to be told once
DRAW_WEIGHTS_VERSION = "session.draw_weights_version"  # part of the uploader's key: a new one forgets the file
DRAWING = "session.drawing"  # the last prepared drawing, (1, 28, 28) float32 in [0, 1], for other pages to look at
MICROSCOPE = "session.microscope"  # what training is under the microscope: what it is of, the Microscope, its frozen step
WALK = "session.walk"  # the last walk through a network: what it was of, and its stages
OWN_CHECKED = "session.own_checked"  # core.data.importing.Checked: an archive that was read and not yet kept
OWN_KEPT = "session.own_kept"  # names of the data sets that this session has kept, the last one last
OWN_REFUSED = "session.own_refused"  # (line, report or None) of the last archive from which nothing could be kept
OWN_VERSION = "session.own_version"  # part of the uploader's key: a new one empties it, which frees the upload's memory
WALK_STAGE = "session.walk_stage"  # which stage of it is looked at
LAYER = "session.layer"  # name of the layer that table and diagram mark
LAYER_VERSION = "session.layer_version"  # part of the table's key: a new one forgets which row was clicked
CLOSE_LOOK = "session.close_look"  # (what was looked at, findings, a line about it)
MEASURED = "session.measured"  # (what was measured, core.inspection.measured.Measured)
SAMPLE = "session.sample"  # the split of the image that Explore data shows large
SAMPLE_NEXT = "session.sample_next"  # (split, position) of the one to show next
