"""From files of examples to frozen train, validation and test rows, with a fate for every row read.

What is wrong with the data is found and told here. No model, no scores, no training enters.
"""
