"""One file a check, or a family of them: functions that name the rows of which a user should know.

A check looks at rows that can be used and changes nothing. Importing this package registers them all.
"""

from residency.data.checks import boilerplate as boilerplate
from residency.data.checks import cut as cut
from residency.data.checks import encoding as encoding
from residency.data.checks import format_drift as format_drift
from residency.data.checks import knowledge as knowledge
from residency.data.checks import label_errors as label_errors
from residency.data.checks import label_set as label_set
from residency.data.checks import language as language
from residency.data.checks import personal as personal
from residency.data.checks import secrets as secrets
from residency.data.checks import system_drift as system_drift
from residency.data.checks.registry import find_all as find_all
