"""Residency: whether to fine-tune, whether it worked, what it cost elsewhere.

Folders stand in pipeline order; each imports only from those before it.
"""

__version__ = "0.1.1"
