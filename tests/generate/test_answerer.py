"""A call knows the length of its prompt, by which costs are estimated."""

from whet.generate.answerer import Answerer, Call
from whet.generate.chat import ChatServer
from whet.generate.config import GenerateConfig
from whet.generate.local import LocalModel


def test_the_length_of_a_prompt_is_that_of_all_messages():
    messages = [{"role": "system", "content": "abc"}, {"role": "user", "content": "de"}]
    assert Call("key", messages).characters == 5
    assert Call("key", []).characters == 0


def test_servers_and_local_models_answer_calls():
    answerers: list[Answerer] = [
        ChatServer("ollama", "x", None, GenerateConfig()),
        LocalModel("some/folder", GenerateConfig()),
    ]
    assert [answerer.name for answerer in answerers] == ["x", "folder"]
    fingerprints = {answerer.fingerprint for answerer in answerers}
    assert len(fingerprints) == 2
