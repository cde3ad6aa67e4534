"""What verbs share."""

from residency.cli.options import open_reporter
from residency.core.progress import say


def test_a_command_and_all_beneath_it_speak_through_one_reporter(said_aside, capsys):
    reporter = open_reporter()
    say("from beneath")
    reporter.say("from the command")
    assert capsys.readouterr().err == "from beneath\nfrom the command\n" and not said_aside
