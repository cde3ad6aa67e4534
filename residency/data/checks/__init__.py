"""One file a check, or a family of them: functions that name the rows of which a user should know.

A check looks at rows that can be used and changes nothing. Importing this package registers them all.
"""

from residency.data.checks import boilerplate as boilerplate
from residency.data.checks.registry import find_all as find_all
