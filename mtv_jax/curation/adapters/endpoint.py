"""Captions by any server with the API of OpenAI's chat completions: hosted, vLLM, llama.cpp, Ollama and others.

The standard library's HTTP client is enough: one POST at a time, and retries that are ours in any case.
"""

import base64
import email.utils
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtv_jax.curation.captions.config import CaptionsConfig, EndpointConfig
from mtv_jax.curation.captions.frames import even_frames, jpeg
from mtv_jax.curation.captions.known import Known
from mtv_jax.curation.captions.question import SCHEMA, parse_answer
from mtv_jax.curation.roles import Evidence, ModelCard, UnusableModelError, scores, unavailable
from mtv_jax.io.errors import UserError

_MOST_WAIT = 120.0
"""Seconds between two requests."""
_PASSING = (408, 409, 425, 429)
"""Statuses below 500 after which the same request may succeed."""
_LASTING = (401, 402, 404, 405)
"""Statuses that every request would meet: of the key, the account, the address or the model."""
_FORBIDDEN = 403
"""A status of the key as well as, of some gateways, of what a clip shows or says."""
_HARMLESS = {"role": "user", "content": "Describe an empty stage."}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirection would send the key and the frames to a host that nobody named."""

    def redirect_request(self, *_: Any) -> None:
        """None: the redirection becomes an error."""


class _ForbiddenError(UserError):
    """The server forbids a request."""


class _Failed(Exception):
    """A failure that may pass. `wait`: seconds that the server asks to wait."""

    def __init__(self, message: str, wait: float | None = None):
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class Reply:
    """What a server answers: the text, or why it refuses; why it stopped; tokens that it counted."""

    text: str
    refusal: str | None
    finish: str | None
    tokens: Mapping[str, int]


class Endpoint:
    """Asks a server. The answer costs tokens, which its evidence has (`tokens`), those of useless answers included."""

    def __init__(self, config: CaptionsConfig):
        self._config, self._server = config, config.endpoint

    def card(self) -> ModelCard:
        """The name of the model. Raises UserError if the config names no server, or the key is not set."""
        server = self._server
        for name in ("url", "model"):
            if not getattr(server, name):
                raise UserError(
                    f"config.captions.endpoint.{name}: not given; captions by a server need its url and its model"
                )
        if not server.url.startswith(("http://", "https://")):
            raise UserError(
                f"config.captions.endpoint.url {server.url!r}: must begin with http:// or https://"
            )
        if server.key and not os.environ.get(server.key):
            raise UserError(
                f"config.captions.endpoint.key {server.key}: no such environment variable; set it to the key"
            )
        return ModelCard(f"{server.model} at {server.url}", "unknown", server.licence, None, "real")

    def caption(
        self, clip: Path, about: Mapping[str, Any], evidence: Mapping[str, Mapping[str, Any]]
    ) -> Evidence:
        """The caption of a clip; `unavailable` if the model refuses, or does not answer as asked.

        Raises:
          UnusableModelError: the server rejects all requests, for the key, for example; after 403, which may be of
            this clip alone, that is so if it forbids a harmless request without frames, too.
          UserError: it rejects this one.
          ConnectionError: it fails again and again.
        """
        config = self._config
        frames = [jpeg(image) for image in even_frames(clip, config.frames, config.longest_side)]
        messages = [_question(f"{config.instruction} {Known.of(about, evidence).as_text()}".strip(), frames)]
        spent = {"requests": 0}
        problem = ""
        for attempt in range(self._server.tries):
            try:
                reply = _read(self._ask(messages))
            except _Failed as failure:
                self._wait(attempt, failure)
                continue
            spent = _added(spent, reply.tokens)
            if reply.refusal is not None:
                return unavailable(f"the model refuses: {_short(reply.refusal)}") | {"tokens": spent}
            try:
                return scores(prompt=parse_answer(reply.text).prompt, tokens=spent)
            except ValueError as error:
                problem = f"{error} (it is cut off)" if reply.finish == "length" else str(error)
                messages = [messages[0], *_again(reply.text, problem)]
        return unavailable(f"the answer is not as asked: {problem}") | {"tokens": spent}

    def _ask(self, messages: list[dict[str, Any]]) -> bytes:
        """The body of the answer. Raises what `_post` does, and UnusableModelError for 403 to a harmless request."""
        try:
            return _post(self._server, self._body(messages))
        except _ForbiddenError as error:
            if self._forbids_all():
                raise UnusableModelError(str(error)) from error
            raise

    def _forbids_all(self) -> bool:
        """Whether a harmless request is forbidden, too; if it is rejected as such, the server does accept the key."""
        try:
            _post(self._server, self._body([_HARMLESS]))
        except UserError as error:
            return isinstance(error, (_ForbiddenError, UnusableModelError))
        return False

    def _wait(self, attempt: int, failure: _Failed) -> None:
        """Before the next attempt. Raises ConnectionError if there is none."""
        if attempt + 1 == self._server.tries:
            raise ConnectionError(f"{self._server.url}: {failure}") from failure
        wait = failure.wait if failure.wait is not None else self._server.backoff * 2**attempt
        time.sleep(min(max(wait, 0.0), _MOST_WAIT))

    def _body(self, messages: list[dict[str, Any]]) -> bytes:
        schema = {"name": "caption", "strict": True, "schema": SCHEMA}
        fields = {
            "model": self._server.model,
            "messages": messages,
            "max_tokens": self._config.max_tokens,
            "temperature": 0,
            "response_format": {"type": "json_schema", "json_schema": schema},
            **self._server.request,
        }
        return json.dumps({key: value for key, value in fields.items() if value is not None}).encode()


def _question(text: str, frames: list[bytes]) -> dict[str, Any]:
    urls = [f"data:image/jpeg;base64,{base64.b64encode(frame).decode()}" for frame in frames]
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": "user", "content": [{"type": "text", "text": text}, *images]}


def _again(text: str, problem: str) -> list[dict[str, Any]]:
    """What is added to the conversation after an answer in another form: without it, the model would repeat itself."""
    request = f"That is not as asked: {problem}. Answer with the JSON object and nothing else."
    return [{"role": "assistant", "content": text}, {"role": "user", "content": request}]


def _post(server: EndpointConfig, body: bytes) -> bytes:
    """The body of the answer. Raises UserError if the server rejects the request, or UnusableModelError if it would
    reject others, too; _Failed if it may answer later."""
    headers = {"Content-Type": "application/json"}
    if server.key:
        headers["Authorization"] = f"Bearer {os.environ[server.key]}"
    request = urllib.request.Request(f"{server.url.rstrip('/')}/chat/completions", body, headers)
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=server.timeout) as response:
            return response.read()
    except urllib.error.HTTPError as error:
        with error:
            message = f"HTTP {error.code}: {_message(error)}"
        if error.code >= 500 or error.code in _PASSING:
            raise _Failed(message, _retry_after(error.headers.get("Retry-After"))) from error
        raise _kind(error.code)(f"{server.url}: {message}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _Failed(f"no answer ({reason or type(error).__name__})") from error


def _kind(status: int) -> type[UserError]:
    """The error for a status of a request that is rejected."""
    if status == _FORBIDDEN:
        return _ForbiddenError
    return UnusableModelError if status in _LASTING else UserError


def _message(error: urllib.error.HTTPError) -> str:
    """What a server says of an error: `error.message` of its JSON, or its text."""
    try:
        text = error.read(10_000).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        text = ""
    try:
        return _short(json.loads(text)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return _short(text or error.reason)


def _retry_after(text: str | None) -> float | None:
    """Seconds to wait by a header, which has seconds or a date; None without it."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError):
        return None


def _read(body: bytes) -> Reply:
    """Reads an answer. Raises _Failed if it is no chat completion: a proxy's page, or cut off."""
    try:
        value = json.loads(body)
        choice = value["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        text, refusal = message.get("content") or "", message.get("refusal")
        usage = value.get("usage") or {}
        tokens = {name: int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")}
        if finish == "content_filter":
            refusal = refusal or "its content filter stopped it"
        return Reply(str(text), None if refusal is None else str(refusal), finish, tokens)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _Failed(f"its answer is no chat completion: {_short(body.decode(errors='replace'))}") from error


def _added(spent: Mapping[str, int], tokens: Mapping[str, int]) -> dict[str, int]:
    found = {name: spent.get(name, 0) + count for name, count in tokens.items()}
    return {"requests": spent["requests"] + 1, **found}


def _short(text: object) -> str:
    words = " ".join(str(text).split())
    return words if len(words) <= 200 else f"{words[:200]}..."
