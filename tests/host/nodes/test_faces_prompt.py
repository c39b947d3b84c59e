"""Faces Prompt: the words of the bundled model."""

from node_calls import refused


def test_unknown_words_are_refused(call):
    with refused("purple"):
        call("PullbackFacesPrompt", text="smiling, purple")
