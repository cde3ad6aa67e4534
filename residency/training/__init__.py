"""Token sequences in, an adapter out: objectives, the loop, checkpoints, gradients of single rows.

The loop and checkpoints never name an objective. No text, no templates, no scoring here.
"""
