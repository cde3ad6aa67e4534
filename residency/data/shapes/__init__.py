"""From a row's columns to a record: which shape the row has, and whether it can be used.

One file for each sort of columns. A file turns columns into turns; `validate` then checks the turns of
all shapes alike. No file is read and nothing is rendered here.
"""

from residency.data.shapes.detect import read_row as read_row
from residency.data.shapes.detect import to_example as to_example
from residency.data.shapes.shape import RowError as RowError
