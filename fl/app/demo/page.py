"""The report of a demo: one page of HTML that needs nothing else, no script and nothing from a network.

It is well-formed XML too, so that any parser reads it. Its own policy forbids a browser to load anything, and every
text that goes into it is escaped.
"""

from collections.abc import Iterable, Sequence
from html import escape
from importlib import metadata
from typing import Final

from fl.app.charts import STYLE
from fl.app.demo import pictures
from fl.app.demo.result import DemoResult, DemoRound, PrivateResult, stage_counts
from fl.app.demo.sentences import private_sentences, secure_sentences
from fl.private import plan_page

__all__ = ["html"]

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"

_STYLE: Final = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2128; --soft: #57606a; --rule: #d0d7de; --card: #f6f8fa }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --ink: #dfe5ec; --soft: #9aa5b1; --rule: #343b44; --card: #1c2229 }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word }
h1 { font-size: 1.5rem; line-height: 1.25 }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem }
h3 { font-size: 1rem; margin: 1rem 0 .25rem }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem }
figure { margin: 0; padding: .75rem; border: 1px solid var(--rule); border-radius: .5rem; min-width: 0 }
figcaption { margin-top: .5rem; font-size: .9rem; color: var(--soft) }
figure h2 { margin: 0 0 .5rem; font-size: 1.05rem }
.verdict { margin-bottom: 1rem; padding: .25rem .75rem; border-radius: .5rem;
  background: var(--card); border-left: .3rem solid #0f7a3d }
.verdict.bad { border-left-color: #c0392b }
.wide { overflow-x: auto; border: 1px solid var(--rule); border-radius: .5rem }
table { border-collapse: collapse; font-size: .85rem; width: 100% }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap }
th:first-child, td:first-child { text-align: left }
caption { text-align: left; padding: .5rem .6rem; font-weight: 600 }
code { overflow-wrap: anywhere; font-size: .9em }
.wide { margin-bottom: 1rem }
@media (max-width: 30rem) { body, figure { padding: .5rem } }
.page { padding: .25rem 1rem 1rem; border: 1px solid var(--rule); border-radius: .5rem }
"""


def html(result: DemoResult) -> str:
    """Returns the page.

    Args:
        result: of a demo with at least one round.
    """
    title = "Secure and private federated learning: a demo"
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"/>',
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}"/>',
        f"<title>{title}</title>",
        f"<style>{STYLE}{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        _paragraph(_what(result)),
        _verdict(result),
        '<div class="pictures">',
        *_figures(result),
        "</div>",
    ]
    if result.private is not None:
        parts += [*_plan(result.private), *_ledger(result.private)]
    parts += ["<h2>The numbers behind</h2>", *_tables(result)]
    parts += [_paragraph(f"Written by secagg {metadata.version('secagg')}."), "</body></html>", ""]
    return "\n".join(parts)


def _what(result: DemoResult) -> str:
    settings = result.settings
    return (
        f"{settings.clients} clients learn to read handwritten digits together, in {settings.rounds} rounds. Each has "
        f"few of them and not all digits alike (Dirichlet {settings.alpha:g}), and vanishes in a round with "
        f"probability {settings.dropout:g}, at any stage. Data, dropouts and training are a simulation with the seed "
        f"{settings.seed}. Keys, masks, signatures, bytes and noise are real."
    )


def _verdict(result: DemoResult) -> str:
    paragraphs = "".join(_paragraph(sentence) for sentence in (*secure_sentences(result), *private_sentences(result)))
    return f'<div class="verdict{"" if result.sound else " bad"}">{paragraphs}</div>'


def _figures(result: DemoResult) -> Iterable[str]:
    yield _figure(
        "Accuracy",
        picture=pictures.accuracies(result),
        caption="Central: one machine has all data. Plain and secure differ in rounding and in the order of "
        "training only. The private runs clip every client's update and add noise; the trusted server is one that "
        "sees every update.",
    )
    if result.private is not None:
        yield _figure(
            "Privacy spent",
            picture=pictures.epsilons(result, result.private),
            caption="Promised is what counts: the noise of the fewest clients with whom a round is released, "
            f"without that of {result.private.plan.noise.colluders} who may work with the server.",
        )
    yield _figure(
        "Bytes per client and round",
        picture=pictures.traffic(result),
        caption=f"This model is small, with {result.vector_length:,} words. What the protocol adds grows with the "
        "clients and not with the model.",
    )
    yield _figure(
        "Dropouts",
        picture=pictures.presence(result),
        caption="A client that vanishes before its masked vector is there is not in the sum; one that vanishes "
        "later is.",
    )
    if result.evidence is not None:
        yield _figure(
            "Rounding",
            picture=pictures.rounding(result, result.evidence),
            caption="Every two bits more make the error of the mean a quarter. Sums are taken modulo two to this "
            "many bits.",
        )
        yield _figure(
            "What the server saw",
            picture=pictures.seen(result.evidence),
            caption=f"Client {result.evidence.client} in a session with {result.evidence.peers - 1} others, run "
            "for this picture. The darker, the larger.",
        )


def _plan(private: PrivateResult) -> Iterable[str]:
    yield "<h2>The plan, for a privacy officer</h2>"
    yield '<div class="page">'
    for section in plan_page.sections(private.plan):
        yield f"<h3>{escape(section.title)}</h3>"
        yield from map(_paragraph, section.paragraphs)
    yield "</div>"


def _ledger(private: PrivateResult) -> Iterable[str]:
    records = sum(file.records for file in private.audit.files)
    yield "<h2>The ledger</h2>"
    yield f"<p>{records} records. Its head: <code>{private.head.hex()}</code></p>"
    if private.anchor is not None:
        yield f"<p>The latest head that a client holds: <code>{private.anchor.hex()}</code></p>"
    yield _paragraph(
        "Anybody who has the ledger can work out what was spent: secagg audit LEDGER --expect-head HEAD, with the head "
        "that a client holds, shows that nothing before it was removed or rewritten."
    )


def _tables(result: DemoResult) -> Iterable[str]:
    private = result.private is not None
    head = ["round", "survivors", "exact", "central", "plain", "secure"]
    if private:
        head += ["private", "trusted server", "epsilon spent", "noise", "private survivors"]
    yield _table("Round by round", head, [_row(one, private) for one in result.rounds])
    counts = stage_counts(result)
    if counts:
        rows = [[pictures.STAGE_NAMES[stage], f"{mean:.1f}", str(fewest)] for stage, (mean, fewest) in counts.items()]
        yield _table("Clients that answered, in rounds with a sum", ["stage", "mean", "fewest"], rows)
    yield _table(
        "Bytes per client",
        ["round", "secure up", "secure down", *(["private up", "private down"] if private else [])],
        [_traffic_row(one, private) for one in result.rounds],
    )
    if result.evidence is not None:
        yield _table(
            "Rounding error of a coordinate of the mean",
            ["bits", "root mean square", "largest", "proved bound"],
            [
                [str(one.modulus_bits), *(f"{value:.3g}" for value in (one.rms_error, one.largest_error, one.bound))]
                for one in result.evidence.rounding
            ],
        )


def _row(one: DemoRound, private: bool) -> list[str]:
    exact = "lost" if one.exact is None else "yes" if one.exact else "NO"
    accuracies = (one.accuracy_central, one.accuracy_plain, one.accuracy_secure)
    row = [str(one.number), str(one.survivors), exact, *(f"{value:.3f}" for value in accuracies)]
    if private and one.private is not None:
        mine = one.private
        row += [f"{mine.accuracy:.3f}", f"{mine.accuracy_trusted:.3f}", f"{mine.spent:.3f}"]
        row += [
            "" if mine.noise is None else f"{mine.noise:.4f}",
            str(mine.survivors) if mine.lost_at is None else "lost",
        ]
    return row


def _traffic_row(one: DemoRound, private: bool) -> list[str]:
    values = [one.bytes_up, one.bytes_down]
    if private and one.private is not None:
        values += [one.private.bytes_up, one.private.bytes_down]
    return [str(one.number), *(f"{value:,.0f}" if value else "" for value in values)]


def _figure(title: str, *, picture: str, caption: str) -> str:
    return f"<figure><h2>{escape(title)}</h2>\n{picture}\n<figcaption>{escape(caption)}</figcaption></figure>"


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    # Wide tables scroll in a frame of their own, which the keyboard reaches too.
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption>"
        f"<thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table></div>"
    )


def _paragraph(content: str) -> str:
    return f"<p>{escape(content)}</p>"
