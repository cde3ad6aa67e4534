"""Where a base comes from, how it is loaded, adapted and asked; models that only play one in tests.

Packed rows are here, since a model is trained and weighed by the same forward pass. Nothing here knows
examples, scores or training steps.
"""

import logging

# PEFT imports bitsandbytes where it is installed, which then warns that it lacks a kernel not used here.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
