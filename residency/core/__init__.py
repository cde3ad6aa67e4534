"""What every room speaks of: records, the recipe, errors, the workspace.

Nothing here imports torch or transformers, so that the command line answers at once.
"""
