"""Token sequences in, an adapter out: packing, attention, objectives, the loop, checkpoints.

The loop, packing and checkpoints never name an objective. No text, no templates, no scoring here.
"""
