"""Statistics, figures and reports over the prediction table.

Everything here reads tables: no image, no network, no torch. Import the submodule that is needed, e.g.
``agezoo.analysis.report``; matplotlib is loaded only by the plotting modules and the report.
"""
