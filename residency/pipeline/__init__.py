"""The workflow: check, freeze, baselines, train, compare, verdict, each stage once for its inputs.

Stages read and write folders of the workspace; what they do stands in the rooms before this one.
"""
