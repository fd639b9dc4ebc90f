"""A page of a browser that nothing listens to but what it is asked.

Playwright has DevTools report what each page of its own loads, and DevTools then keep all that it loaded, up to 200 MB,
in the page's process: measured there, its memory grows by every picture. A page in a context that Playwright does not
know is left alone; it is spoken to through a session that Playwright carries (Chrome DevTools Protocol, Target).
"""

import json
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from wordsight.runtime.errors import WordsightError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_ANSWER_S = 60.0
_LOOK_S = 0.005


class BarePage:
    """A page in a context of its own, closed at the end of the block."""

    def __init__(self, browser: "Browser", before: str = "") -> None:
        """Open an empty page.

        Args:
            browser: Chromium.
            before: a script that runs in each document before its own.
        """
        self._session = browser.new_browser_cdp_session()
        self._answers: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._session.on("Target.receivedMessageFromTarget", self._take)
        self._context = self._session.send("Target.createBrowserContext")["browserContextId"]
        told = self._session.send("Target.createTarget", {"url": "about:blank", "browserContextId": self._context})
        attach = {"targetId": told["targetId"], "flatten": False}
        self._target = self._session.send("Target.attachToTarget", attach)["sessionId"]
        self.send("Page.enable")
        self.send("Page.addScriptToEvaluateOnNewDocument", source=before)

    def __enter__(self) -> "BarePage":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.send("Target.disposeBrowserContext", {"browserContextId": self._context})
        self._session.detach()

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Have the page do something; return what it answers.

        Raises:
            WordsightError: it refused, or gave no answer.
        """
        self._asked += 1
        number = self._asked
        message = json.dumps({"id": number, "method": method, "params": params})
        self._session.send("Target.sendMessageToTarget", {"sessionId": self._target, "message": message})
        until_s = time.monotonic() + _ANSWER_S
        while number not in self._answers:
            if time.monotonic() > until_s:
                raise WordsightError(f"the page gave no answer to {method} within {_ANSWER_S:g} s")
            time.sleep(_LOOK_S)
            self._session.send("Browser.getVersion")  # Playwright hands events on only while it is called
        told = self._answers.pop(number)
        if "error" in told:
            raise WordsightError(f"the page refused {method}: {told['error'].get('message')}")
        result: dict[str, Any] = told["result"]
        return result

    def goto(self, url: str) -> None:
        """Begin to load an address.

        Raises:
            WordsightError: it cannot be loaded.
        """
        told = self.send("Page.navigate", url=url)
        if told.get("errorText"):
            raise WordsightError(f"the page cannot be loaded: {told['errorText']}")

    def evaluate(self, script: str) -> Any:
        """Return the value of a script.

        Raises:
            WordsightError: it raised.
        """
        told = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in told:
            raise WordsightError(f"the page's script failed: {told['exceptionDetails'].get('text')}")
        return told["result"].get("value")

    def _take(self, told: dict[str, Any]) -> None:
        if told["sessionId"] == self._target:
            message = json.loads(told["message"])
            if "id" in message:
                self._answers[message["id"]] = message
