"""The verdict: from scored rows to a recommendation, a gate with its reasons, and the report.

Everything follows from the scored rows, the training curve and the recipe: no model is loaded here.
"""
