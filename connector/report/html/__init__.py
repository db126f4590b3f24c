"""Pages as HTML: one file each, without scripts and without anything from outside.

Every chart has its figures in a table beside it, so that nothing depends on sight or colour. All texts are escaped by
the templates.
"""
