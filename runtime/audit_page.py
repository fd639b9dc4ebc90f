"""The audit as a page: a contact sheet of the oddest pictures, and a table of all. One file, dark and light."""

from collections.abc import Iterator
from html import escape

from wordsight.runtime import html
from wordsight.runtime.audit import Audit
from wordsight.runtime.mutual import LOWEST
from wordsight.runtime.overlay import overlay


def render(audit: Audit, title: str, model: str, top: int) -> str:
    """The page as HTML text, with every picture inside.

    Args:
        audit: what was found.
        title: of the folder.
        model: the file's name.
        top: most pictures on the contact sheet, the oddest ones.
    """
    return html.page(f"Audit of {title}", _body(audit, title, model, top), html.STYLE)


def _body(audit: Audit, title: str, model: str, top: int) -> Iterator[str]:
    count, shown = len(audit.pictures), min(top, len(audit.pictures))
    yield f"<h1>Audit of {escape(title)}</h1>"
    yield (
        f'<p class="soft">{count:,} pictures, compared with each other by <code>{escape(model)}</code>. Nothing was '
        "said about any of them. A picture stands first when it is unlike the others; whether that is a defect is for "
        "you to say. A fault that many pictures share does not stand out.</p>"
    )
    encoder = audit.manifest.encoder
    if encoder.note:
        yield f'<p class="note">Encoder {escape(encoder.name)}: {escape(encoder.note)}.</p>'
    if audit.patches == 1:
        yield (
            '<p class="note">The file gives no patches: whole pictures were compared by their embeddings alone, and '
            "small defects weigh little in those. <code>wordsight export --patches</code> adds them.</p>"
        )
    order = audit.order
    yield html.numbers(_numbers(audit))
    yield f"<h2>The {shown} most unlike the others</h2>"
    yield f'<p class="soft">{_legend(audit)}</p>'
    yield '<div class="sheet">'
    highest, ranks = float(audit.mutual.max()) or 1.0, audit.rank_by_score
    for place, index in enumerate(order[:shown], start=1):
        yield _figure(audit, int(index), place, int(ranks[index]), highest)
    yield "</div>"
    if audit.failures:
        yield f"<h2>Not read: {len(audit.failures)}</h2>"
        yield '<div class="wide">'
        yield html.table(("picture", "reason"), [(item.source, item.reason) for item in audit.failures])
        yield "</div>"
    yield '<h2>All of them</h2><div class="wide">'
    head = ("rank", "picture", "mutual score", "before neighbours", "score", "s_pr", "s_fnn", "rank by score")
    rows = [_row(audit, int(index), place, int(ranks[index])) for place, index in enumerate(order, start=1)]
    yield html.table(head, rows, (0, 2, 3, 4, 5, 6, 7))
    yield "</div>"


def _numbers(audit: Audit) -> Iterator[tuple[str, str]]:
    half = sorted(audit.mutual)[len(audit.mutual) // 2]
    yield f"{len(audit.pictures):,}", "pictures"
    if audit.failures:
        yield f"{len(audit.failures):,}", "could not be read"
    yield f"{audit.mutual.max():.4f}", "highest mutual score"
    yield f"{half:.4f}", "mutual score in the middle"
    yield f"{audit.score.max():.3f}", "highest score of the detector"


def _legend(audit: Audit) -> str:
    what = "its oddest patch" if audit.patches > 1 else "its embedding"
    text = (
        f"The mutual score, 0 to 1, is how far {what} is from the nearest of the other pictures, on average over the "
        f"{LOWEST:.0%} of them that are nearest, then averaged with the pictures most like it. The score beside it is "
        "the detector's own, with its rank. "
    )
    if audit.heat is None:
        return text
    if audit.heat_kind == "mutual":
        return (
            f"{text}Below each picture: the mutual score of every patch, in colours stretched to that picture. They "
            "say where it is oddest, the number says how odd."
        )
    return text + "Below each picture: the detector's heat map."


def _figure(audit: Audit, index: int, place: int, rank: int, highest: float) -> str:
    picture = audit.pictures[index]
    small, heat, name = picture.small(), audit.heat_of(index), escape(picture.name)
    looks = f'<span class="look"><img alt="{name}" src="{html.data_uri(small)}"></span>'
    if heat is not None:
        drawn = html.data_uri(overlay(small, heat))
        looks += f'<span class="look"><img alt="heat map of {name}" src="{drawn}"></span>'
    share = max(0.0, min(1.0, float(audit.mutual[index]) / highest))
    return (
        f"<figure>{looks}<figcaption><i>{audit.mutual[index]:.4f}</i><b>{place}</b>"
        f'<div class="bar"><span style="width:{100 * share:.0f}%"></span></div>{name}<br>'
        f'<span class="soft">score {audit.score[index]:.3f}, rank {rank}</span></figcaption></figure>'
    )


def _row(audit: Audit, index: int, place: int, rank: int) -> tuple[str, ...]:
    numbers = (audit.mutual_own, audit.score, audit.s_pr, audit.s_fnn)
    texts = (f"{values[index]:.4f}" for values in numbers)
    return str(place), audit.pictures[index].name, f"{audit.mutual[index]:.4f}", *texts, str(rank)
