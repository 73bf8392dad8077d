"""What a server holds: definitions and models."""

from __future__ import annotations

from typing import Literal, Optional, Union
from urllib.parse import quote, urlencode

from .caller import Caller, Json
from .errors import InvalidRequestError

Kind = Literal["entity", "source", "view", "service", "model"]

_PATHS = {"entity": "entities", "source": "sources", "view": "views", "service": "services", "model": "models"}


class Catalog(Caller):
    """The methods of `Client` that find features and models. They answer JSON as docs/http.md#find-features has it."""

    def entities(self, *, owner: Optional[str] = None, tag: Optional[str] = None) -> list[Json]:
        """The entities, each once with its newest version. `owner` and `tag` choose some of them."""
        return self._list("entities", owner, tag)

    def sources(self, *, owner: Optional[str] = None, tag: Optional[str] = None) -> list[Json]:
        """The sources, as for `entities`."""
        return self._list("sources", owner, tag)

    def views(self, *, owner: Optional[str] = None, tag: Optional[str] = None) -> list[Json]:
        """The feature views and on-demand views, as for `entities`."""
        return self._list("views", owner, tag)

    def services(self, *, owner: Optional[str] = None, tag: Optional[str] = None) -> list[Json]:
        """The feature services, as for `entities`."""
        return self._list("services", owner, tag)

    def models(self) -> list[Json]:
        """The models with their versions and aliases, as docs/http.md#models has them."""
        found: list[Json] = self._sender.json("/v1/models", self._deadline(None))["models"]
        return found

    def training_sets(self) -> list[Json]:
        """The training sets, newest first, with `id`, `service`, `rows` and `createdAt`."""
        found: list[Json] = self._sender.json("/v1/datasets", self._deadline(None))["datasets"]
        return found

    def describe(self, kind: Kind, name: str, version: Optional[Union[int, str]] = None) -> Json:
        """One definition: columns, features with types, statistics, freshness, what it uses and what uses it.

        Args:
            kind: What it is: `entity`, `source`, `view`, `service` or `model`.
            name: Its name, without a version.
            version: A version. Default: the newest; of a model, all of them. A model also takes an alias.

        Raises:
            NotFoundError: There is no such definition.
        """
        if kind not in _PATHS:
            raise InvalidRequestError(
                f'There is no kind "{kind}"; name one of {", ".join(_PATHS)}.', code="INVALID_REQUEST"
            )
        path = f"/v1/{_PATHS[kind]}/{quote(name, safe='')}"
        if version is not None:
            path += f"/versions/{quote(str(version), safe='')}" if kind == "model" else f"?version={version}"
        return self._sender.json(path, self._deadline(None))

    def search(self, text: str, *, limit: int = 20) -> list[Json]:
        """The definitions, features and columns that have this text in a name, description, tag, owner or transform.

        The best come first.
        """
        query = urlencode({"q": text, "limit": limit})
        found: list[Json] = self._sender.json(f"/v1/search?{query}", self._deadline(None))["results"]
        return found

    def _list(self, plural: str, owner: Optional[str], tag: Optional[str]) -> list[Json]:
        deadline = self._deadline(None)
        asked = {"limit": "1000", **({"owner": owner} if owner else {}), **({"tag": tag} if tag else {})}
        found: list[Json] = []
        while True:
            page = self._sender.json(f"/v1/{plural}?{urlencode(asked)}", deadline)
            found += page[plural]
            if page.get("next") is None:
                return found
            asked["cursor"] = page["next"]
