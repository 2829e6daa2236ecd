"""A server that speaks chat completions and faults on a script; it stops with its `with` block."""

import asyncio
import json
import threading
from collections import Counter
from contextlib import contextmanager

FAULTS = {
    "429": (429, {"retry-after": "0.05"}, {"error": {"message": "slow down"}}),
    "no quota": (
        429,
        {"x-should-retry": "false"},
        {"error": {"message": "no quota is left"}},
    ),
    "500": (500, {}, {"error": {"message": "a fault of ours"}}),
    "400": (400, {}, {"error": {"message": "this prompt is not to our taste"}}),
    "401": (401, {}, {"error": {"message": "Incorrect API key provided: sk-secret-key"}}),
    "no schema": (400, {}, {"error": {"message": "response_format is not supported"}}),
    "no limit": (
        400,
        {},
        {"error": {"message": "'max_tokens' is unsupported. Use 'max_completion_tokens' instead."}},
    ),
    "no temperature": (
        400,
        {},
        {"error": {"message": "'temperature' does not support 0.7 with this model."}},
    ),
}


class Chat:
    """Counts requests and paid replies; `answer` makes replies from messages, `script` faults."""

    def __init__(self, answer, script=None, delay=0.0):
        self.answer, self.delay = answer, delay
        self.script = script or (lambda number, body: "")
        self.calls, self.paid, self.keys = 0, Counter(), set()
        self.bodies = []
        self.tokens_out = 10
        self.under_way = self.most_under_way = 0
        self.before = None  # called with the number of each request, before it is handled
        # Clients that are dead. Requests of theirs are neither answered nor paid for.
        self.clients = 0

    async def handle(self, reader, writer):
        client = self.clients
        try:
            while await self._serve_request(reader, writer, client):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _serve_request(self, reader, writer, client):
        head = await reader.readuntil(b"\r\n\r\n")
        headers = dict(
            line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line
        )
        headers = {name.lower(): value for name, value in headers.items()}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.keys.add(headers.get("authorization"))
        self.calls += 1
        self.bodies.append(body)
        number = self.calls
        if self.before:
            self.before(number)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._reply(writer, number, body, client)
        finally:
            self.under_way -= 1

    async def _reply(self, writer, number, body, client):
        fault = self.script(number, body)
        await asyncio.sleep(30 if fault == "slow" else self.delay)
        if client != self.clients:
            raise ConnectionResetError
        if fault == "cut":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")
            await writer.drain()
            return False
        status, more, answer = FAULTS.get(fault, (200, {}, None))
        if answer is None:
            message = {"role": "assistant", "content": self.answer(body["messages"])}
            if fault == "refusal":
                message = {
                    "role": "assistant",
                    "content": None,
                    "refusal": "I'm sorry, I can't help with that.",
                }
            choices = (
                []
                if fault == "empty choices"
                else [{"index": 0, "message": message, "finish_reason": "stop"}]
            )
            used = self.tokens_out
            usage = {"prompt_tokens": 100, "completion_tokens": used, "total_tokens": 100 + used}
            answer = {"id": "c", "object": "chat.completion", "choices": choices, "usage": usage}
        sent = json.dumps(answer).encode()
        if fault == "malformed":
            sent = sent[: len(sent) // 2]
        lines = [
            f"HTTP/1.1 {status} x",
            "content-type: application/json",
            f"content-length: {len(sent)}",
        ]
        lines += [f"{name}: {value}" for name, value in more.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + sent)
        await writer.drain()
        if status == 200:
            self.paid[json.dumps(body["messages"])] += 1
        return True


@contextmanager
def serving(chat):
    """Run a Chat on a loopback port in a thread; yields its address."""
    loop, ready, port = asyncio.new_event_loop(), threading.Event(), []

    async def main():
        server = await asyncio.start_server(chat.handle, "127.0.0.1", 0)
        port.append(server.sockets[0].getsockname()[1])
        ready.set()
        async with server:
            await stop.wait()

    stop = asyncio.Event()
    task = []

    def run():
        asyncio.set_event_loop(loop)
        task.append(loop.create_task(main()))
        loop.run_until_complete(task[0])
        for open_task in asyncio.all_tasks(loop):
            open_task.cancel()
        loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield f"http://127.0.0.1:{port[0]}/v1"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
