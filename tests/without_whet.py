"""What a script in a process of its own begins with, to run as where whet is not installed."""

WITHOUT_WHET = """
import sys
class NoWhet:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "whet":
            raise ImportError("whet is not installed here")
sys.meta_path.insert(0, NoWhet())
"""
