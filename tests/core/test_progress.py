"""What is said from where no reporter is at hand."""

from residency.core.progress import PlainLines, Silent, say, speak_through


def test_it_goes_through_the_reporter_that_was_named_last_and_at_first_nowhere(said_aside, capsys):
    say("heard")
    speak_through(PlainLines())
    say("written")
    speak_through(Silent())
    say("lost")
    assert said_aside == ["heard"] and capsys.readouterr().err == "written\n"
