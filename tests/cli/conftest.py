from tests.pipeline.conftest import done, line, one_thread, recipe, tiny_base

__all__ = ["done", "line", "one_thread", "recipe", "tiny_base"]
