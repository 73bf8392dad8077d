"""What a server holds: definitions and models."""

from __future__ import annotations

from typing import Literal, Optional, Union
from urllib.parse import urlencode

from .caller import Caller, Json, path_of
from .errors import InvalidRequestError

Kind = Literal["entity", "source", "view", "service", "model", "batch"]

_PATHS = {
    "entity": "entities",
    "source": "sources",
    "view": "views",
    "service": "services",
    "model": "models",
    "batch": "entries",
}


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

    def batch_schedules(self, *, owner: Optional[str] = None, tag: Optional[str] = None) -> list[Json]:
        """The schedules of batches, as for `entities`. `batches` lists the batches that they have begun."""
        return self._list("entries", owner, tag, kind="batch")

    def models(self) -> list[Json]:
        """The models with their versions and aliases, as docs/http.md#models has them."""
        found: list[Json] = self._sender.json("/v1/models", self._deadline(None))["models"]
        return found

    def training_sets(self) -> list[Json]:
        """The training sets, newest first, with `id`, `service`, `rows`, `paths` and `createdAt`."""
        found: list[Json] = self._sender.json("/v1/datasets", self._deadline(None))["datasets"]
        return found

    def delete_training_set(self, dataset: str, *, files: bool = True, reason: Optional[str] = None) -> Json:
        """Deletes a training set, and its files unless `files` is False. The API key needs the scope `admin`.

        Raises:
            ConflictError: `IN_USE`: a model version was trained on it.
        """
        path = path_of("datasets", dataset, files="true" if files else None, reason=reason)
        return self._remove(path, self._deadline(None))

    def delete_model_version(self, model: str, version: int, *, reason: Optional[str] = None) -> Json:
        """Deletes a version of a model and its file. The API key needs the scope `admin`.

        Raises:
            ConflictError: `IN_USE`: an alias points to the version, or requests are answered by it.
        """
        return self._remove(path_of("models", model, "versions", version, reason=reason), self._deadline(None))

    def describe(self, kind: Kind, name: str, version: Optional[Union[int, str]] = None) -> Json:
        """One definition: columns, features with types, statistics, freshness, what it uses and what uses it.

        Args:
            kind: What it is: `entity`, `source`, `view`, `service`, `model` or `batch` (a schedule).
            name: Its name, without a version.
            version: A version. Default: the newest; of a model, all of them. A model also takes an alias.

        Raises:
            NotFoundError: There is no such definition.
        """
        if kind not in _PATHS:
            raise InvalidRequestError(
                f'There is no kind "{kind}"; name one of {", ".join(_PATHS)}.', code="INVALID_REQUEST"
            )
        if kind == "model":
            return self._get(path_of("models", name, *(() if version is None else ("versions", version))))
        # another kind of definition may have the name of a schedule
        return self._get(path_of(_PATHS[kind], name, version=version, kind="batch" if kind == "batch" else None))

    def search(self, text: str, *, limit: int = 20) -> list[Json]:
        """The definitions, features and columns that have this text in a name, description, tag, owner or transform.

        The best come first.
        """
        query = urlencode({"q": text, "limit": limit})
        found: list[Json] = self._sender.json(f"/v1/search?{query}", self._deadline(None))["results"]
        return found

    def _list(self, plural: str, owner: Optional[str], tag: Optional[str], kind: Optional[str] = None) -> list[Json]:
        deadline = self._deadline(None)
        found: list[Json] = []
        cursor = None
        while True:
            path = path_of(plural, limit=1000, owner=owner or None, tag=tag or None, kind=kind, cursor=cursor)
            page = self._sender.json(path, deadline)
            found += page[plural]
            cursor = page.get("next")
            if cursor is None:
                return found
