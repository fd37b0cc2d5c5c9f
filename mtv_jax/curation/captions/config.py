"""How captions are made by models that look at frames."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mtv_jax.curation.captions.question import INSTRUCTION
from mtv_jax.io.errors import UserError


@dataclass(frozen=True)
class EndpointConfig:
    """A server with the API of OpenAI's chat completions.

    Attributes:
      url: its base, such as `http://localhost:8000/v1`; `/chat/completions` is added.
      model: the name that the server knows it by.
      key: the environment variable that has the key; "": the server needs none. Keys are in no config or ledger.
      licence: under which its captions may be used (SPDX expression), for `pack --release`.
      timeout: seconds that the server may be silent.
      tries: requests for one caption: after failures of the server, and after answers in another form.
      backoff: seconds before the second request, doubled for each one after it, where the server asks for no other.
      request: fields of each request, which replace ours (`temperature`, `max_tokens`, `response_format`). None leaves
        one out: some servers know `max_completion_tokens` only, or no `response_format`.
    """

    url: str = ""
    model: str = ""
    key: str = ""
    licence: str = "unknown"
    timeout: float = 120.0
    tries: int = 4
    backoff: float = 1.0
    request: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.tries < 1:
            raise UserError(f"config.captions.endpoint.tries {self.tries}: must be at least 1")


@dataclass(frozen=True)
class CaptionsConfig:
    """What models that describe clips are shown and asked.

    Attributes:
      frames: how many of a clip, at equal distances. A clip is one shot of a few seconds: eight show what changes.
      longest_side: of a frame, pixels. At 512 faces and clothes are plain, and a frame is 200 to 400 tokens for most
        models; it is never enlarged.
      max_tokens: of an answer; one with nine participants has about 500.
      instruction: what is asked (`mtv_jax/curation/captions/question.py`); the answer has to be JSON of its schema.
      endpoint: for `config.captioner=endpoint`.
    """

    frames: int = 8
    longest_side: int = 512
    max_tokens: int = 800
    instruction: str = INSTRUCTION
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)

    def __post_init__(self):
        if min(self.frames, self.longest_side, self.max_tokens) < 1:
            raise UserError("config.captions: frames, longest_side and max_tokens must be at least 1")
