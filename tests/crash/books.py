"""What clients were promised against what receivers and the node's own events say: the sets of the crash protocol.

The clients' ledger and the receivers' are in this process: no fault of the node's can touch them.
"""

import collections
import hashlib
import re

from support.api import events_pb2

Event = events_pb2.Event
ENDS = {Event.TYPE_DELIVERED: "delivered", Event.TYPE_BOUNCED: "bounced", Event.TYPE_EXPIRED: "expired",
        Event.TYPE_CANCELLED: "cancelled"}

# A receipt may be doubled if something was killed so soon after it: the verdict was not on disk yet.
WINDOW = 2.0
SLACK = 0.1  # Between the moment of a thing and the moment at which its time is taken.

# Each must be 0.
FAULTS = ("lost", "partial", "ghost", "unexpected", "corrupt", "unattributed", "doubled", "misjudged", "unrecorded",
          "unreported", "misreported")


def message_id(mail):
    """The node's own id of a mail, from the Received field that it put on top."""
    found = re.search(r"\bid ([0-9a-z]{26})\b", mail.header("Received")[0])
    return found.group(1) if found else None


class Books:
    """One round: what was sent, received and recorded between two moments at which the queue was empty."""

    def __init__(self, entries, mails, events, faults, reports=()):
        """entries: {token: Entry}; mails: of the receivers; events: of the node; faults: [(begin, end)] of each kill;
        reports: to the senders, of those who receive for them."""
        self.reports = collections.defaultdict(set)  # recipient → ids of the reports that came of it
        for mail in reports:
            for recipient in re.findall(rb"(?m)^Final-Recipient: rfc822; (\S+)\r$", mail.data):
                self.reports[recipient.decode()].add(mail.header("Message-ID")[0][1:27])
        self.report_ends = collections.defaultdict(list)  # id of a report → how, each time
        self.told = {}  # recipient → the report that its end names, if it does
        self.entries, self.faults = entries, faults
        self.receipts = collections.defaultdict(list)  # recipient → [(time, mail)]
        for mail in mails:
            for recipient in mail.recipients:
                self.receipts[recipient].append((mail.time, mail))
        self.accepted = collections.Counter()
        self.ended = collections.defaultdict(list)  # recipient → how, each time
        for event in events:
            if event.report_of:
                self.report_ends[event.message_id] += [ENDS.get(event.type, "accepted")] * len(event.recipients)
                continue
            if event.type == Event.TYPE_BOUNCED:
                self.told.update({recipient: event.report_id for recipient in event.recipients})
            for recipient in event.recipients:
                if event.type == Event.TYPE_ACCEPTED:
                    self.accepted[recipient] += 1
                elif event.type in ENDS:
                    self.ended[recipient].append(ENDS[event.type])
        self.offered = {r: e for e in entries.values() for r in e.recipients}

    def done(self, recipient):
        return recipient in self.receipts or "bounced" in self.ended.get(recipient, ())

    def attributed(self, times):
        """Whether each repeat follows a kill that came soon after the receipt before it."""
        return all(any(begin <= second and first - SLACK <= end and begin <= first + WINDOW for begin, end in self.faults)
                   for first, second in zip(times, times[1:]))

    def near(self, moment):
        """For whoever looks for a cause: how long before the next kill, or after the last one."""
        away = min((moment - begin for begin, _ in self.faults), key=abs, default=0)
        return f"acknowledged {away:+.4f} s from a kill"

    def audit(self):
        """(counts, {fault: examples})."""
        found = collections.defaultdict(list)
        counts = collections.Counter(entry.result for entry in self.entries.values())
        for entry in self.entries.values():
            if entry.result == "acked":
                missing = [(r, self.near(entry.time)) for r in entry.recipients if not self.done(r)]
                found["partial" if 0 < len(missing) < len(entry.recipients) else "lost"] += missing
                counts["promised"] += len(entry.recipients)
                counts["repeated"] += entry.via == "grpc" and bool(entry.said)
            elif entry.result == "refused":
                found["ghost"] += [r for r in entry.recipients if r in self.receipts]
            elif any(r in self.accepted for r in entry.recipients):
                counts["recovered"] += 1
        for recipient, receipts in self.receipts.items():
            self.received(recipient, sorted(receipts, key=lambda pair: pair[0]), counts, found)
        self.recorded(found)
        self.reported(counts, found)
        counts["bounced"] = sum("bounced" in ends for ends in self.ended.values())
        return counts, {fault: examples for fault, examples in found.items() if examples}

    def received(self, recipient, receipts, counts, found):
        counts["received"] += 1
        entry = self.offered.get(recipient)
        if entry is None:
            found["unexpected"].append(recipient)
            return
        for _, mail in receipts:
            if mail.header("X-Token") != [entry.token] or hashlib.sha256(mail.body).hexdigest() != entry.sha256:
                found["corrupt"].append(recipient)
        if len({message_id(mail) for _, mail in receipts}) > 1:
            found["doubled"].append((recipient, entry.via, "one mail under two ids"))
        if len(receipts) > 1:
            times = [time for time, _ in receipts]
            counts["duplicates"] += len(receipts) - 1
            if not self.attributed(times):
                found["unattributed"].append((recipient, times))

    def recorded(self, found):
        """The node's own record: each accepted recipient ended exactly once, and in the way that the receivers saw."""
        for recipient, times in self.accepted.items():
            if recipient not in self.offered:
                found["unexpected"].append(recipient)
            ends = self.ended.get(recipient, [])
            if times != 1 or len(ends) != 1:
                found["unrecorded"].append((recipient, f"accepted {times} times", ends))
            elif (ends[0] == "bounced") != recipient.startswith("hard.") or ends[0] not in ("bounced", "delivered"):
                found["misjudged"].append((recipient, ends))
            elif ends[0] == "delivered" and recipient not in self.receipts:
                found["misjudged"].append((recipient, "delivered, but nobody has it"))
        found["unrecorded"] += [(r, "received, but never accepted") for r in self.receipts if r not in self.accepted]
        found["unrecorded"] += [(r, "acknowledged, but never accepted", self.near(e.time)) for e in self.entries.values()
                                if e.result == "acked" for r in e.recipients if r not in self.accepted]

    def reported(self, counts, found):
        """Each failure of what came by SMTP is told to its sender in one report, and nothing else is."""
        for recipient, report in self.told.items():
            entry = self.offered.get(recipient)
            if entry is None or entry.via != "smtp":
                continue
            counts["reported"] += 1
            if not report or sorted(self.report_ends[report]) != ["accepted", "delivered"]:
                found["unreported"].append((recipient, report, self.report_ends.get(report)))
            elif self.reports[recipient] != {report}:
                found["unreported"].append((recipient, report, "what came:", self.reports[recipient]))
        for recipient, came in self.reports.items():
            entry = self.offered.get(recipient)
            if entry is None or entry.via != "smtp" or (came and recipient not in self.told):
                found["misreported"].append((recipient, came))
        known = set(self.told.values())
        found["misreported"] += [("a report that no end names", report) for report in self.report_ends
                                 if report not in known]
