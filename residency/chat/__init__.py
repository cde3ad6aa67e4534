"""Conversation -> token ids and the tokens to learn, for training, evaluation and serving alike.

This is the only room that calls a tokenizer's chat template.
No file reading, no model, no rule on what a good example is may enter.
"""

from residency.chat.frame import Counts
from residency.chat.renderer import Rendered, Renderer
from residency.chat.template import TODAY

__all__ = ["TODAY", "Counts", "Rendered", "Renderer"]
