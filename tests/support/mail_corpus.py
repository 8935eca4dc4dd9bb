"""Mails that are hard to sign: odd headers, folds, blanks, bodies of every kind. Always the same ones for a number."""

import random

LARGE = 0  # The number of the mail with 10 MB.

WORDS = ("the", "quick", "brown", "fox", "Grüße", "日本語", "x" * 70, "=20", "From", "a.b@c", "\"quoted\"", "<tag>", ";", ":")


def _words(rng, count, ascii_only=False):
    chosen = [rng.choice(WORDS) for _ in range(count)]
    return " ".join(w for w in chosen if not ascii_only or w.isascii())


def _fold(rng, text):
    """Breaks at some blanks, with blanks and tabs of any number on both sides."""
    parts = text.split(" ")
    folded = parts[0]
    for part in parts[1:]:
        folded += rng.choice([" ", " ", "  ", "\t", "\r\n ", "\r\n\t", " \r\n  \t ", "\r\n      "]) + part
    return folded


def _header(rng, number, sender):
    def name(word):
        return rng.choice([word, word.upper(), word.lower()])
    colon = rng.choice([": ", ":", ":  ", ":\t", ":\r\n "])
    fields = [f"{name('From')}{colon}{rng.choice(['', 'Alice ', chr(34) + 'A, B' + chr(34) + ' '])}<{sender}>",
              f"{name('To')}{colon}b@receiver.test", f"{name('Subject')}{colon}{_fold(rng, f'mail {number} ' + _words(rng, rng.randrange(12), True))}",
              f"Date{colon}Fri, 27 Nov 2026 00:00:00 +0000", f"{name('Message-ID')}{colon}<{number}.corpus@ours.test>"]
    optional = ["Cc: c@receiver.test,\r\n\td@receiver.test", "X-Empty:", "X-Blank: \t ", "X-Trailing: text  \t",
                "X-Long: " + "y" * 900, "X-Folded: a\r\n \r\n b", f"References: {_fold(rng, ' '.join(f'<{i}@x.test>' for i in range(20)))}",
                "Reply-To: e@ours.test", "In-Reply-To: <0@x.test>", "X-Colons: a:b: c ::", "x-lower: Y", "X-UPPER: z",
                "List-Unsubscribe: <https://ours.test/u>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
                "Received: from a.test by b.test; Fri, 27 Nov 2026 00:00:00 +0000",
                "Received: from c.test by a.test;\r\n\tFri, 27 Nov 2026 00:00:00 +0000", "Comments: one", "Comments: two",
                "Sender: <s@ours.test>", "X-Semi: a; b=c; d=\"e\"", "DKIM-Filter: none"]
    fields += rng.sample(optional, rng.randrange(len(optional)))
    mandatory, rest = fields[:1], fields[1:]
    rng.shuffle(rest)
    at = rng.randrange(len(rest) + 1)
    return rest[:at] + mandatory + rest[at:]


def _line(rng):
    return rng.choice([
        lambda: "", lambda: " ", lambda: "\t \t", lambda: ".", lambda: "..", lambda: ".dot " + _words(rng, 3),
        lambda: _words(rng, 8), lambda: _words(rng, 4) + rng.choice([" ", "  ", "\t", " \t "]),
        lambda: "  " + _words(rng, 3), lambda: _words(rng, 2) + "   " + _words(rng, 2) + "\t\t" + _words(rng, 2),
        lambda: "z" * 990, lambda: "From here on", lambda: "\x01\x7f\x0b\x0c"])()


def _body(rng, number):
    kind = rng.randrange(10)
    end = rng.choice(["", "\r\n", "\r\n\r\n", "\r\n" * 30, " \r\n\t\r\n", "  "])
    if number == LARGE:
        line = (_words(rng, 9) + "  \t" + _words(rng, 3))[:200]
        return (line + "\r\n") * (10_000_000 // (len(line.encode()) + 2)) + "\r\n" * 1000
    if kind == 0:
        return ""
    if kind == 1:
        return end
    return "\r\n".join(_line(rng) for _ in range(rng.randrange(1, 60))) + end


def mail(number, sender="alice@ours.test"):
    """The mail with this number, as bytes with CRLF."""
    rng = random.Random(f"hikyaku {number}")
    head = _header(rng, number, sender)
    body = _body(rng, number).encode()
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"  # As SMTP carries it. What a body without a last line end is, verifiers see differently.
    if not body.isascii():
        head += ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body
